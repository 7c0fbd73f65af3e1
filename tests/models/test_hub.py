"""`tensorhop models`, against a hub on loopback that speaks as much of the hub's protocol as is needed."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * (24 * 4096)  # the library keeps what came in pieces of 10 MB
FILES = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"the same weights in the older form",
    "modeling.py": b"raise SystemExit('ran')",
    "onnx/model.onnx": b"a network",
    "README.md": b"# about",
}
REPOS = ("o/m", "onnx-community/BiRefNet_lite-ONNX")


class Hub(ThreadingHTTPServer):
    """Serves FILES as each of REPOS; `breaks` answers of weights end halfway."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[tuple[str, str | None]] = []  # files, and the range that was asked for
        self.breaks = 0


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        for repo in REPOS:
            if path == f"/api/models/{repo}" or path == f"/api/models/{repo}/revision/main":
                siblings = [{"rfilename": name} for name in FILES]
                return self.json({"id": repo, "sha": COMMIT, "siblings": siblings})
            if path.startswith(f"/api/models/{repo}/revision/"):
                return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            if path == f"/api/models/{repo}/tree/{COMMIT}":
                files = [{"path": name, "size": len(data), "oid": _sha(data)} for name, data in FILES.items()]
                return self.json([{"type": "file", **file} for file in files])
            for name, data in FILES.items():
                if path == f"/{repo}/resolve/{COMMIT}/{name}":
                    return self.file(name, data)
        return self.send(404, b"", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def file(self, name: str, data: bytes) -> None:
        wanted = self.headers.get("Range")
        headers = {"ETag": f'"{_sha(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = 0
        if self.command == "GET":
            self.server.sent.append((name, wanted))
            if wanted and (found := re.match(r"bytes=(\d+)-", wanted)):
                start = int(found[1])
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if self.command == "GET" and data is WEIGHTS and self.server.breaks:
            self.server.breaks -= 1
            self.send(206 if start else 200, body[: len(body) // 2], headers, len(body))
            self.close_connection = True
        else:
            self.send(206 if start else 200, body, headers, len(body))

    def json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send(200, body, {"Content-Type": "application/json"}, len(body))

    def send(self, code: int, body: bytes, headers: dict[str, str], length: int = 0) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def _sha(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def server():
    with Hub() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def tensorhop(server, tmp_path):
    """The command, with a home of its own, and the hub on loopback."""

    def call(*words: str, endpoint: str = f"http://127.0.0.1:{server.server_port}") -> subprocess.CompletedProcess:
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "COLUMNS": "200"}
        command = [sys.executable, "-m", "tensorhop.orchestrator", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)

    return call


def test_pull_fetches_a_checkpoint_once_and_nothing_else(server, tensorhop):
    first = tensorhop("models", "pull", "o/m")
    assert first.returncode == 0, first.stderr
    folder = Path(re.search(r"o/m: (\S+) \(commit (\w+)\)", first.stdout)[1])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: FILES[name] for name in ("config.json", "model.safetensors")
    }
    server.sent.clear()
    assert tensorhop("models", "pull", "o/m").stdout == first.stdout
    assert not server.sent


def test_pull_goes_on_where_it_was_interrupted(server, tensorhop):
    server.breaks = 1
    pulled = tensorhop("models", "pull", "o/m")
    if pulled.returncode:  # the library gave up; the user asks again
        pulled = tensorhop("models", "pull", "o/m")
    assert pulled.returncode == 0, pulled.stderr
    ranges = [wanted for name, wanted in server.sent if name == "model.safetensors"]
    assert len(ranges) == 2
    assert int(re.match(r"bytes=(\d+)-", ranges[1])[1]) > 0
    folder = Path(re.search(r"o/m: (\S+)", pulled.stdout)[1])
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_preset_is_listed_as_here_when_its_one_file_is(server, tensorhop):
    assert _here(tensorhop("models", "list").stdout, "birefnet-lite") == "no"
    assert tensorhop("models", "pull", "birefnet-lite").returncode == 0
    assert [name for name, _ in server.sent] == ["onnx/model.onnx"]
    listed = tensorhop("models", "list", endpoint="http://127.0.0.1:1").stdout
    assert _here(listed, "birefnet-lite") == "yes"
    assert _here(listed, "birefnet") == "no"


def _here(table: str, name: str) -> str:
    (row,) = [line.split() for line in table.splitlines() if line.split()[:1] == [name]]
    return row[-1]


def test_code_is_fetched_only_when_asked_for(tensorhop):
    assert tensorhop("models", "pull", "o/m").returncode == 0
    folder = Path(re.search(r"o/m: (\S+)", tensorhop("models", "pull", "o/m", "--code").stdout)[1])
    assert (folder / "modeling.py").read_bytes() == FILES["modeling.py"]


@pytest.mark.parametrize(
    ("words", "endpoint", "says"),
    [
        (["o/other"], None, "o/other: the hub has no such model"),
        (["a/b/c"], None, "NAME is 'a/b/c', a path; name a preset or a hub id"),
        (["o/m", "--revision", "v9"], None, "--revision v9 is no branch, tag or commit of o/m"),
        (["o/m"], "http://127.0.0.1:1", "o/m is not on this machine, and http://127.0.0.1:1 cannot be reached"),
    ],
)
def test_what_cannot_be_pulled_is_said_in_one_line(tensorhop, words, endpoint, says):
    pulled = tensorhop("models", "pull", *words, **({"endpoint": endpoint} if endpoint else {}))
    assert pulled.returncode == 1
    assert says in pulled.stderr
    assert "Traceback" not in pulled.stderr


def test_serve_without_network_says_how_to_get_the_model(tensorhop):
    served = tensorhop("serve", "segment", "--model", "birefnet-lite", endpoint="http://127.0.0.1:1")
    assert served.returncode != 0
    assert "tensorhop models pull birefnet-lite" in " ".join(served.stderr.replace("│", " ").split())
