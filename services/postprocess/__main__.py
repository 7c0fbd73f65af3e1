"""python -m services.postprocess: the same as `tensorhop serve postprocess`."""

import typer

from services.postprocess.service import SERVICE
from tensorhop.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE.name, lambda: SERVICE, has_model=False))
