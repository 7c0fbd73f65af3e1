"""python -m services.detect: the same as `tensorhop serve detect`."""

import typer

from services.detect.service import SERVICE
from tensorhop.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE.name, lambda: SERVICE))
