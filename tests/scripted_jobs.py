"""Servers of jobs, and a chain that fails or waits as a test wants."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage

from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.jobs.service import SERVICE
from tensorhop.orchestrator.jobs.servicer import JobServicer
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.v1 import fault_pb2, jobs_pb2_grpc, pipeline_pb2
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.values.images.png import encode_png
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

PICTURE = encode_png(np.full((4, 6, 4), 200, np.uint8))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Chain:
    """A pipeline of two objects, which does at its n-th call what a script says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.script: list[Callable[[], None]] = []  # what happens between the two objects, by call
        self.requests: list[pipeline_pb2.ProcessRequest] = []
        self.left = threading.Event()  # a caller has gone

    def Process(self, packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
        self.requests.append(packet.message)
        context.add_callback(self.left.set)
        yield answer(detections=pipeline_pb2.Detections())
        yield answer(object=made_object(0))
        if self.script:
            self.script.pop(0)()
        yield answer(object=made_object(1))
        yield answer(summary=pipeline_pb2.Summary(objects=2))


def answer(**event: Any) -> Packet:
    return Packet(pipeline_pb2.ProcessResponse(**event), Payloads())


def made_object(index: int) -> pipeline_pb2.ObjectResult:
    made = pipeline_pb2.ObjectResult(picture=pipeline_pb2.Picture(encoded=PICTURE))
    made.detection.index = index
    return made


def fail(code: str, retryable: bool = False) -> Callable[[], None]:
    def raise_it() -> None:
        raise ServiceFault(
            fault_pb2.Fault(code=f"CODE_{code}", message=f"scripted {code}", service="segment", retryable=retryable)
        )

    return raise_it


@contextlib.contextmanager
def serving(servicer: object, address: str = "127.0.0.1:0") -> Iterator[str]:
    server = Server(PIPELINE, servicer, address)
    try:
        yield server.address
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def jobs_of(pipeline: str, **settings: Any) -> Iterator[jobs_pb2_grpc.JobServiceStub]:
    """The generated stub of a server of jobs, which has stopped when the context is left."""
    servicer = JobServicer({"pipeline": pipeline}, Settings(**{name: str(one) for name, one in settings.items()}))
    server = Server(SERVICE, servicer, "127.0.0.1:0")
    channel = grpc.insecure_channel(server.address, [("grpc.max_receive_message_length", -1)])
    try:
        yield jobs_pb2_grpc.JobServiceStub(channel)
    finally:
        channel.close()
        server.stop(0).wait()
        servicer.close()


def submission(**more: Any) -> pb.SubmitJobRequest:
    """A submission of a request that the scripted chain takes."""
    held = AnyMessage()
    held.Pack(pipeline_pb2.ProcessRequest(phrases=["cat"]))
    return pb.SubmitJobRequest(request=held, **more)


def results(stub: jobs_pb2_grpc.JobServiceStub, job: str, first: int = 0) -> list[str]:
    """The names of a job's events, waited for until it has ended."""
    return [one.event.name for one in stub.GetJobResults(pb.GetJobResultsRequest(id=job, first_event=first))]


def ended(stub: jobs_pb2_grpc.JobServiceStub, job: str) -> pb.Job:
    """The record of a job, when it has ended."""
    *_, last = stub.WatchJob(pb.WatchJobRequest(id=job))
    return last.job


class Receiver:
    """A receiver of webhooks, with the headers and bodies that came, and the statuses that it answers in turn."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[tuple[dict[str, str], str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                receiver.received.append(({name.lower(): one for name, one in self.headers.items()}, body))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def secret_file(folder: Path) -> Path:
    file = folder / "secret"
    file.write_text(SECRET + "\n")
    return file
