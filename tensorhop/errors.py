"""What can go wrong, and the one table that says which gRPC status it becomes."""

from typing import Any, Self

from tensorhop.v1 import fault_pb2 as pb


class InvalidInput(ValueError):
    """The caller sent something that is not allowed.

    Args:
        field: the request's field as a path, as "boxes[2].x1".
        message: what came and what is allowed; the field's name and this make a sentence: "is NaN; it must be finite".
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field, self._message = field, message

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which would make it of its whole sentence alone."""
        return type(self), (self.field, self._message)


class NotShared(InvalidInput):
    """The caller sent a reference to memory that this process does not share; sent with its bytes, the call is good."""


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Overloaded(Exception):
    """More is waiting than may wait.

    Args:
        retry_after: seconds after which there is likely to be room.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.retry_after)


class ServiceFault(Exception):
    """A fault that another service answered, passed on as it is.

    Args:
        lasting: whether it is known not to pass by itself, whatever its code, as a certificate that does not fit.
    """

    def __init__(self, fault: pb.Fault, lasting: bool = False) -> None:
        super().__init__(fault.message)
        self.fault, self.lasting = fault, lasting

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._of_bytes, (self.fault.SerializeToString(), self.lasting)

    @classmethod
    def _of_bytes(cls, fault: bytes, lasting: bool) -> Self:
        return cls(pb.Fault.FromString(fault), lasting)


# The first class that an exception is an instance of decides.
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
MAX_MESSAGE = 1000  # bytes; a status travels twice in HTTP headers, once as %XX, and gRPC takes 8 KiB of them
RETRYABLE = {pb.CODE_UNAVAILABLE, pb.CODE_RESOURCE_EXHAUSTED, pb.CODE_ABORTED}


def step_of(service: str) -> pb.Step:
    """The enum's value for a service; STEP_UNSPECIFIED for one that is not in the chain of cut-outs."""
    return STEPS.get(service, pb.STEP_UNSPECIFIED)


def service_of(fault: pb.Fault) -> str:
    """Name of the service whose fault it is; "" if that is not known. Older servers state only the step."""
    return fault.service or next((name for name, step in STEPS.items() if step == fault.step), "")


def fault_of(error: Exception, service: str = "") -> pb.Fault:
    """The fault that tells a caller about an exception raised in a service."""
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
