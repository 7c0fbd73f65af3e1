"""Tiny checkpoints with random weights, served on real sockets. `make test-models` runs this folder: it needs torch."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import make_tiny_chatters
import make_tiny_detectors
import make_tiny_models
import numpy as np
import pytest
from support import Serve

from tensorhop.models.sources import ModelChoice
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.values.images import decode_image

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories by the names in tools/make_tiny_models.py."""
    return make_tiny_models.make(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def chatters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories by the names in tools/make_tiny_chatters.py."""
    return make_tiny_chatters.make(tmp_path_factory.mktemp("chatters"))


@pytest.fixture(scope="session")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories by the names in tools/make_tiny_detectors.py."""
    return make_tiny_detectors.make(tmp_path_factory.mktemp("detectors"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may ask for another machine's address, not even where a failure to get it would be overlooked."""
    asked = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *more: Any, **named: Any) -> Any:
        if host not in ("localhost", "127.0.0.1"):
            asked.append(host)
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    assert not asked


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Starts services that run until the module's tests are over; one a checkpoint and choice."""
    running: dict[tuple, tuple[str, Any]] = {}
    with ExitStack() as stack:

        def start(service: Service, path: Path, **choice: Any) -> tuple[str, Any]:
            key = (service.name, path, *sorted(choice.items()))
            if key not in running:
                servicer = service.load(ModelChoice(str(path), **{"device": "cpu", **choice}))
                server = Server(service, servicer, "127.0.0.1:0")
                stack.callback(lambda: server.stop(0).wait())
                running[key] = server.address, servicer.model
            return running[key]

        yield start


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    return [decode_image((PHOTOS / f"{name}.jpg").read_bytes()) for name in ("cat", "coffee", "astronaut", "rocket")]
