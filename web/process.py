"""POST /process: from an upload to an answer."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tensorhop.client.call import Call
from tensorhop.client.events import Event
from tensorhop.client.pipeline import PipelineClient
from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import SECONDS
from tensorhop.request_id import new_id, usable
from tensorhop.rpc.fairness.callers import Caller, digest, use_caller
from tensorhop.rpc.fairness.shares import OVERSHOOT, FairShare
from tensorhop.rpc.tokens import KEY, Tokens
from tensorhop.settings import Settings
from tensorhop.web import answers, upload
from tensorhop.web.accept import EVENTS, JSON, OFFERS, PICTURES, TENSOR, ZIP, choose
from tensorhop.web.parameters import PARAMETERS, Wish, wish
from tensorhop.web.problem import Refused, problem
from tensorhop.web.stream import Incoming, Stream, while_there
from tensorhop.web.upload import BUSY_SECONDS, Uploads

REQUEST_ID, TIMEOUT = "X-Request-Id", "X-Request-Timeout"
LINGER_SECONDS = 1.0  # for which a refused upload is read on: who cannot send does not look for an answer


class Process:
    """The endpoint. It knows no step and checks no value: the pipeline does."""

    def __init__(
        self, client: PipelineClient, settings: Settings, origins: Sequence[str] = (), tokens: Tokens | None = None
    ) -> None:
        self._client, self._settings, self._origins, self._tokens = client, settings, origins, tokens
        self._places = FairShare(settings.max_requests)
        self._uploads = Uploads(settings)
        self._pool = ThreadPoolExecutor(OVERSHOOT * settings.max_requests, thread_name_prefix="pipeline")

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
                response = problem(error, request.state.request_id)
            response.headers[REQUEST_ID] = request.state.request_id
            response.headers["Cache-Control"] = "no-store"
            if not incoming.whole:
                await send_early(response, incoming, send)
                return
            with contextlib.suppress(TimeoutError):  # the server closes what was not sent to its end
                async with asyncio.timeout(request.state.seconds + self._settings.max_upload_seconds):
                    await response(scope, incoming, send)

    async def _answer(self, request: Request, incoming: Incoming, stack: contextlib.ExitStack) -> Response:
        """The answer; what it needs until it is sent ends with the stack."""
        started = time.monotonic()
        self._check_origin(request)
        self._check_token(request)
        accept = ", ".join(request.headers.getlist("accept"))
        media_of(accept, OFFERS)
        kind = upload.check(request, self._settings)
        caller = caller_of(request, bool(self._tokens))
        if not self._places.has_room(caller):  # before anything is sent in vain
            raise self._busy()
        received = await self._uploads.receive(request, kind, caller)
        self._take_place(caller, stack)  # who sends slowly has none meanwhile
        wanted = wish(received.values)
        request.state.request_id = readable_id(wanted.request_id or request.state.request_id)
        media, wanted = agree(accept, wanted)
        timeout = request.state.seconds = timeout_of(request, wanted)

        def start() -> Call[Event]:
            use_caller(caller)
            return self._client.process(
                received.image,
                **wanted.keywords,
                masks=received.masks,
                output=replace(wanted.output, background_image=received.background_image),
                return_masks=wanted.return_masks,
                request_id=wanted.request_id or request.headers.get(REQUEST_ID, "") or request.state.request_id,
                timeout=max(0.0, timeout - (time.monotonic() - started)),
            )

        stream = Stream(start, self._pool, wanted.continue_on_error)
        stack.callback(stream.close)
        made = answers.make(media, stream, request.state.request_id, wanted.output.encoding)
        return await while_there(incoming, made)

    def _take_place(self, caller: Caller, stack: contextlib.ExitStack) -> None:
        if not self._places.take(caller):
            raise self._busy()
        stack.callback(self._places.give_back, caller)

    def _busy(self) -> Refused:
        message = f"{self._places.held} requests are being worked on already"
        return Refused(503, "UNAVAILABLE", message, BUSY_SECONDS)

    def _check_token(self, request: Request) -> None:
        """The pipeline is called with this server's own token, so this server asks for one itself."""
        if self._tokens and not self._tokens.take(request.headers.get(KEY, "")):
            message = f"http wants a token (--token-file); send the header {KEY}: Bearer TOKEN"
            raise Refused(401, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})

    def _check_origin(self, request: Request) -> None:
        """A browser would send a form here from any site, and only keep the answer from it."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if urlsplit(origin).netloc != request.headers.get("host"):
            raise Refused(
                403, "PERMISSION_DENIED", f"pages of {origin[:200]} may not call this server; it has --allow-origin"
            )


def caller_of(request: Request, tokens: bool) -> Caller:
    """Who asks: by token, if tokens were checked, by address, and by connection."""
    host, port = request.client or ("unix", 0)
    named = [f"token {digest(request.headers.get(KEY, ''))}"] if tokens else []
    return (*named, host, f"{host}:{port}")


def media_of(accept: str, offers: Sequence[str]) -> str:
    media = choose(accept, offers)
    if media is None:
        raise Refused(406, "INVALID_ARGUMENT", f"Accept is {accept[:200]!r}; possible are {', '.join(offers)}")
    return media


def agree(accept: str, wanted: Wish) -> tuple[str, Wish]:
    """The answer's media type, and the wish with the encoding and the number of objects that go with it."""
    own = PICTURES[wanted.output.encoding]  # goes before the others where the caller has no preference
    pictures = [own] if wanted.format else [own, *(one for one in PICTURES.values() if one != own)]
    others = [media for media in OFFERS if media not in PICTURES.values()]
    media = media_of(accept, [others[0], *pictures, *others[1:]])
    if wanted.return_masks and media not in (JSON, ZIP, EVENTS):
        raise InvalidInput("return_masks", f"is true, but Accept asks for {media}; JSON, ZIP and events hold masks")
    if media == TENSOR and wanted.format:
        raise InvalidInput("format", f"is {wanted.format}, but Accept asks for raw pixels")
    if media == TENSOR or media in PICTURES.values():
        names = {one: name for name, one in PICTURES.items()} | {TENSOR: "tensor"}
        if not wanted.keywords.get("merge"):
            wanted.keywords.setdefault("max_objects", 1)
        wanted = replace(wanted, output=replace(wanted.output, encoding=names[media]))
    return media, wanted


def timeout_of(request: Request, wanted: Wish) -> float:
    if wanted.timeout is not None:
        return wanted.timeout
    text = request.headers.get(TIMEOUT)
    try:
        return float(PARAMETERS["timeout"].default if text is None else SECONDS.from_text(text))
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
