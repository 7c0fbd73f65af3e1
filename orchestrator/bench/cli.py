"""The `tensorhop bench` commands."""

from pathlib import Path
from typing import Annotated

import typer

from tensorhop.orchestrator.bench.payload import PAYLOADS, Payload

bench = typer.Typer(
    help="Measure what a hop and the whole chain cost; processes are started and ended for it.",
    no_args_is_help=True,
)


@bench.callback()
def check_settings() -> None:
    """Measure what a hop and the whole chain cost; processes are started and ended for it."""
    from tensorhop.settings import current_settings

    current_settings()  # its processes read them, too; a value that is refused is told here


PHOTO = Path(__file__).parents[3] / "examples" / "photos" / "coffee.jpg"  # in a checkout; a wheel has none

Chosen = Annotated[
    list[str] | None,
    typer.Option("--payload", metavar="NAME", help=f"Repeatable: {', '.join(PAYLOADS)}.", show_default="all"),
]
Rounds = Annotated[int, typer.Option(min=1, help="How often each method takes its turn.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")]


@bench.command("hop")
def hop_command(payload: Chosen = None, rounds: Rounds = 15, as_json: AsJson = False) -> None:
    """Time an array to another process and back, by every method in one run."""
    from tensorhop.orchestrator.bench.hop import hop
    from tensorhop.orchestrator.bench.table import show

    show(hop(chosen(payload), rounds), "There and back", as_json)


@bench.command("chain")
def chain_command(
    payload: Chosen = None,
    rounds: Rounds = 15,
    photo: Annotated[
        Path, typer.Option(metavar="FILE", help="What the real chain works on, resized.", show_default="coffee.jpg")
    ] = PHOTO,
    models: Annotated[bool, typer.Option("--models/--no-models", help="Time the real chain, too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Time an image to four services one after another, beside the real chain on the embedded models."""
    from tensorhop.orchestrator.bench.chain import chain
    from tensorhop.orchestrator.bench.table import show
    from tensorhop.values.images import decode_image

    pixels = None
    if models and photo.is_file():
        pixels = decode_image(photo.read_bytes())
    elif models:
        typer.echo(f"The real chain is left out: there is no {photo}; name a photo with --photo.", err=True)
    show(chain(chosen(payload), rounds, pixels), "Four services, one after another", as_json)


def chosen(names: list[str] | None) -> list[Payload]:
    """The payloads of these names, or all. Raises typer.BadParameter: a name is unknown."""
    for name in names or []:
        if name not in PAYLOADS:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(PAYLOADS)}", param_hint="--payload")
    return [PAYLOADS[name] for name in names] if names else list(PAYLOADS.values())
