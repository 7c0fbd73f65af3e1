"""The `tensorhop bench` commands."""

from pathlib import Path
from typing import Annotated

import typer

from tensorhop.orchestrator.bench.flow import PHOTO, AsJson, flow, say
from tensorhop.orchestrator.bench.payload import PAYLOADS, Payload

bench = typer.Typer(
    help="Measure what a hop and the whole chain cost; processes are started and ended for it.",
    no_args_is_help=True,
)
bench.add_typer(flow)  # its commands stand beside these

Chosen = Annotated[
    list[str] | None,
    typer.Option("--payload", metavar="NAME", help=f"Repeatable: {', '.join(PAYLOADS)}.", show_default="all"),
]
Rounds = Annotated[int, typer.Option(min=1, help="How often each method takes its turn.")]
One = Annotated[str, typer.Option("--payload", metavar="NAME", help=f"One of {', '.join(PAYLOADS)}.")]


@bench.command("hop")
def hop_command(
    payload: Chosen = None,
    rounds: Rounds = 15,
    against: Annotated[
        bool, typer.Option("--against", help="Add what people use today: HTTP, files, Redis, Triton.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Time an array to another process and back, by every method in one run."""
    from tensorhop.orchestrator.bench.against import others
    from tensorhop.orchestrator.bench.hop import hop
    from tensorhop.orchestrator.bench.table import show

    more = others(say) if against else []
    show(hop(chosen(payload), rounds, more), "There and back", as_json)


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
        say(f"The real chain is left out: there is no {photo}; name a photo with --photo.")
    show(chain(chosen(payload), rounds, pixels), "Four services, one after another", as_json)


@bench.command("mixed")
def mixed_command(payload: One = "36MB", rounds: Rounds = 5, as_json: AsJson = False) -> None:
    """Time small calls while large messages run, on one connection and on two."""
    from tensorhop.orchestrator.bench.mixed import mixed
    from tensorhop.orchestrator.bench.table import show

    show(mixed(chosen([payload])[0], rounds), "Small calls while large messages run", as_json)


@bench.command("soak")
def soak_command(
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 600,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 4,
    method: Annotated[str, typer.Option(help="tcp or shm.")] = "tcp",
    payload: One = "36MB",
    as_json: AsJson = False,
) -> None:
    """Echo large messages for minutes, and watch the server's memory. Linux only."""
    from tensorhop.orchestrator.bench.soak import CONNECT, soak
    from tensorhop.orchestrator.bench.table import show

    if method not in CONNECT:
        raise typer.BadParameter(f"{method!r} is not one of {', '.join(CONNECT)}", param_hint="--method")
    one = chosen([payload])[0]
    row = soak(
        one, seconds, concurrency, method, lambda row: say("{seconds} s  {calls} calls  {rss_mib} MiB".format(**row))
    )
    show([row], "Resident memory of the server after warm-up", as_json)


def chosen(names: list[str] | None) -> list[Payload]:
    for name in names or []:
        if name not in PAYLOADS:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(PAYLOADS)}", param_hint="--payload")
    return [PAYLOADS[name] for name in names] if names else list(PAYLOADS.values())
