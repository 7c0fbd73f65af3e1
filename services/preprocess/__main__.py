"""`python -m tensorhop.services.preprocess`: the same as `tensorhop serve preprocess`."""

import typer

from tensorhop.services.preprocess.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
