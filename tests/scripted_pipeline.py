"""A pipeline that fails as a script says, for the tests of clients."""

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.rpc.server import Server
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

PHOTO = np.zeros((4, 4, 3), np.uint8)


class Scripted:
    """Fails as told, in turn; then answers detections and a summary."""

    def __init__(self, *failures: Exception, after_an_event: bool = False) -> None:
        self.failures, self.after, self.calls = list(failures), after_an_event, 0

    def Process(self, packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
        self.calls += 1
        if self.failures and not self.after:
            raise self.failures.pop(0)
        yield Packet(pb.ProcessResponse(detections=pb.Detections()), Payloads())
        if self.failures:
            raise self.failures.pop(0)
        yield Packet(pb.ProcessResponse(summary=pb.Summary()), Payloads())


@contextlib.contextmanager
def serving(pipeline: object, address: str = "127.0.0.1:0") -> Iterator[str]:
    server = Server(SERVICE, pipeline, address)
    yield server.address
    server.stop(0).wait()


def fault(code: str, service: str = "pipeline", **more: Any) -> ServiceFault:
    return ServiceFault(fault_pb2.Fault(code=f"CODE_{code}", message="m", service=service, **more))


# Failures after which no attempt is made again, and more arguments of Scripted.
LASTING = pytest.mark.parametrize(
    ("failure", "more"),
    [
        (fault("UNAVAILABLE"), {"after_an_event": True}),
        (fault("UNAVAILABLE", "segment"), {}),  # which the pipeline has tried again already
        (fault("DEADLINE_EXCEEDED"), {}),
        (fault("INTERNAL"), {}),
        (fault("RESOURCE_EXHAUSTED"), {}),  # that does not say when to come again
        (InvalidInput("boxes", "is wrong"), {}),
    ],
    ids=["after an event", "a step's", "deadline", "internal", "exhausted", "invalid"],
)
