"""python -m services.describe: the same as `tensorhop serve describe`."""

import typer

from services.describe.service import SERVICE
from tensorhop.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE.name, lambda: SERVICE))
