"""The example for Node, as its README says, against real services: `make test-node`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.rpc.server import Server
from tensorhop.web.serve import HttpServer

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "examples" / "photos"
FOLDER = ROOT / "examples" / "node"
PROGRAM, CONNECT = FOLDER / "cutouts.js", FOLDER / "connect.js"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    with one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as running:
        yield running


@pytest.fixture(scope="module")
def address(servers: dict[str, Server]) -> str:
    return servers["pipeline"].address


@pytest.fixture(scope="module")
def http(servers: dict[str, Server]) -> Iterator[str]:
    server = HttpServer("127.0.0.1:0", servers["pipeline"].address)
    yield f"http://{server.address}"
    server.stop(1).wait()


def node(*arguments: object, program: Path = PROGRAM) -> subprocess.CompletedProcess:
    return subprocess.run(["node", program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_every_object_of_a_photo_becomes_a_png(address: str, tmp_path: Path) -> None:
    done = node(PHOTOS / "coffee.jpg", tmp_path, address)
    assert (done.returncode, done.stderr) == (0, "")
    events = [line.split()[0] for line in done.stdout.splitlines()]
    objects = events.count("object")
    assert events == ["description", "detections", *["object"] * objects, "summary"]
    assert f"{objects} done, 0 failed" in done.stdout.splitlines()[-1]
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"coffee-{index}.png" for index in range(objects)] != []
    for file in files:
        assert f"-> {file}" in done.stdout
        picture = Image.open(file)
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (1024, 1024))
        alpha = np.asarray(picture)[..., 3]
        assert alpha.min() == 0
        assert 0.05 < np.mean(alpha == 255) < 0.9


def test_a_refusal_is_told_by_name_and_reason(address: str, tmp_path: Path) -> None:
    done = node(PROGRAM, tmp_path, address)
    assert done.returncode == 1
    assert done.stderr.startswith("INVALID_ARGUMENT: image")


def test_no_server_and_no_photo(tmp_path: Path) -> None:
    done = node(PHOTOS / "cat.jpg", tmp_path, "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("UNAVAILABLE: ")
    assert node(tmp_path / "none.jpg", tmp_path).returncode == 1
    assert node().returncode == 2


def test_connect_writes_the_same_files_over_http(http: str, address: str, tmp_path: Path) -> None:
    done = node(PHOTOS / "coffee.jpg", tmp_path / "http", http, program=CONNECT)
    assert (done.returncode, done.stderr) == (0, "")
    assert node(PHOTOS / "coffee.jpg", tmp_path / "grpc", address).returncode == 0
    files = sorted((tmp_path / "http").iterdir())
    assert [file.name for file in files] == sorted(file.name for file in (tmp_path / "grpc").iterdir()) != []
    for file in files:
        assert f"-> {file}" in done.stdout
        assert file.read_bytes() == (tmp_path / "grpc" / file.name).read_bytes()


def test_connect_tells_a_refusal_with_its_field(http: str, tmp_path: Path) -> None:
    done = node(CONNECT, tmp_path, http, program=CONNECT)
    assert done.returncode == 1
    assert done.stderr.startswith("InvalidArgument: image.encoded is ")
    assert done.stderr.endswith("(image.encoded)\n")
    assert node(program=CONNECT).returncode == 2
