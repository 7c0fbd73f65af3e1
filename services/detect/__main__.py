"""`python -m tensorhop.services.detect`: the same as `tensorhop serve detect`."""

import typer

from tensorhop.services.detect.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
