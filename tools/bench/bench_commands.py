"""The commands of `python tools/bench`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench_peers.methods import INSTALL, peer_methods
from tensorhop.orchestrator.bench.cli import AsJson, Chosen, Rounds, chosen
from tensorhop.orchestrator.bench.payload import PAYLOADS as SIZES
from tensorhop.orchestrator.bench.table import show

bench = typer.Typer(
    help="Measure the chain under load, large messages, and other people's systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "coffee.jpg"

One = Annotated[str, typer.Option("--payload", metavar="NAME", help=f"One of {', '.join(SIZES)}.")]
Photo = Annotated[
    Path, typer.Option("--photo", metavar="FILE", help="A photo of one object.", show_default="coffee.jpg")
]


@bench.command("pipeline")
def pipeline_command(photo: Photo = PHOTO, rounds: Rounds = 5, as_json: AsJson = False) -> None:
    """Time one photo, through the services and by the same models called in turn in one process."""
    from bench_chain.pipeline import pipeline

    show(pipeline(pixels_of(photo), rounds), "One photo: until all objects are done, and until the first is", as_json)


@bench.command("throughput")
def throughput_command(
    photos: Annotated[
        Path, typer.Option(metavar="DIR", help="JPEG photos, of an object each.", show_default="examples/photos")
    ] = PHOTO.parent,
    rounds: Rounds = 1,
    callers: Annotated[int, typer.Option(min=1, help="How many send photos at once.")] = 8,
    seconds: Annotated[
        float, typer.Option(min=1, help="End after about this time, with fewer photos and turns if need be.")
    ] = 80,
    as_json: AsJson = False,
) -> None:
    """Time many callers, of the services and of the monolith behind Flask."""
    if find_spec("flask") is None:
        raise typer.BadParameter(f"Flask is not installed; {INSTALL} brings it")
    from bench_chain.throughput import PAYLOADS, throughput

    files = sorted(photos.glob("*.jpg"))
    if not files:
        raise typer.BadParameter(f"there is no .jpg file in {photos}", param_hint="--photos")
    rows = throughput([pixels_of(file) for file in files], rounds, callers, seconds=seconds)
    show(rows, f"{rows[0]['callers']} callers at once", as_json)
    if rows[0]["callers"] < callers:
        say(f"There was no time for {callers} callers; give them some with --seconds.")
    for payload in PAYLOADS:
        if payload not in {row["payload"] for row in rows}:
            say(f"There was no time for {payload!r}; give it some with --seconds.")


@bench.command("batching")
def batching_command(rounds: Rounds = 3, as_json: AsJson = False) -> None:
    """Time callers of one service on a simulated accelerator, batched and not."""
    from bench_chain.batching import batching

    show(batching(rounds), "Batching on a simulated accelerator: 20 ms a launch, 2 ms an item", as_json)


@bench.command("growth")
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
    from bench_chain.growth import growth
    from bench_chain.plot import growth_svg
    from bench_chain.simulated import MODELS

    rows = list(growth(pixels_of(photo), rounds, models={} if embedded else MODELS))
    if plot:
        plot.write_text(growth_svg(rows), encoding="utf-8")
    show(rows, "As work grows", as_json)


@bench.command("pipelines")
def pipelines_command(photo: Photo = PHOTO, rounds: Rounds = 5, as_json: AsJson = False) -> None:
    """Weigh a photo in one, two and four pipelines behind one name, on models that answer at once. Linux only."""
    from bench_chain.pipelines import pipelines

    show(pipelines(pixels_of(photo), rounds), "Pipelines behind one name", as_json)


@bench.command("traffic")
def traffic_command(photo: Photo = PHOTO, rounds: Rounds = 3, as_json: AsJson = False) -> None:
    """Count the bytes of a photo over each connection and in Redis, and weigh its processor time. Linux only."""
    from bench_peers import redis_queue
    from bench_traffic.traffic import traffic

    if redis_queue.server_path() is None:
        raise typer.BadParameter(f"there is no redis-server on the PATH; {INSTALL} brings one")
    for title, rows in traffic(pixels_of(photo), rounds).items():
        show(rows, title, as_json)


@bench.command("hop")
def hop_command(payload: Chosen = None, rounds: Rounds = 15, as_json: AsJson = False) -> None:
    """Time what `tensorhop bench hop` times, and what people use today: HTTP, files, Redis, Triton."""
    from tensorhop.orchestrator.bench.hop import hop

    show(hop(chosen(payload), rounds, peer_methods(say)), "There and back", as_json)


@bench.command("ray")
def ray_command(payload: Chosen = None, rounds: Rounds = 15, as_json: AsJson = False) -> None:
    """Time the echo service in Ray Serve against our own server, and calls without a payload of both."""
    if find_spec("ray") is None:
        raise typer.BadParameter("Ray is not installed; make bench-ray installs it into .venv-ray")
    from bench_peers.ray_serve import hop

    show(hop(chosen(payload), rounds), "There and back, through Ray Serve", as_json)


@bench.command("calls")
def calls_command(rounds: Rounds = 15, as_json: AsJson = False) -> None:
    """Time small calls: bytes alone, stock gRPC, ours, a chain's step. Processor time too. Linux only."""
    from bench_wire.calls import calls

    show(calls(rounds), "Small calls", as_json)


@bench.command("mixed")
def mixed_command(payload: One = "36MB", rounds: Rounds = 5, as_json: AsJson = False) -> None:
    """Time small calls while large messages run, on one connection and on two."""
    from bench_wire.mixed import mixed

    show(mixed(chosen([payload])[0], rounds), "Small calls while large messages run", as_json)


@bench.command("versions")
def versions_command(
    commit: Annotated[str, typer.Argument(help="What this checkout is compared with, such as a tag.")],
    photo: Photo = PHOTO,
    rounds: Rounds = 5,
    as_json: AsJson = False,
) -> None:
    """Time `tensorhop run` and the chain of this checkout beside those of another commit. Linux only."""
    from bench_chain.versions import chains, runs, versions

    pixels = pixels_of(photo)
    with versions(commit) as roots:
        show(runs(roots, photo, rounds), "tensorhop run, from start to end of the process", as_json)
        for encoding in ("png", "tensor"):
            show(chains(roots, pixels, encoding, rounds), "Chains with models that answer at once", as_json)


@bench.command("soak")
def soak_command(
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 600,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 4,
    method: Annotated[str, typer.Option(help="tcp or shm.")] = "tcp",
    payload: One = "36MB",
    as_json: AsJson = False,
) -> None:
    """Echo large messages for minutes, and watch the server's memory. Linux only."""
    from bench_wire.soak import CONNECT, soak

    if method not in CONNECT:
        raise typer.BadParameter(f"{method!r} is not one of {', '.join(CONNECT)}", param_hint="--method")
    one = chosen([payload])[0]
    row = soak(
        one, seconds, concurrency, method, lambda row: say("{seconds} s  {calls} calls  {rss_mib} MiB".format(**row))
    )
    show([row], "Resident memory of the server after warm-up", as_json)


def pixels_of(photo: Path) -> np.ndarray:
    from tensorhop.values.images import decode_image

    if not photo.is_file():
        raise typer.BadParameter(f"there is no {photo}; name a photo", param_hint="--photo")
    return decode_image(photo.read_bytes())


def say(text: str) -> None:
    typer.echo(text, err=True)
