"""A route that takes pictures: admission, the body, the work, the answer."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import SECONDS
from tensorhop.request_id import new_id, usable
from tensorhop.rpc.fairness.callers import Caller
from tensorhop.web.accept import choose
from tensorhop.web.problem import Refused, problem
from tensorhop.web.requests import upload
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.parameters import TIMEOUT_SECONDS
from tensorhop.web.requests.upload import Content
from tensorhop.web.stream import Incoming

REQUEST_ID, TIMEOUT = "X-Request-Id", "X-Request-Timeout"
LINGER_SECONDS = 1.0  # for which a refused upload is read on: who cannot send does not look for an answer

T = TypeVar("T")


@dataclass
class Asked:
    """A request that has a place, and what its answer may use until it is sent."""

    request: Request
    incoming: Incoming
    accept: str
    caller: Caller
    stack: contextlib.ExitStack  # ends when the answer is sent
    started: float

    def settle(self, values: Mapping[str, Any]) -> None:
        """Take the request's id and timeout from its parameters, or else from its headers. Raises InvalidInput."""
        header = self.request.headers.get(REQUEST_ID, "")
        given = values.get("request_id") or header
        self.request.state.request_id = readable_id(given or self.request_id)
        self.sent_id: str = given or self.request_id
        self.request.state.seconds = timeout_of(self.request, values.get("timeout"))

    @property
    def request_id(self) -> str:
        """As it goes into headers."""
        return str(self.request.state.request_id)

    def left(self) -> float:
        """Seconds until the request's deadline."""
        return max(0.0, float(self.request.state.seconds) - (time.monotonic() - self.started))


class Endpoint(ABC, Generic[T]):
    """An ASGI application for one route.

    `offers` are the media types that it may answer, in the order that decides among equals. `names` has the parameters
    by the fields of the request that they set, for errors.
    """

    offers: Sequence[str]
    names: Mapping[str, str]

    def __init__(self, admission: Admission) -> None:
        self.admission = admission

    @abstractmethod
    def read(self, content: Content) -> T:
        """What the request asks for; in a thread. Raises InvalidInput."""

    @abstractmethod
    async def respond(self, asked: Asked, given: T) -> Response:
        """The answer to what was read. Raises InvalidInput, ServiceFault, Refused, ClientDisconnect."""

    def refuse(self, request: Request, error: Exception) -> Response:
        """The answer to a request that failed as a whole."""
        return problem(error, request.state.request_id, self.names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        request = Request(scope, incoming)
        request_id = readable_id(request.headers.get(REQUEST_ID, ""))
        request.state.request_id = request_id
        request.state.seconds = 0.0
        with contextlib.ExitStack() as stack:
            try:
                response = await self._answer(request, incoming, stack)
            except ClientDisconnect:
                return
            except Exception as error:
                response = self.refuse(request, error)
            response.headers[REQUEST_ID] = request.state.request_id
            response.headers["Cache-Control"] = "no-store"
            if not incoming.whole:
                await send_early(response, incoming, send)
                return
            with contextlib.suppress(TimeoutError):  # the server closes what was not sent to its end
                async with asyncio.timeout(request.state.seconds + self.admission.settings.max_upload_seconds):
                    await response(scope, incoming, send)

    async def _answer(self, request: Request, incoming: Incoming, stack: contextlib.ExitStack) -> Response:
        """The answer; what it needs until it is sent ends with the stack."""
        started = time.monotonic()
        admission = self.admission
        admission.admit(request)
        accept = accept_of(request)
        media_of(accept, self.offers)
        kind = upload.check(request, admission.settings)
        caller = admission.caller_of(request)
        admission.check_room(caller)  # before anything is sent in vain
        given = await admission.uploads.receive(request, kind, caller, self.read)
        admission.take_place(caller, stack)  # who sends slowly has none meanwhile
        return await self.respond(Asked(request, incoming, accept, caller, stack, started), given)


def accept_of(request: Request) -> str:
    """What the request accepts: all of its headers Accept as one."""
    return ", ".join(request.headers.getlist("accept"))


def media_of(accept: str, offers: Sequence[str]) -> str:
    """The media type of the answer. Raises Refused: none of the offers is accepted."""
    media = choose(accept, offers)
    if media is None:
        raise Refused(406, "INVALID_ARGUMENT", f"Accept is {accept[:200]!r}; possible are {', '.join(offers)}")
    return media


def timeout_of(request: Request, given: float | None) -> float:
    """Seconds for the whole request: those of the parameter, or else of the header. Raises InvalidInput."""
    if given is not None:
        return given
    text = request.headers.get(TIMEOUT)
    try:
        return TIMEOUT_SECONDS if text is None else float(SECONDS.from_text(text))
    except ValueError as error:
        raise InvalidInput(TIMEOUT, f"is {text!r}; it must be {SECONDS.expects}") from error


def readable_id(given: str) -> str:
    """The caller's name for the request, or a new one where it gave none that a header can hold."""
    return given if usable(given) else new_id()


async def send_early(response: Response, incoming: Incoming, send: Send) -> None:
    """Answer a request that was not read to its end, and close the connection."""
    response.headers["Connection"] = "close"
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while not incoming.whole:
                await incoming()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
