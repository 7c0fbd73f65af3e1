"""The routes of jobs."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tensorhop.client.call import Call
from tensorhop.client.jobs import STATES
from tensorhop.client.remotes import Remotes
from tensorhop.errors import InvalidInput
from tensorhop.rpc.fairness.callers import use_caller
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.web.accept import EVENTS, JSON
from tensorhop.web.endpoint import Asked, Endpoint, accept_of, media_of, timeout_of
from tensorhop.web.jobs.members import event_members, job_members, media_type_of, picture_of
from tensorhop.web.jobs.submission import NAMES, read_submission
from tensorhop.web.problem import Refused
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.upload import DTYPE, SHAPE, Content
from tensorhop.web.responses import event_response, line
from tensorhop.web.stream import Incoming, Stream
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

JOBS = "jobs"
KEY, LAST = "Idempotency-Key", "Last-Event-ID"
ASK_SECONDS = 30.0  # for one answer of the server of jobs
AGAIN_SECONDS = 1.0  # after which a result that is not there yet may be

R = TypeVar("R")


def job_routes(admission: Admission, remotes: Remotes) -> list[Route]:
    """All routes of jobs. They answer 503 where no server of jobs runs."""

    def reading(respond: Callable[[Reading, Asked], Awaitable[Response]]) -> Reading:
        return Reading(admission, remotes, respond)

    return [
        Route("/jobs", Listing(admission, remotes), methods=["GET", "POST"]),
        Route("/jobs/{job}", reading(show), methods=["GET"]),
        Route("/jobs/{job}/events", reading(events), methods=["GET"]),
        Route("/jobs/{job}/results", reading(results), methods=["GET"]),
        Route("/jobs/{job}/results/{index}", reading(picture), methods=["GET"]),
        Route("/jobs/{job}/cancel", reading(cancel), methods=["POST"]),
        Route("/jobs/{job}/retry", reading(retry), methods=["POST"]),
    ]


class Submit(Endpoint[Packet[pb.SubmitJobRequest]]):
    """POST /jobs."""

    offers, names = (JSON,), NAMES

    def __init__(self, admission: Admission, remotes: Remotes) -> None:
        super().__init__(admission)
        self._remotes = remotes

    def read(self, content: Content) -> Packet[pb.SubmitJobRequest]:
        return read_submission(content)

    async def respond(self, asked: Asked, given: Packet[pb.SubmitJobRequest]) -> Response:
        key = asked.request.headers.get(KEY, "")
        if key and given.message.idempotency_key not in ("", key):
            raise InvalidInput("idempotency_key", f"is another one than the header {KEY} says")
        given.message.idempotency_key = given.message.idempotency_key or key
        asked.settle({})
        job = (await ask(self._remotes, asked, "SubmitJob", given.message, given.payloads)).message.job
        return JSONResponse(job_members(job), 202, {"Location": f"/jobs/{job.id}"})


class Reading(Endpoint[None]):
    """A route whose request has no body."""

    offers, names = (JSON, EVENTS, "*/*"), {"first_event": "first", "id": "job"}

    def __init__(
        self, admission: Admission, remotes: Remotes, respond: "Callable[[Reading, Asked], Awaitable[Response]]"
    ) -> None:
        super().__init__(admission)
        self.remotes, self._respond = remotes, respond

    def read(self, content: Content) -> None:
        raise NotImplementedError

    async def respond(self, asked: Asked, given: None) -> Response:
        return await self._respond(self, asked)

    async def _answer(self, request: Request, incoming: Incoming, stack: contextlib.ExitStack) -> Response:
        started = time.monotonic()
        self.admission.admit(request)
        caller = self.admission.caller_of(request)
        await incoming()
        if not incoming.whole:
            raise Refused(413, "INVALID_ARGUMENT", "this request has no body")
        self.admission.take_place(caller, stack)
        request.state.seconds = timeout_of(request, None)
        return await self.respond(Asked(request, incoming, accept_of(request), caller, stack, started), None)


class Listing(Reading):
    """GET /jobs, and POST /jobs beside it."""

    def __init__(self, admission: Admission, remotes: Remotes) -> None:
        super().__init__(admission, remotes, listing)
        self._submit = Submit(admission, remotes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await self._submit(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def listing(route: Reading, asked: Asked) -> Response:
    query = dict(asked.request.query_params)
    state, size, token = query.pop("state", ""), query.pop("page_size", "0"), query.pop("page_token", "")
    if query:
        raise InvalidInput(min(query)[:100], "is no parameter; known are state, page_size, page_token")
    if state and state not in STATES.values():
        raise InvalidInput("state", f"is {state[:80]!r}; known are {', '.join(STATES.values())}")
    wanted = f"JOB_STATE_{state.upper()}" if state else "JOB_STATE_UNSPECIFIED"
    request = pb.ListJobsRequest(state=wanted, page_size=whole(size, "page_size"), page_token=token)
    found = (await ask(route.remotes, asked, "ListJobs", request)).message
    return JSONResponse(
        {"jobs": [job_members(job) for job in found.jobs], "next_page_token": found.next_page_token or None}
    )


async def show(route: Reading, asked: Asked) -> Response:
    answer = await ask(route.remotes, asked, "GetJob", pb.GetJobRequest(id=id_of(asked)))
    return JSONResponse(job_members(answer.message.job))


async def cancel(route: Reading, asked: Asked) -> Response:
    answer = await ask(route.remotes, asked, "CancelJob", pb.CancelJobRequest(id=id_of(asked)))
    return JSONResponse(job_members(answer.message.job))


async def retry(route: Reading, asked: Asked) -> Response:
    answer = await ask(route.remotes, asked, "RetryJob", pb.RetryJobRequest(id=id_of(asked)))
    return JSONResponse(job_members(answer.message.job))


async def events(route: Reading, asked: Asked) -> Response:
    """Server-sent events: the job at each change, and each event of the chain, until the job has ended."""
    media_of(asked.accept, [EVENTS])
    stream = watched(route, asked, first_of(asked))
    return await event_response(stream, partial(written, id_of(asked)), asked.request_id, route.names)


async def results(route: Reading, asked: Asked) -> Response:
    """The chain's events: those that there are, as JSON; or all as they are done, and the job when it has ended."""
    job, first = id_of(asked), first_of(asked)
    if media_of(asked.accept, [JSON, EVENTS]) == EVENTS:
        stream = Chosen(watched(route, asked, first), is_result)
        return await event_response(stream, partial(written, job), asked.request_id, route.names)
    record = (await ask(route.remotes, asked, "GetJob", pb.GetJobRequest(id=job))).message.job
    rows: list[dict[str, Any]] = []
    if first < record.events:
        async for told in watched(route, asked, first):
            if told.HasField("event"):
                rows.append(await asyncio.to_thread(event_members, job, told.event))
                if told.event.index == record.events - 1:
                    break
    return JSONResponse({"job": job_members(record), "results": rows})


async def picture(route: Reading, asked: Asked) -> Response:
    """The picture of one event: an image file, or raw pixels."""
    job, index = id_of(asked), whole(asked.request.path_params["index"], "index")
    record = (await ask(route.remotes, asked, "GetJob", pb.GetJobRequest(id=job))).message.job
    if index >= record.events:
        early = STATES[record.state] in ("queued", "running")
        message = f"result {index} is not there{' yet' if early else ''}; the job is {STATES[record.state]}"
        raise Refused(404, "NOT_FOUND", message, AGAIN_SECONDS if early else None)
    request = pb.GetJobResultsRequest(id=job, first_event=index)
    found = picture_of(await ask(route.remotes, asked, "GetJobResults", request))
    if found is None:
        raise Refused(404, "NOT_FOUND", f"result {index} has no picture")
    made, data = found
    if made.HasField("tensor"):
        headers = {DTYPE: made.tensor.dtype, SHAPE: ",".join(map(str, made.tensor.shape))}
        return Response(data, headers=headers, media_type="application/octet-stream")
    return Response(data, media_type=media_type_of(data))


class Chosen(Stream[R], Generic[R]):
    """Those events of a stream that fit."""

    def __init__(self, stream: Stream[R], fits: Callable[[R], bool]) -> None:
        self._stream, self._fits = stream, fits

    async def __anext__(self) -> R:
        while not self._fits(event := await anext(self._stream)):
            pass
        return event


def watched(route: Reading, asked: Asked, first: int) -> Stream[pb.WatchJobResponse]:
    """The answers of WatchJob, until the request's answer is sent."""
    request = pb.WatchJobRequest(id=id_of(asked), first_event=first)

    def start() -> Call[pb.WatchJobResponse]:
        use_caller(asked.caller)
        packet = Packet(request, Payloads())
        return Call(route.remotes[JOBS], "WatchJob", packet, asked.left(), None, inside)

    stream = Stream(start, route.admission.pool)
    asked.stack.callback(stream.close)
    return stream


def inside(packet: Packet[pb.WatchJobResponse]) -> pb.WatchJobResponse:
    """The message of a packet, with the small payloads back in it."""
    if packet.message.HasField("event"):
        held = packet.message.event.event
        held.value = bytes(packet.payloads.get(held.value))
    return packet.message


async def ask(
    remotes: Remotes, asked: Asked, method: str, request: Message, payloads: Payloads | None = None
) -> Packet[Any]:
    """The first answer of a method of JobService. Raises ServiceFault."""

    def call() -> Packet[Any]:
        use_caller(asked.caller)
        packet = Packet(request, payloads or Payloads())
        made: Call[Packet[Any]] = Call(remotes[JOBS], method, packet, ASK_SECONDS, None, lambda answer: answer)
        try:
            return next(made)
        finally:
            made.close()

    return await asyncio.to_thread(call)


def id_of(asked: Asked) -> str:
    return str(asked.request.path_params["job"])


def first_of(asked: Asked) -> int:
    """The first event that is wanted: of the query, or after that of the header, as browsers send it."""
    if last := asked.request.headers.get(LAST, ""):
        return whole(last, LAST) + 1
    return whole(asked.request.query_params.get("first", "0"), "first")


def whole(text: str, name: str) -> int:
    """Raises InvalidInput: it is no whole number of at most nine digits."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidInput(name, f"is {text[:80]!r}; it must be a whole number, at least 0")
    return int(text)


def is_result(told: pb.WatchJobResponse) -> bool:
    """Whether it is an event of the chain, or the job when it has ended."""
    return told.HasField("event") or told.job.HasField("ended")


def written(job: str, told: pb.WatchJobResponse) -> bytes:
    """A server-sent event. Those of the chain have an id, after which a client that reconnects goes on."""
    if told.HasField("job"):
        return line("job", job_members(told.job))
    return f"id: {told.event.index}\n".encode() + line(told.event.name, event_members(job, told.event))
