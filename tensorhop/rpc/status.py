"""Faults as gRPC statuses, and back: what a failed call says."""

import re

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from tensorhop.errors import RETRYABLE, ServiceFault, service_of, step_of
from tensorhop.rpc.proxy import explain_proxy
from tensorhop.rpc.security import explain
from tensorhop.v1 import fault_pb2 as pb

TOO_LARGE = re.compile(r"(CLIENT|SERVER): (Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")  # as gRPC says


def to_status(fault: pb.Fault) -> grpc.Status:
    """The gRPC status of a call that failed as a whole; the fault travels along as its detail."""
    status = status_pb2.Status(code=fault.code, message=fault.message)
    status.details.add().Pack(fault)
    return rpc_status.to_status(status)


def sentence_of(error: grpc.RpcError) -> str:
    """What gRPC says of a failed call, made plain where it is about TLS or a proxy."""
    details = error.details() or error.code().name
    proxy = explain_proxy(details)
    return details + proxy if proxy else explain(details)


def from_error(error: grpc.RpcError, service: str = "") -> ServiceFault:
    """What a failed call says: the fault that the service sent, or one made from gRPC's own status."""
    code = error.code()
    fault = pb.Fault(code=f"CODE_{code.name}", message=sentence_of(error))
    fault.retryable = fault.code in RETRYABLE
    if size := TOO_LARGE.search(fault.message):
        # gRPC refuses it, on either end, with a code that otherwise says that it may pass later.
        end, did, got, most = size.groups()
        fault.field = "request" if (end, did) in (("CLIENT", "Sent"), ("SERVER", "Received")) else "response"
        fault.message = (
            f"{fault.field} has {int(got):,} bytes; the {end.lower()} allows at most {int(most):,} "
            "(TENSORHOP_MAX_MESSAGE_BYTES)"
        )
        fault.retryable = False
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details contradict the status, as after a proxy has changed it
        status = None
    for detail in status.details if status else ():
        if detail.Is(pb.Fault.DESCRIPTOR):
            detail.Unpack(fault)
    if not service_of(fault):
        fault.service, fault.step = service, step_of(service)
    return ServiceFault(fault)
