"""The interceptor that admits only calls with a token."""

from collections.abc import Callable
from typing import Any

import grpc

from tensorhop.errors import step_of
from tensorhop.rpc.health import WORKERS
from tensorhop.rpc.interceptors.handlers import Handler
from tensorhop.rpc.security import Security
from tensorhop.rpc.status import to_status
from tensorhop.rpc.tokens import KEY, Tokens
from tensorhop.v1 import fault_pb2

# Health in the words of the Open Inference Protocol.
LIVENESS = tuple(f"/inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady"))


class AuthenticationInterceptor(grpc.ServerInterceptor):
    """Refuses calls without one of the tokens, before any of their messages is read."""

    def __init__(self, tokens: Tokens, security: Security, service: str) -> None:
        self._tokens, self._service = tokens, service
        self._open: tuple[str, ...] = ()
        if security.open_health:
            self._open += ("/grpc.health.", *LIVENESS)
        if security.open_reflection:
            self._open += ("/grpc.reflection.",)
        # gRPC calls a handler that takes a stream before the first message has arrived.
        self._missing: Handler = grpc.stream_unary_rpc_method_handler(self._refusal("is missing; send 'Bearer TOKEN'"))
        self._wrong: Handler = grpc.stream_unary_rpc_method_handler(self._refusal("holds no token that is taken here"))

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(details)
        if handler is None or details.method.startswith(self._open):
            return handler
        for key, value in details.invocation_metadata:
            if key == KEY and isinstance(value, str):
                return handler if self._tokens.take(value) else self._wrong
        return self._missing

    def _refusal(self, message: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        fault = fault_pb2.Fault(
            step=step_of(self._service),
            service=self._service,
            code=fault_pb2.CODE_UNAUTHENTICATED,
            field=KEY,
            message=f"{self._service} wants a token (--token-file): {KEY} {message}",
        )
        status = to_status(fault)

        def refuse(requests: Any, context: grpc.ServicerContext) -> None:
            context.abort_with_status(status)

        refuse.experimental_thread_pool = WORKERS  # type: ignore[attr-defined]  # the others may wait for a model
        return refuse
