"""The product's echo service in Ray Serve: one replica behind Serve's gRPC proxy, on a cluster of one node."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from bench_peers.ray_cluster import cluster
from tensorhop.orchestrator.bench import product
from tensorhop.orchestrator.bench.echo import SERVICE
from tensorhop.orchestrator.bench.hop import measure
from tensorhop.orchestrator.bench.method import Method
from tensorhop.orchestrator.bench.payload import Payload
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row, rows_of

NAME = "echo"
OWN = "tcp"  # the same service in our own server


def hop(payloads: Sequence[Payload], rounds: int) -> list[Row]:
    """Time every method in one interleaved run; calls without a payload are there to tell what the bytes cost."""
    with processes() as start:
        server = start(serve)
        address = server.answer()
        methods = (
            Method(OWN, product.inline, product.serve),
            Method("ray", product.inline, partial(nullcontext, address)),
            Method("empty", product.empty, product.serve),
            Method("empty-ray", product.empty, partial(nullcontext, address)),
        )
        return rows_of(measure(methods, payloads, rounds), (OWN,))


def add_echo(servicer: Any, server: Any) -> None:
    """Register the echo service with the proxy."""
    from tensorhop_ray.proxy import add_service

    add_service(SERVICE.descriptor, server)


@contextmanager
def serve() -> Iterator[str]:
    with cluster(1, f"{__name__}.{add_echo.__name__}") as (address, _):
        from ray import serve
        from tensorhop_ray.application import application_of

        serve.run(application_of(SERVICE), name=NAME, route_prefix=f"/{NAME}")
        yield f"ray://{address}/{NAME}"
