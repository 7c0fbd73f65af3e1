"""`python -m tensorhop.services.interpolate`: the same as `tensorhop serve interpolate`."""

import typer

from tensorhop.services.interpolate.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
