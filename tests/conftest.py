"""Real photos, real weights, real sockets: what most tests share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.local import one_process
from tensorhop.client import PipelineClient
from tensorhop.image import decode_image
from tensorhop.server import Server
from tensorhop.settings import PORTS

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """The four services and the pipeline, by name, each on a port of its own."""
    with one_process(dict.fromkeys(PORTS, "127.0.0.1:0")) as running:
        yield running


@pytest.fixture(scope="session")
def client(servers: dict[str, Server]) -> Iterator[PipelineClient]:
    with PipelineClient(servers["pipeline"].address) as connected:
        yield connected


@pytest.fixture(scope="session")
def cat() -> np.ndarray:
    return decode_image((PHOTOS / "cat.jpg").read_bytes())


@pytest.fixture(scope="session")
def coffee() -> np.ndarray:
    return decode_image((PHOTOS / "coffee.jpg").read_bytes())
