"""Conversion of faults to gRPC statuses, and of failed calls to faults."""

import re

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from tensorhop.errors import RETRYABLE, ServiceFault, service_of, step_of
from tensorhop.proxy import explain_proxy
from tensorhop.ray_serve import explain_status, is_ray, read_details
from tensorhop.rpc.security import NO_HTTP2, explain
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.wire.calls import code_of

TOO_LARGE = re.compile(r"(CLIENT|SERVER): (Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")  # gRPC's words

# What gRPC says where something answered that is no gRPC server, and what each HTTP status means then: code, sentence.
HTTP_STATUS = re.compile(r"[Rr]eceived http2 header with status: (\d{3})")
NO_GRPC = "a proxy or web server is at this address, and no gRPC server is behind it (HTTP {0})"
BY_HTTP_STATUS = {
    "400": (pb.CODE_INTERNAL, "a proxy did not understand the request (HTTP 400); it must pass HTTP/2 on"),
    "401": (pb.CODE_UNAUTHENTICATED, "a proxy wants credentials (HTTP 401)"),
    "403": (pb.CODE_PERMISSION_DENIED, "a proxy does not let the request pass (HTTP 403)"),
    "404": (pb.CODE_UNIMPLEMENTED, NO_GRPC),
    "405": (pb.CODE_UNIMPLEMENTED, NO_GRPC),
    "408": (pb.CODE_DEADLINE_EXCEEDED, "a proxy gave up waiting for the request (HTTP 408); raise its limit"),
    "413": (
        pb.CODE_RESOURCE_EXHAUSTED,
        "a proxy refuses a request of this size (HTTP 413); raise its limit, such as client_max_body_size of nginx",
    ),
    "415": (pb.CODE_UNIMPLEMENTED, NO_GRPC),
    "429": (pb.CODE_RESOURCE_EXHAUSTED, "a proxy lets no more requests pass for now (HTTP 429)"),
    "431": (pb.CODE_RESOURCE_EXHAUSTED, "a proxy refuses headers of this size (HTTP 431)"),
    "502": (pb.CODE_UNAVAILABLE, "a proxy cannot reach the server behind it (HTTP 502)"),
    "503": (pb.CODE_UNAVAILABLE, "a proxy has no server for the request now (HTTP 503)"),
    "504": (
        pb.CODE_DEADLINE_EXCEEDED,
        "a proxy gave up waiting for the server behind it (HTTP 504); raise its timeout, such as grpc_read_timeout of "
        "nginx",
    ),
}
BODIES = ("408", "413", "431")  # about the request itself


def to_status(fault: pb.Fault) -> grpc.Status:
    """The gRPC status of a call that failed as a whole, with the fault as its detail."""
    status = status_pb2.Status(code=fault.code, message=fault.message)
    status.details.add().Pack(fault)
    answer: grpc.Status = rpc_status.to_status(status)
    return answer


def sentence_of(error: grpc.RpcError, address: str = "") -> str:
    """What gRPC says of a failed call, made plain where there was no connection.

    Args:
        address: that was called, as it was named; if not given, what gRPC's words say of it.
    """
    details = error.details() if hasattr(error, "details") else str(error)  # which is all that some wrappers say
    details = details or code_of(error).name
    proxy = explain_proxy(details)
    return details + proxy if proxy else explain(details, address)


def from_error(error: grpc.RpcError, service: str = "", address: str = "") -> ServiceFault:
    """The fault of a failed call: the one that the service sent, or one made from gRPC's own status.

    Args:
        service, address: that was called; "" if unknown.
    """
    code = code_of(error)
    told = read_details(error.details() or "") if is_ray(address) and hasattr(error, "details") else None
    if told is not None:
        return ServiceFault(told)
    fault = pb.Fault(code=f"CODE_{code.name}", message=sentence_of(error, address))
    fault.retryable = fault.code in RETRYABLE
    lasting = NO_HTTP2 in fault.message
    if answer := HTTP_STATUS.search(fault.message):
        fault.code, sentence = BY_HTTP_STATUS.get(
            answer[1], (fault.code, "a proxy answered in place of the server (HTTP {0})")
        )
        fault.message = sentence.format(answer[1])
        fault.field = "request" if answer[1] in BODIES else ""
        fault.retryable = answer[1] in ("429", "502", "503")
        lasting = not fault.retryable
    if size := TOO_LARGE.search(fault.message):
        # Either end refuses such a message with a code that otherwise means that a retry may succeed.
        end, did, got, most = size.groups()
        fault.field = "request" if (end, did) in (("CLIENT", "Sent"), ("SERVER", "Received")) else "response"
        fault.message = (
            f"{fault.field} has {int(got):,} bytes; the {end.lower()} allows at most {int(most):,} "
            "(TENSORHOP_MAX_MESSAGE_BYTES)"
        )
        fault.retryable = False
    if is_ray(address):
        explain_status(fault)
    try:
        status = rpc_status.from_call(error)
    except (ValueError, AttributeError):  # the details contradict the status, such as after a proxy changed it; or none
        status = None
    for detail in status.details if status else ():
        if detail.Is(pb.Fault.DESCRIPTOR):
            detail.Unpack(fault)
    if not service_of(fault):
        fault.service, fault.step = service, step_of(service)
    return ServiceFault(fault, lasting)
