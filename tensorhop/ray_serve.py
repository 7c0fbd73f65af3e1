"""What an address of Ray Serve, "ray://HOST:PORT/APP", means for the calls that go there.

Serve's proxy is one gRPC server for all applications. It has no health of gRPC's, and it ends calls by statuses of its
own when a replica dies or is full. Services in Ray (deploy/ray) tell their faults in the call's details, because the
proxy drops what a failed call has in its trailing metadata.
"""

from typing import Any

from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.address import RAY, split_ray
from tensorhop.v1 import fault_pb2 as pb

APPLICATION = "application"  # metadata by which the proxy finds the application
LIST = "/ray.serve.RayServeAPIService/ListApplications"
NAMES = 1  # the field of its answer that has the applications' names
FULL_SECONDS = 0.5  # after which to try again where the queue of an application is full


def is_ray(address: str) -> bool:
    """Whether an address is one of Ray Serve."""
    return address.startswith(RAY)


def application_metadata(address: str) -> list[tuple[str, str]]:
    """What every call to an address carries, so that it arrives at its application. Raises OSError: malformed."""
    _, application = split_ray(address)
    return [(APPLICATION, application)] if application else []


def health_check(channel: Any, address: str) -> Any:
    """The method that tells the health of what is at an address: gRPC's own, or whether Serve runs the application.

    Args:
        channel: of grpc or of grpc.aio.
    """
    if not is_ray(address):
        return health_pb2_grpc.HealthStub(channel).Check
    _, application = split_ray(address)

    def ask(request: health_pb2.HealthCheckRequest) -> bytes:
        return b""

    def read(answer: bytes) -> health_pb2.HealthCheckResponse:
        fields: Any = UnknownFieldSet(Empty.FromString(answer))
        runs = any(field.field_number == NAMES and field.data == application.encode() for field in fields)
        status = health_pb2.HealthCheckResponse.SERVING if runs else health_pb2.HealthCheckResponse.NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)

    return channel.unary_unary(LIST, ask, read)


def write_details(fault: pb.Fault) -> str:
    """A fault as the details of a call: its JSON in one line."""
    return json_format.MessageToJson(fault, indent=None, ensure_ascii=True)


def read_details(details: str) -> pb.Fault | None:
    """The fault in the details of a call; None if there is none."""
    if not details.startswith("{"):
        return None
    try:
        return json_format.Parse(details, pb.Fault(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return None


def explain_status(fault: pb.Fault) -> None:
    """Make plain, in place, a fault made from a status that came from Serve itself, not from a service.

    INTERNAL means that the replica died or its node did: another one may answer. RESOURCE_EXHAUSTED means that the
    application's queue is full.
    """
    if fault.code == pb.CODE_INTERNAL:
        fault.code, fault.retryable = pb.CODE_UNAVAILABLE, True
        fault.message = f"its replica in Ray failed: {fault.message}"
    elif fault.code == pb.CODE_RESOURCE_EXHAUSTED and not fault.field:  # one of a field is too large
        fault.retry_after = FULL_SECONDS
