"""The endpoint of one method: what /process has (tokens, origins, limits, fair shares), around the Connect library."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tensorhop.client.call import Call
from tensorhop.client.remotes import Remotes
from tensorhop.request_id import REQUEST_ID as REQUEST_ID_KEY
from tensorhop.rpc.fairness.callers import Caller, use_caller
from tensorhop.web.accept import JSON, choose
from tensorhop.web.connect.faults import connect_error
from tensorhop.web.connect.lines import STREAMED, Lines, check_envelope, envelope
from tensorhop.web.connect.messages import CODECS, Encoded, PassingGzip, read, write
from tensorhop.web.endpoint import REQUEST_ID, accept_of, readable_id, send_early
from tensorhop.web.problem import Refused, answer, fault_in, members_of, problem
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.parameters import TIMEOUT_SECONDS
from tensorhop.web.requests.upload import TENSOR, check_length, most_bytes
from tensorhop.web.stream import Incoming, Stream

# Of requests in an envelope: the header that says how they are compressed.
COMPRESSION = {"application/connect": "connect-content-encoding", "application/grpc-web": "grpc-encoding"}
CONNECT_JSON = "application/connect+json"
GRPC_WEB = ("application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json")
UNARY = (JSON, "application/proto", *GRPC_WEB)
STREAM = (JSON, CONNECT_JSON, "application/connect+proto", *GRPC_WEB)


class Method:
    """An ASGI application for one method.

    Args:
        service: the registered name of the service.
    """

    def __init__(self, admission: Admission, remotes: Remotes, service: str, method: MethodDescriptor) -> None:
        self.admission, self._remotes, self._service = admission, remotes, service
        self.name, self.streams = method.name, method.server_streaming
        self.kind: Any = GetMessageClass(method.input_type)
        self.path = f"/{method.containing_service.full_name}/{method.name}"
        self.info: MethodInfo[Any, Any] = MethodInfo(
            name=method.name,
            service_name=method.containing_service.full_name,
            input=self.kind,
            output=GetMessageClass(method.output_type),
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=StreamType.SERVER_STREAM if self.streams else StreamType.UNARY,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.ExitStack() as stack:
            await Exchange(self, scope, receive, send, stack).run()

    def call(self, given: Encoded, seconds: float, caller: Caller, request_id: str) -> Call[bytes]:
        """Make the call; in the thread of the request. Raises InvalidInput: the request is no message of this kind."""
        packet = read(self.kind, given, most_bytes(self.admission.settings))
        use_caller(caller)
        answers = partial(write, codec=given.codec)
        return Call(
            self._remotes[self._service], self.name, packet, seconds, None, answers, [(REQUEST_ID_KEY, request_id)]
        )


class Application(ConnectASGIApplication[None]):
    """The library's application, for one method."""

    def __init__(self, path: str, endpoint: Any) -> None:
        # The size of a request is limited as it is received.
        super().__init__(
            service=None,
            endpoints=lambda service: {path: endpoint},
            read_max_bytes=None,
            compressions=[PassingGzip()],
            codecs=CODECS,
        )
        self._path = path

    @property
    def path(self) -> str:
        return self._path


class Exchange:
    """One request, and its answer.

    Args:
        stack: ends when the answer is sent.
    """

    def __init__(self, method: Method, scope: Scope, receive: Receive, send: Send, stack: contextlib.ExitStack) -> None:
        self._method, self._scope, self._send, self._stack = method, scope, send, stack
        self._incoming = Incoming(receive)
        self._request = Request(scope, self._incoming)
        self._id = readable_id(self._request.headers.get(REQUEST_ID, ""))
        self._headers = {REQUEST_ID: self._id, "Cache-Control": "no-store"}  # beside those of the library
        self._plain = False  # whether a stream is asked for in JSON without envelopes
        self._received = False
        self._caller: Caller = ()
        self._early: tuple[Message, bytearray] | None = None  # an answer to a request that was not read to its end

    async def run(self) -> None:
        try:
            send = self._agree()
        except Refused as error:
            response = problem(error, self._id)
            response.headers.update(self._headers)
            await send_early(response, self._incoming, self._send)
            return
        kind = self._method
        make: Any = Endpoint.server_stream if kind.streams else Endpoint.unary
        function: Any = self._stream if kind.streams else self._unary
        application: Any = Application(kind.path, make(method=kind.info, function=function))
        with contextlib.suppress(TimeoutError):  # the server closes what was not sent to its end
            async with asyncio.timeout(None) as self._timer:
                await application(self._scope, self._receive, send)
        if self._early:
            start, body = self._early
            response = Response(bytes(body), start["status"])
            response.raw_headers = [*start["headers"], (b"content-length", str(len(body)).encode())]
            await send_early(response, self._incoming, self._send)

    def _agree(self) -> Send:
        """Where the library's answer goes. Raises Refused: the content or the answer has a type that is not served."""
        headers = self._request.headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        known = STREAM if self._method.streams else UNARY
        self._compression = COMPRESSION.get(kind.partition("+")[0], "")
        if kind not in known:
            message = f"Content-Type is {kind[:100] or 'missing'}; known are {', '.join(known)}"
            raise Refused(415, "INVALID_ARGUMENT", message)
        kept = [(name, value) for name, value in self._scope["headers"] if not name.endswith(b"accept-encoding")]
        self._scope = {**self._scope, "headers": kept}
        if kind != JSON or not self._method.streams:
            return self._respond
        if (encoding := headers.get("content-encoding", "identity")) != "identity":
            raise Refused(415, "INVALID_ARGUMENT", f"Content-Encoding is {encoding[:100]}; send the content as it is")
        accept = accept_of(self._request)
        media = choose(accept, STREAMED)
        if media is None:
            message = f"Accept is {accept[:200]!r}; possible are {', '.join(STREAMED)}"
            raise Refused(406, "INVALID_ARGUMENT", message)
        self._plain = True
        MutableHeaders(scope=self._scope)["content-type"] = CONNECT_JSON
        return Lines(media, self._respond)

    async def _receive(self) -> Message:
        """The whole body, if the request may be worked on; and then, that the client has left."""
        if self._received:
            return await self._incoming()
        self._received = True
        try:
            body = await self._body()
        except ClientDisconnect:
            return {"type": "http.disconnect"}
        except Exception as error:
            raise self._fault(error) from error
        return {"type": "http.request", "body": envelope(body) if self._plain else body, "more_body": False}

    async def _body(self) -> bytes:
        """Raises Refused: as the admission does, or the body is too large or too slow."""
        admission, request = self._method.admission, self._request
        admission.admit(request)
        check_length(request, admission.settings)
        caller = admission.caller_of(request)
        admission.check_room(caller)
        body: bytes = await admission.uploads.receive(request, TENSOR, caller, lambda content: content.elements)
        admission.take_place(caller, self._stack)
        self._caller = caller
        if self._compression:
            check_envelope(body, request.headers.get(self._compression, "identity") not in ("", "identity"))
        return body

    async def _unary(self, given: Encoded, context: RequestContext[Any, Any]) -> bytes:
        answers = self._answers(given, context)
        try:
            return await anext(answers)
        except Exception as error:
            raise self._fault(error) from error
        finally:
            answers.close()

    async def _stream(self, given: Encoded, context: RequestContext[Any, Any]) -> AsyncIterator[bytes]:
        answers = self._answers(given, context)
        try:
            async with contextlib.aclosing(answers.ahead()) as ahead:
                async for one in ahead:
                    yield one
        except Exception as error:
            raise self._fault(error) from error
        finally:
            answers.close()

    def _answers(self, given: Encoded, context: RequestContext[Any, Any]) -> Stream[bytes]:
        admission, milliseconds = self._method.admission, context.timeout_ms
        seconds = TIMEOUT_SECONDS if milliseconds is None else max(0.0, milliseconds / 1000)
        loop = asyncio.get_running_loop()
        self._timer.reschedule(loop.time() + seconds + admission.settings.max_upload_seconds)
        return Stream(partial(self._method.call, given, seconds, self._caller, self._id), admission.pool)

    def _fault(self, error: Exception) -> Exception:
        """The library's exception; headers that belong to it go along, where there is still a place for them."""
        fault = fault_in(error, self._id)
        told = answer(members_of(fault, self._id), error.headers if isinstance(error, Refused) else None)
        kept = ("retry-after", "www-authenticate", "connection")
        self._headers |= {name: value for name, value in told.headers.items() if name in kept}
        return connect_error(fault)

    async def _respond(self, message: Message) -> None:
        """Send the answer; one that comes before the request is read to its end is kept until it can be."""
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in self._headers.items()]
            message = {**message, "headers": [*message["headers"], *own]}
            if not self._incoming.whole:
                self._early = message, bytearray()
                return
        elif self._early:
            self._early[1].extend(message["body"])
            return
        await self._send(message)
