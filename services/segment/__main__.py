"""python -m services.segment: the same as `tensorhop serve segment`."""

import typer

from services.segment.service import SERVICE
from tensorhop.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE.name, lambda: SERVICE))
