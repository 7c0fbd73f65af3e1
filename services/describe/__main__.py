"""`python -m tensorhop.services.describe`: the same as `tensorhop serve describe`."""

import typer

from tensorhop.services.describe.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
