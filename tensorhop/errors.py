"""Exceptions, and the one table that maps them to gRPC statuses."""

import contextlib
from collections.abc import Iterator
from typing import Any, Self

from tensorhop.v1 import fault_pb2 as pb


class InvalidInput(ValueError):
    """The caller sent something that is not allowed.

    Args:
        field: the request's field as a path, such as "boxes[2].x1".
        message: what came and what is allowed. With the field's name it makes a sentence: "is NaN; it must be finite".
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field, self.message = field, message

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which would make it of its whole sentence alone."""
        return type(self), (self.field, self.message)


@contextlib.contextmanager
def about(service: str) -> Iterator[None]:
    """Where several services start at once: name the one that an error is about, "segment: --device is ..."."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{service}: {error.field}", error.message) from error


class NotShared(InvalidInput):
    """The caller referred to memory that this process does not share. The same call with the bytes inside is valid."""


class Abandoned(Exception):
    """The caller no longer waits for the answer."""


class Overloaded(Exception):
    """A queue or a limit is full.

    Args:
        retry_after: seconds after which a retry is likely to succeed.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.retry_after)


class ServiceFault(Exception):
    """A fault that another service answered, passed on unchanged.

    Args:
        lasting: whether it is known not to pass by itself, whatever its code, as a certificate that does not fit.
    """

    def __init__(self, fault: pb.Fault, lasting: bool = False) -> None:
        super().__init__(fault.message)
        self.fault, self.lasting = fault, lasting

    @property
    def code(self) -> str:
        """A gRPC status code, such as "INVALID_ARGUMENT"."""
        return code_name(self.fault)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._of_bytes, (self.fault.SerializeToString(), self.lasting)

    @classmethod
    def _of_bytes(cls, fault: bytes, lasting: bool) -> Self:
        return cls(pb.Fault.FromString(fault), lasting)


# The first class that matches an exception decides.
CODES: list[tuple[type[Exception], pb.Code]] = [
    (NotShared, pb.CODE_FAILED_PRECONDITION),
    (InvalidInput, pb.CODE_INVALID_ARGUMENT),
    (TimeoutError, pb.CODE_DEADLINE_EXCEEDED),
    (ConnectionError, pb.CODE_UNAVAILABLE),
    (MemoryError, pb.CODE_RESOURCE_EXHAUSTED),
    (Overloaded, pb.CODE_RESOURCE_EXHAUSTED),
    (Abandoned, pb.CODE_CANCELLED),
    (NotImplementedError, pb.CODE_UNIMPLEMENTED),
    (Exception, pb.CODE_INTERNAL),
]
STEPS: dict[str, pb.Step] = {
    "describe": pb.STEP_DESCRIBE,
    "detect": pb.STEP_DETECT,
    "segment": pb.STEP_SEGMENT,
    "postprocess": pb.STEP_POSTPROCESS,
}
MAX_MESSAGE = 1000  # bytes; HTTP headers hold it twice, once percent-encoded, and gRPC accepts 8 KiB of headers
RETRYABLE = {pb.CODE_UNAVAILABLE, pb.CODE_RESOURCE_EXHAUSTED, pb.CODE_ABORTED}


def code_name(fault: pb.Fault) -> str:
    """A fault's gRPC status code, such as "INVALID_ARGUMENT"."""
    return pb.Code.Name(fault.code).removeprefix("CODE_")


def step_of(service: str) -> pb.Step:
    """The enum's value for a service; STEP_UNSPECIFIED for a service outside of the chain of cut-outs."""
    return STEPS.get(service, pb.STEP_UNSPECIFIED)


def service_of(fault: pb.Fault) -> str:
    """The name of the service that a fault is about; "" if unknown. Older servers state only the step."""
    return fault.service or next((name for name, step in STEPS.items() if step == fault.step), "")


def fault_of(error: Exception, service: str = "") -> pb.Fault:
    """The fault by which a service reports an exception to its caller."""
    if isinstance(error, ServiceFault):
        return error.fault
    code = next(code for kind, code in CODES if isinstance(error, kind))
    message = (str(error) or type(error).__name__).encode(errors="replace")
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 4] + b" ..."
    return pb.Fault(
        step=step_of(service),
        service=service,
        code=code,
        field=error.field if isinstance(error, InvalidInput) else "",
        message=message.decode(errors="ignore"),
        retryable=code in RETRYABLE,
        retry_after=error.retry_after if isinstance(error, Overloaded) else None,
    )
