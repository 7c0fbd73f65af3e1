"""The id of a job: when it was submitted, for how long it lives, and chance."""

import re
import secrets
import time

from tensorhop.errors import ServiceFault
from tensorhop.v1 import fault_pb2

FORM = re.compile("[0-9a-f]{32}")


def new_id(seconds: int, now: float | None = None) -> str:
    """A new id; 32 hexadecimal digits. In order of text, ids are in the order of their submission.

    Args:
        seconds: the time to live.
        now: the time of the submission in seconds since 1970; this moment if not given.
    """
    milliseconds = int(1000 * (time.time() if now is None else now))
    return f"{milliseconds:011x}{seconds:06x}{secrets.token_hex(8)[1:]}"


def submitted_at(job: str) -> float:
    """Seconds since 1970 at which a job was submitted."""
    return int(job[:11], 16) / 1000


def expires_at(job: str) -> float:
    """Seconds since 1970 at which a job's time to live ends."""
    return submitted_at(job) + int(job[11:17], 16)


def missing(job: str) -> ServiceFault:
    """The fault of an id that no job has: it never had one, or the job's time to live has ended."""
    message = f"is {job[:40]!r}; no job has this id"
    if FORM.fullmatch(job) and expires_at(job) <= time.time():
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(expires_at(job)))
        message = f"is {job!r}; that job has expired: its time to live ended at {at} UTC"
    return refusal(fault_pb2.CODE_NOT_FOUND, "id", message)


def refusal(code: fault_pb2.Code, field: str, message: str) -> ServiceFault:
    """A refusal that is no invalid input, with a status of its own."""
    return ServiceFault(fault_pb2.Fault(code=code, field=field, message=f"{field} {message}", service="jobs"))
