"""The product's pipeline and services, each in a process of its own as `tensorhop up` starts them, and its callers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from bench_chain.monolith import Models
from bench_chain.turn import Turn, Want, timed
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench.process import Process
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings, current_settings, use_settings
from tensorhop.values.finish_options import Finish
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectFault, ObjectResult
from tensorhop.wire.allocator import keep_large_buffers

ADDRESS = "127.0.0.1:0"


def start_chain(
    start: Callable[..., Process], models: Models, settings: Settings | None = None
) -> tuple[str, list[Process]]:
    """Start the services and the pipeline; returns the pipeline's address, and all processes.

    Args:
        start: what `processes` yields.
        models: by step, what makes its model, where it is not the embedded one.
        settings: of all of them; this process's if not given.
    """
    settings = settings or current_settings()
    found = {step: start(serve_step, step, models.get(step), settings) for step in CUTOUTS.calls}
    pipeline = start(serve_pipeline, {step: process.answer() for step, process in found.items()}, settings)
    return pipeline.answer(), [*found.values(), pipeline]


@contextmanager
def serve_step(step: str, model: Callable[[], Any] | None, settings: Settings, address: str = ADDRESS) -> Iterator[str]:
    """The job of a service's process."""
    use_settings(settings)
    keep_large_buffers()
    found = services()[step]
    server = Server(found, found.make_servicer(model()) if model else found.load(), address)
    try:
        yield server.address
    finally:
        server.stop(0).wait()


@contextmanager
def serve_pipeline(services: Mapping[str, str], settings: Settings) -> Iterator[str]:
    """The job of the pipeline's process."""
    use_settings(settings)
    keep_large_buffers()
    with closing(Steps.connect(CUTOUTS, services)) as stages:
        server = Server(CUTOUTS, CUTOUTS.make_servicer(stages), ADDRESS)
        try:
            yield server.address
        finally:
            server.stop(0).wait()


@contextmanager
def caller(address: str, cache: bool = False) -> Iterator[Callable[[bytes, Want], Turn]]:
    """The job of a caller's process: takes a turn."""
    keep_large_buffers()
    with PipelineClient(address) as client:
        yield lambda photo, want: timed(files(client, photo, want, cache))


def files(client: PipelineClient, photo: bytes, want: Want, cache: bool) -> Iterator[bytes]:
    """The photo's cut-outs as PNG files, as they get done.

    Raises:
        RuntimeError: one could not be finished, so that a time would be of less than was asked for.
    """
    events = client.process(
        photo, boxes=want.boxes, max_objects=want.most, cache=cache, finish=Finish(**want.finish), output=Output("png")
    )
    for event in events:
        if isinstance(event, ObjectFault) and not (event.mask is not None and event.mask.empty):
            raise RuntimeError(f"{event.step} failed: {event.message}")
        if isinstance(event, ObjectResult):
            assert event.file is not None
            yield event.file
