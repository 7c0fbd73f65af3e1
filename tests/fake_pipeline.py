"""A pipeline that fails, waits or answers as a test wants: by the request's id."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import numpy as np

from tensorhop.errors import InvalidInput, Overloaded, ServiceFault
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.v1 import fault_pb2, tensor_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.web.serve import HttpServer
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.payloads import Payloads

LARGE = 30_000_000  # bytes of a picture that no socket's buffers hold
FAULT = fault_pb2.Fault(
    step=fault_pb2.STEP_SEGMENT, code=fault_pb2.CODE_UNAVAILABLE, message="segment has gone", retryable=True
)


class FakePipeline:
    """Remembers what it was asked, and whether its callers stayed."""

    def __init__(self) -> None:
        self.requests: list[pb.ProcessRequest] = []
        self.photos: list[np.ndarray] = []  # of those that came as tensors
        self.seconds: list[float | None] = []
        self.entered, self.left, self.go_on = threading.Semaphore(0), threading.Event(), threading.Event()

    def Process(self, packet: Packet[pb.ProcessRequest], context: grpc.ServicerContext) -> Iterator[Packet]:
        request, behaviour = packet.message, packet.message.request_id
        self.requests.append(request)
        if request.image.HasField("tensor"):
            self.photos.append(read_image(request.image, packet.payloads))
        self.seconds.append(context.time_remaining())
        if behaviour == "wrong":
            raise InvalidInput("boxes[2].x1", "is NaN; it must be finite")
        if behaviour == "busy":
            raise Overloaded("16 inputs wait already", 2.5)
        if behaviour == "broken":
            raise ServiceFault(FAULT)
        for event in self._events(behaviour, context):
            if isinstance(event, pb.ObjectResult) and behaviour == "large":
                event.picture.encoded = bytes(LARGE)
            if isinstance(event, pb.ObjectResult) and request.output.encoding == pb.ENCODING_TENSOR:
                event.picture.tensor.CopyFrom(tensor_pb2.Tensor(dtype="UINT8", shape=[1, 1, 4], data=bytes(4)))
            response = pb.ProcessResponse(request_id=request.request_id)
            getattr(response, FIELDS[type(event)]).CopyFrom(event)
            yield Packet(response, Payloads.inside())

    def _events(self, behaviour: str, context: grpc.ServicerContext) -> Iterator[object]:
        if behaviour == "waits":
            context.add_callback(self.left.set)
        yield pb.Detections()
        if behaviour == "waits":
            self.entered.release()
            while context.is_active() and not self.go_on.wait(0.02):
                pass
        if behaviour == "breaks":
            yield result(0)
            raise ServiceFault(FAULT)
        if behaviour in ("first fails", "all fail"):
            yield result(1) if behaviour == "first fails" else fault(1)
            yield fault(0)
        elif behaviour != "nothing":
            yield result(0)
        yield pb.Summary()


def result(index: int) -> pb.ObjectResult:
    message = pb.ObjectResult()
    message.detection.index = index
    message.picture.encoded = f"picture {index}".encode()
    return message


def fault(index: int) -> pb.ObjectFault:
    message = pb.ObjectFault(fault=FAULT)
    message.detection.index = index
    return message


FIELDS = {pb.Detections: "detections", pb.ObjectResult: "object", pb.ObjectFault: "fault", pb.Summary: "summary"}


@contextmanager
def serving(
    origins: tuple[str, ...] = (), settings: Settings | None = None, multipart: bool = False
) -> Iterator[tuple[FakePipeline, str, HttpServer]]:
    """The fake, the address of an HTTP server in front of it, and that server."""
    fake = FakePipeline()
    pipeline = Server(SERVICE, fake, "127.0.0.1:0")
    http = HttpServer("127.0.0.1:0", pipeline.address, origins, settings=settings, multipart=multipart)
    try:
        yield fake, http.address, http
    finally:
        fake.go_on.set()
        http.stop(1).wait()
        pipeline.stop(0).wait()
