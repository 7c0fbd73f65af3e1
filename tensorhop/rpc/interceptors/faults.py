"""Exceptions of handlers become gRPC statuses, and the number of calls is limited."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import grpc

from tensorhop.errors import fault_of
from tensorhop.request_id import REQUEST_ID, text_of
from tensorhop.rpc.interceptors.call_limit import CallLimit
from tensorhop.rpc.interceptors.handlers import Handler, behavior_of, is_own, wrap_handler
from tensorhop.rpc.status import to_status
from tensorhop.v1 import fault_pb2
from tensorhop.wire.codec import readable

log = logging.getLogger(__name__)


class Faults:
    """Turns a handler's exception into a gRPC status with a Fault as its detail, for streams too. Applies a call limit.

    Args:
        service: name of the service whose faults these are.
        limit: of all calls except those to health, info and similar methods, which have threads of their own.
    """

    def __init__(self, service: str, limit: CallLimit) -> None:
        self._service, self._limit = service, limit

    def wrap(self, method: str, handler: Handler) -> Handler:
        """A method's handler, but for a refusal, and for what gRPC defines."""
        if handler.stream_unary or not is_own(method):
            return handler
        behavior = behavior_of(handler)
        own_threads = hasattr(behavior, "experimental_thread_pool")
        limited = nullcontext if own_threads else self._limit.call
        return wrap_handler(handler, partial(self._unary if handler.unary_unary else self._stream, behavior, limited))

    def _unary(
        self,
        behavior: Callable[..., Any],
        limited: Callable[[], AbstractContextManager[None]],
        request: Any,
        context: grpc.ServicerContext,
    ) -> Any:
        try:
            with limited():
                return behavior(readable(request), context)
        except Exception as error:
            self._abort(error, context)

    def _stream(
        self,
        behavior: Callable[..., Any],
        limited: Callable[[], AbstractContextManager[None]],
        request: Any,
        context: grpc.ServicerContext,
    ) -> Iterator[Any]:
        try:
            with limited():
                yield from behavior(readable(request), context)
        except Exception as error:
            tell = getattr(behavior, "tell_fault", None)
            if tell:
                fault = self._fault(error, context)
                context.set_code(to_status(fault).code)  # of this request alone; the stream goes on
                yield tell(fault, request)
            else:
                self._abort(error, context)

    def _abort(self, error: Exception, context: grpc.ServicerContext) -> None:
        context.abort_with_status(to_status(self._fault(error, context)))

    def _fault(self, error: Exception, context: grpc.ServicerContext) -> fault_pb2.Fault:
        fault = fault_of(error, self._service)
        if fault.code == fault_pb2.CODE_INTERNAL:
            log.error("request %s failed", text_of(context, REQUEST_ID) or "-", exc_info=error)
        return fault
