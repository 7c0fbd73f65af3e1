"""`python -m tensorhop.services.segment`: the same as `tensorhop serve segment`."""

import typer

from tensorhop.services.segment.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
