"""`python -m tensorhop.services.postprocess`: the same as `tensorhop serve postprocess`."""

import typer

from tensorhop.services.postprocess.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
