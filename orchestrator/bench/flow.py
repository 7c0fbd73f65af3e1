"""The `tensorhop bench` commands about the whole chain."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

flow = typer.Typer()

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "coffee.jpg"  # in a checkout; a wheel has none

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")]
Rounds = Annotated[int, typer.Option(min=1, help="How often each method takes its turn.")]
Photo = Annotated[
    Path, typer.Option("--photo", metavar="FILE", help="A photo of one object.", show_default="coffee.jpg")
]


@flow.command("pipeline")
def pipeline_command(photo: Photo = PHOTO, rounds: Rounds = 5, as_json: AsJson = False) -> None:
    """Time one photo, through the services and by the same models called in turn in one process."""
    from tensorhop.orchestrator.bench.pipeline import pipeline
    from tensorhop.orchestrator.bench.table import show

    show(pipeline(pixels_of(photo), rounds), "One photo: until all objects are done, and until the first is", as_json)


@flow.command("throughput")
def throughput_command(
    photos: Annotated[
        Path, typer.Option(metavar="DIR", help="JPEG photos, of an object each.", show_default="examples/photos")
    ] = PHOTO.parent,
    rounds: Rounds = 3,
    callers: Annotated[int, typer.Option(min=1, help="How many send photos at once.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Time many callers, of the services and of the monolith behind Flask."""
    if find_spec("flask") is None:
        raise typer.BadParameter("Flask is not installed; pip install 'tensorhop[bench]' brings it")
    from tensorhop.orchestrator.bench.table import show
    from tensorhop.orchestrator.bench.throughput import throughput

    files = sorted(photos.glob("*.jpg"))
    if not files:
        raise typer.BadParameter(f"there is no .jpg file in {photos}", param_hint="--photos")
    show(throughput([pixels_of(file) for file in files], rounds, callers), f"{callers} callers at once", as_json)


@flow.command("batching")
def batching_command(rounds: Rounds = 3, as_json: AsJson = False) -> None:
    """Time callers of one service on a simulated accelerator, batched and not."""
    from tensorhop.orchestrator.bench.batching import batching
    from tensorhop.orchestrator.bench.table import show

    show(batching(rounds), "Batching on a simulated accelerator: 20 ms a launch, 2 ms an item", as_json)


@flow.command("growth")
def growth_command(
    photo: Photo = PHOTO,
    rounds: Rounds = 1,
    embedded: Annotated[
        bool, typer.Option("--embedded/--simulated", help="The models for objects and pixels; callers are simulated.")
    ] = True,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw it, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time and weigh the chain as objects, pixels and callers grow. Linux only."""
    from tensorhop.orchestrator.bench.growth import growth
    from tensorhop.orchestrator.bench.plot import growth_svg
    from tensorhop.orchestrator.bench.simulated import MODELS
    from tensorhop.orchestrator.bench.table import show

    rows = list(growth(pixels_of(photo), rounds, models={} if embedded else MODELS))
    if plot:
        plot.write_text(growth_svg(rows), encoding="utf-8")
    show(rows, "As work grows", as_json)


def pixels_of(photo: Path) -> np.ndarray:
    from tensorhop.values.images import decode_image

    if not photo.is_file():
        raise typer.BadParameter(f"there is no {photo}; name a photo", param_hint="--photo")
    return decode_image(photo.read_bytes())


def say(text: str) -> None:
    typer.echo(text, err=True)
