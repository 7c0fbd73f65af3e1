"""The FastAPI view of docs/asyncio.md: streams cut-outs, tells errors by status, and ends what nobody wants."""

import base64
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from http_caller import BOUNDARY, form
from scripted_pipeline import fault, serving
from waiting import GUARD

from tensorhop.rpc.server import Server
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

PAGE = (Path(__file__).parents[2] / "docs" / "asyncio.md").read_text()
(APP,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "FastAPI(" in block)


@contextmanager
def application(pipeline: str, folder: Path) -> Iterator[str]:
    """The page's view in front of a pipeline, started as the page says; its address."""
    assert APP.count("localhost:50050") == 1
    (folder / "app.py").write_text(APP.replace("localhost:50050", pipeline))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=folder)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(GUARD)


def ask(address: str, **fields: Any) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", "/cutouts", form(fields), headers)
    return connection.getresponse()


def test_a_photo_becomes_cut_outs(servers: dict[str, Server], tmp_path: Path) -> None:
    with application(servers["pipeline"].address, tmp_path) as address:
        rows = [json.loads(line) for line in ask(address, phrases=["cat"])]
        assert [row["event"] for row in rows] == ["Detections", "ObjectResult", "Summary"]
        assert rows[1]["label"] == "cat"
        assert base64.b64decode(rows[1]["png"]).startswith(b"\x89PNG")
        refused = ask(address, phrases=["", "cat"])
        assert refused.status == 400
        assert "phrases[0]" in refused.read().decode()


class Slow:
    """Sends one event, and waits."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def Process(self, packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
        context.add_callback(self.left.set)
        yield Packet(pb.ProcessResponse(detections=pb.Detections()), Payloads())
        self.left.wait(60)


def test_events_are_sent_as_they_happen_and_who_leaves_ends_the_work(tmp_path: Path) -> None:
    slow = Slow()
    with serving(slow) as pipeline, application(pipeline, tmp_path) as address:
        answer = ask(address)
        assert json.loads(answer.readline()) == {"event": "Detections"}
        assert not slow.left.is_set()
        answer.close()
        assert slow.left.wait(GUARD)


class Broken:
    """Fails before the first event, or after it."""

    def __init__(self, late: bool) -> None:
        self.late = late

    def Process(self, packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
        if self.late:
            yield Packet(pb.ProcessResponse(detections=pb.Detections()), Payloads())
        raise fault("UNAVAILABLE", "segment")


@pytest.mark.parametrize("late", [False, True])
def test_a_pipeline_that_fails_is_told(tmp_path: Path, late: bool) -> None:
    with serving(Broken(late)) as pipeline, application(pipeline, tmp_path) as address:
        answer = ask(address)
        if late:
            assert [json.loads(line) for line in answer] == [{"event": "Detections"}, {"error": "m"}]
        else:
            assert (answer.status, json.load(answer)) == (503, {"detail": "m"})
