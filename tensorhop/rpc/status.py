"""Conversion of faults to gRPC statuses, and of failed calls to faults."""

import re

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from tensorhop.errors import RETRYABLE, ServiceFault, service_of, step_of
from tensorhop.rpc.security import explain
from tensorhop.v1 import fault_pb2 as pb

TOO_LARGE = re.compile(r"(CLIENT|SERVER): (Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")  # gRPC's words


def to_status(fault: pb.Fault) -> grpc.Status:
    """The gRPC status of a call that failed as a whole, with the fault as its detail."""
    status = status_pb2.Status(code=fault.code, message=fault.message)
    status.details.add().Pack(fault)
    answer: grpc.Status = rpc_status.to_status(status)
    return answer


def from_error(error: grpc.RpcError, service: str = "") -> ServiceFault:
    """The fault of a failed call: the one that the service sent, or one made from gRPC's own status."""
    code = error.code()
    fault = pb.Fault(code=f"CODE_{code.name}", message=explain(error.details() or code.name))
    fault.retryable = fault.code in RETRYABLE
    if size := TOO_LARGE.search(fault.message):
        # Either end refuses such a message with a code that otherwise means that a retry may succeed.
        end, did, got, most = size.groups()
        fault.field = "request" if (end, did) in (("CLIENT", "Sent"), ("SERVER", "Received")) else "response"
        fault.message = (
            f"{fault.field} has {int(got):,} bytes; the {end.lower()} allows at most {int(most):,} "
            "(TENSORHOP_MAX_MESSAGE_BYTES)"
        )
        fault.retryable = False
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details contradict the status, such as after a proxy has changed it
        status = None
    for detail in status.details if status else ():
        if detail.Is(pb.Fault.DESCRIPTOR):
            detail.Unpack(fault)
    if not service_of(fault):
        fault.service, fault.step = service, step_of(service)
    return ServiceFault(fault)
