"""`python -m tensorhop.services.upscale`: the same as `tensorhop serve upscale`."""

import typer

from tensorhop.services.upscale.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
