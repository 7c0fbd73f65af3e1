"""Addresses of Ray Serve, at a stock server that answers as Serve's proxy does; tests/ray runs Serve itself."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from hops import DESCRIBE as FULL_NAME

from tensorhop.address import is_loopback, name_of, split_ray, targets
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Step
from tensorhop.ray_serve import LIST, write_details
from tensorhop.rpc import retries
from tensorhop.rpc.channel import INFO
from tensorhop.rpc.security import Security
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.v1 import describe_pb2, fault_pb2, info_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import Pool
from tensorhop.wire.tensor import to_tensor

Answer = Callable[[grpc.ServicerContext], str]


class Proxy:
    """Stands where Serve's proxy does: no health, an application named by the metadata, statuses of its own.

    Args:
        answers: what becomes of the calls to Describe, one after another; the last of all further ones.
    """

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.application: str | None = "looks"
        self.paths: list[str] = []
        self.metadata: list[dict[str, Any]] = []
        self.requests: list[bytes] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        self.paths.append(details.method)
        metadata = dict(details.invocation_metadata)
        if details.method == LIST:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x0a\x05looks")
        if metadata.get("application") != self.application:
            return grpc.unary_unary_rpc_method_handler(self._not_found)
        if details.method == f"/{INFO.full_name}/GetInfo":
            info = info_pb2.GetInfoResponse(service="describe", model={"name": "m", "digest": "d" * 64})
            return grpc.unary_unary_rpc_method_handler(lambda request, context: info.SerializeToString())
        if details.method == f"/{FULL_NAME}/Describe":
            self.metadata.append(metadata)
            return grpc.unary_unary_rpc_method_handler(self._describe)
        return None

    def _not_found(self, request: bytes, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.NOT_FOUND, "Application 'x' not found.")

    def _describe(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.requests.append(request)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return describe_pb2.DescribeResponse(text=answer(context)).SerializeToString()


def ends(code: str, details: str) -> Answer:
    return lambda context: context.abort(grpc.StatusCode[code], details)


def cup(context: grpc.ServicerContext) -> str:
    return "cup"


@contextlib.contextmanager
def proxy(*answers: Answer) -> Iterator[tuple[str, Proxy]]:
    server, stands = grpc.server(ThreadPoolExecutor(4)), Proxy(*answers)
    server.add_generic_rpc_handlers((stands,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", stands
    finally:
        server.stop(None).wait()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.0001)


def described(address: str, security: Security | None = None) -> str:
    """The answer's text, asked for as a chain does."""
    with contextlib.closing(Step(DESCRIBE, address, security)) as step:
        answer = step.call("Describe", lambda shared: Packet(describe_pb2.DescribeRequest(), Payloads()), scope())
        return str(answer.message.text)


def scope() -> RequestScope:
    return RequestScope("r", None)


def test_addresses() -> None:
    assert split_ray("ray://head:9000/looks") == ("head:9000", "looks")
    assert split_ray("head:9000") == ("head:9000", "")
    assert name_of("ray://head:9000/looks") == ("head", 9000)
    assert is_loopback("ray://localhost:9000/looks")
    assert not is_loopback("ray://head:9000/looks")
    listed = "ray://ipv4:10.0.0.1:9000,10.0.0.2:9000/looks"
    assert targets(listed) == ["ray://ipv4:10.0.0.1:9000/looks", "ray://ipv4:10.0.0.2:9000/looks"]


@pytest.mark.parametrize(
    "address", ["ray://", "ray://h:1", "ray://h:1/", "ray:///a", "ray://h/a", "ray://::1:1/a", "ray://h:1/ä"]
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"^address .*(ray://HOST:PORT/APP|HOST:PORT|without brackets)"):
        Step(DESCRIBE, address)


def test_calls_name_their_application_and_carry_the_token(tmp_path: Any) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    with proxy(cup) as (address, stands):
        assert described(f"ray://{address}/looks", Security(token_file=str(tmp_path / "tokens"))) == "cup"
    (metadata,) = stands.metadata
    assert (metadata["application"], metadata["authorization"]) == ("looks", "Bearer secret")
    assert metadata["x-request-id"] == "r"


def test_no_health_of_grpc_is_asked_for() -> None:
    with proxy(cup) as (address, stands), contextlib.closing(Step(DESCRIBE, f"ray://{address}/looks")) as step:
        assert step.missing() == ""
        model = step.model()
        assert model is not None
        assert model.digest == "d" * 64, "the step cache knows the model of the application"
        assert LIST in stands.paths
    assert not [path for path in stands.paths if "Health" in path]


def test_an_application_that_is_not_there_is_missing() -> None:
    with proxy(cup) as (address, _), contextlib.closing(Step(DESCRIBE, f"ray://{address}/other")) as step:
        assert "does not serve" in step.missing()
        with pytest.raises(ServiceFault, match="not found") as caught:
            described(f"ray://{address}/other")
        assert caught.value.code == "NOT_FOUND"


def test_a_replica_that_died_is_tried_again_there_and_only_there() -> None:
    died = ends("INTERNAL", "The actor died unexpectedly before finishing this task.")
    with proxy(died, died, cup) as (address, stands):
        assert described(f"ray://{address}/looks") == "cup"
        assert len(stands.requests) == 3
    with proxy(died, cup) as (address, stands):
        stands.application = None  # a server of its own, as at any other address
        with pytest.raises(ServiceFault) as caught:
            described(address)
    assert caught.value.code == "INTERNAL"
    assert len(stands.requests) == 1


def test_a_full_application_is_tried_again() -> None:
    with proxy(ends("RESOURCE_EXHAUSTED", "Request dropped due to backpressure"), cup) as (address, _):
        assert described(f"ray://{address}/looks") == "cup"


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL"])
def test_the_fault_of_a_service_arrives_whole_and_is_not_tried_again(code: str) -> None:
    sent = fault_pb2.Fault(
        service="describe", step="STEP_DESCRIBE", code=f"CODE_{code}", field="image.tensor", message="image é is empty"
    )
    with proxy(ends(code, write_details(sent)), cup) as (address, stands), pytest.raises(ServiceFault) as caught:
        described(f"ray://{address}/looks")
    assert caught.value.fault == sent
    assert len(stands.requests) == 1


def test_details_that_are_no_fault_are_a_message() -> None:
    with proxy(ends("INVALID_ARGUMENT", "{oops")) as (address, _), pytest.raises(ServiceFault, match=r"\{oops"):
        described(f"ray://{address}/looks")


def test_no_tensor_goes_by_shared_memory(tmp_path: Any) -> None:
    asked: list[bool] = []

    def build(shared: bool) -> Packet[Any]:
        asked.append(shared)
        payloads = Payloads.into([pool.take(300_000)]) if shared else Payloads()
        tensor = to_tensor(np.zeros((100, 1000, 3), np.uint8), payloads)
        return Packet(describe_pb2.DescribeRequest(image={"tensor": tensor}), payloads)

    with (
        contextlib.closing(Pool.of()) as pool,
        proxy(cup) as (address, stands),
        contextlib.closing(Step(DESCRIBE, f"ray://{address}/looks")) as step,
    ):
        step.call("Describe", build, scope())
    assert asked == [False]
    assert len(stands.requests[0]) > 300_000
