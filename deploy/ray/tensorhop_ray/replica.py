"""A replica: one service with its model, whose methods take and give the bytes of messages."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
from grpc_status import rpc_status

from tensorhop.models.sources import ModelChoice
from tensorhop.ray_serve import write_details
from tensorhop.rpc.channel import INFO
from tensorhop.rpc.fairness.callers import caller_of, use_caller
from tensorhop.rpc.info import InfoServicer
from tensorhop.rpc.interceptors.authentication import AuthenticationInterceptor
from tensorhop.rpc.interceptors.call_limit import CallLimit
from tensorhop.rpc.interceptors.faults import FaultInterceptor
from tensorhop.rpc.interceptors.handlers import Handler, behavior_of
from tensorhop.rpc.interceptors.observation import ObservationInterceptor
from tensorhop.rpc.security import Security
from tensorhop.rpc.service import Service
from tensorhop.rpc.tokens import Tokens
from tensorhop.settings import current_settings
from tensorhop.v1 import fault_pb2
from tensorhop.wire.allocator import keep_large_buffers
from tensorhop.wire.codec import handlers

END = object()  # after the last answer of a stream


class Encoded(NamedTuple):
    """An answer that is encoded already; Serve asks for its bytes as of any message."""

    data: bytes

    def SerializeToString(self) -> bytes:
        return self.data


class Details(NamedTuple):
    """What an interceptor is told of a call."""

    method: str
    invocation_metadata: Any


class Refused(Exception):
    """A call ends with this status."""

    def __init__(self, status: Any) -> None:
        super().__init__(status.details)
        self.status = status


class Context:
    """Serve's context of a call with what our servicers and interceptors use of gRPC's own.

    Args:
        serve: Serve's context, which travels back to the proxy.
    """

    def __init__(self, serve: Any) -> None:
        self._serve = serve
        self._ended = False
        self._callbacks: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def invocation_metadata(self) -> Any:
        return self._serve.invocation_metadata()

    def peer(self) -> str:
        return str(self._serve.peer())

    def peer_identities(self) -> None:
        """The proxy speaks no TLS."""

    def time_remaining(self) -> None:
        """Serve does not tell a call's deadline; when it has passed, it cancels the call."""

    def code(self) -> grpc.StatusCode | None:
        return self._serve.code() or None

    def add_callback(self, callback: Callable[[], object]) -> bool:
        with self._lock:
            if not self._ended:
                self._callbacks.append(callback)
            return not self._ended

    def abort_with_status(self, status: Any) -> None:
        raise Refused(status)

    def end(self) -> None:
        """The call is over, or its caller has left: whoever works for it is told."""
        with self._lock:
            self._ended, callbacks = True, self._callbacks
            self._callbacks = []
        for callback in callbacks:
            callback()

    def told(self, refused: Refused) -> RuntimeError:
        """Have the proxy end the call with a status. It takes code and details, and drops trailing metadata.

        Returns:
            What to raise, so that the proxy does; it travels there, and so it is a plain exception.
        """
        self._serve.set_code(refused.status.code)
        self._serve.set_details(write_details(fault_of(refused.status)))
        return RuntimeError(refused.status.details)


def fault_of(status: Any) -> fault_pb2.Fault:
    """The fault in the status of a call."""
    fault = fault_pb2.Fault(code=f"CODE_{status.code.name}", message=status.details)
    for key, value in status.trailing_metadata or ():
        if key == rpc_status.GRPC_DETAILS_METADATA_KEY:
            for detail in rpc_status.status_pb2.Status.FromString(value).details:
                detail.Unpack(fault)
    return fault


class Replica:
    """What a deployment is made of. `application.py` adds one method for each of the contract.

    Args:
        service: that it holds.
        choice: its model; the embedded one if not given.
    """

    def __init__(self, service: Service, choice: ModelChoice | None = None) -> None:
        name, settings = service.name, current_settings()
        keep_large_buffers()
        security = Security.of(settings)
        servicer = service.load(choice)
        limit = CallLimit(settings.max_calls)
        self._interceptors: list[grpc.ServerInterceptor] = [ObservationInterceptor(name)]
        if security.token_file:
            self._interceptors.append(AuthenticationInterceptor(Tokens(security.token_file), security, name))
        self._interceptors.append(FaultInterceptor(name, limit))
        self._tokens = bool(security.token_file)
        self._services = (handlers(service.descriptor, servicer), handlers(INFO, InfoServicer(name, servicer, limit)))
        self._threads = ThreadPoolExecutor(2 * settings.max_calls, thread_name_prefix=name)

    async def answer(self, path: str, data: bytes, serve: Any) -> Encoded:
        """The one answer of a method."""
        context = Context(serve)
        handler = self._handler(path, context)

        def work() -> Encoded:
            use_caller(caller_of(context, tokens=self._tokens))
            packet = behavior_of(handler)(read(handler, data), context)
            return Encoded(handler.response_serializer(packet))

        try:
            return await self._in_thread(work)
        except Refused as refused:
            raise context.told(refused) from None
        finally:
            context.end()

    async def answers(self, path: str, data: bytes, serve: Any) -> AsyncIterator[Encoded]:
        """The answers of a method that streams them."""
        context = Context(serve)
        handler = self._handler(path, context)
        made: Iterator[Any] | None = None

        def work() -> Any:
            nonlocal made
            if made is None:
                use_caller(caller_of(context, tokens=self._tokens))
                made = iter(behavior_of(handler)(read(handler, data), context))
            packet = next(made, END)
            return END if packet is END else Encoded(handler.response_serializer(packet))

        run = contextvars.copy_context().run  # whose call it is stays known from one answer to the next
        try:
            while (answer := await self._in_thread(lambda: run(work))) is not END:
                yield answer
        except Refused as refused:
            raise context.told(refused) from None
        finally:
            context.end()

    def _handler(self, path: str, context: Context) -> Handler:
        """The handler of a method, behind the interceptors."""
        details: Any = Details(path, context.invocation_metadata())

        def innermost(details: Any) -> Handler | None:
            return next(found for one in self._services if (found := one.service(details)) is not None)

        find: Any = innermost
        for interceptor in reversed(self._interceptors):
            find = _behind(interceptor, find)
        return find(details)  # type: ignore[no-any-return]

    def _in_thread(self, work: Callable[[], Any]) -> Any:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


def read(handler: Handler, data: bytes) -> Any:
    """A request as a handler takes it; a refusal takes any."""
    return handler.request_deserializer(data) if handler.request_deserializer else data


def _behind(interceptor: grpc.ServerInterceptor, find: Any) -> Any:
    return lambda details: interceptor.intercept_service(find, details)
