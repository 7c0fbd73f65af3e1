"""`python -m tensorhop.services.quality`: the same as `tensorhop serve quality`."""

import typer

from tensorhop.services.quality.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
