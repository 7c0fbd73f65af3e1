"""A caller that stands still is given up after a while, and one that is only slow is not."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from waiting import GUARD

from tensorhop.rpc.channel import INFO, SINGLE_THREADED
from tensorhop.rpc.interceptors import handlers, stalls, transfers
from tensorhop.rpc.server import Server
from tensorhop.services.segment.service import SERVICE
from tensorhop.settings import Settings
from tensorhop.v1 import segment_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

pytestmark = pytest.mark.slow

STALL = 1.0  # seconds after which a caller is given up here
LARGE = 27_000_000  # bytes, more than gRPC and the kernel hold between a server and a client that does not read
METHOD = f"/{SERVICE.descriptor.full_name}/Segment"
ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Masks:
    """Answers large messages, as many as it is told, and knows when a call is over."""

    def __init__(self) -> None:
        self.ended = threading.Semaphore(0)

    def Segment(self, packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
        try:
            for _ in packet.message.boxes:
                response = segment_pb2.SegmentResponse()
                response.mask.alpha.data = bytes(LARGE)
                yield Packet(response, Payloads.inside())
        finally:
            self.ended.release()


@contextlib.contextmanager
def serving(address: str = "127.0.0.1:0", **settings: float) -> Iterator[tuple[Masks, Server]]:
    masks = Masks()
    server = Server(SERVICE, masks, address, settings=Settings(**settings))
    try:
        yield masks, server
    finally:
        server.stop(0).wait(GUARD)


def ask(channel: grpc.Channel, count: int = 1, size: int = 0) -> grpc.Call:
    """A call whose answers nobody takes yet; they are bytes."""
    request = segment_pb2.SegmentRequest()
    request.boxes.extend([segment_pb2.SegmentRequest().boxes.add() for _ in range(count)])
    request.image.encoded = bytes(size)
    return channel.unary_stream(METHOD)(request.SerializeToString(), timeout=GUARD)


def served(channel: grpc.Channel) -> bool:
    """Whether calls get their answers; on a busy machine even this program stands still now and then."""
    for _ in range(5):
        with contextlib.suppress(grpc.RpcError):
            return len(list(ask(channel, 2))) == 2
    return False


def connect(server: Server, port: int | None = None) -> grpc.Channel:
    address = server.address if port is None else f"127.0.0.1:{port}"
    return grpc.insecure_channel(address, [*ANY_SIZE, ("grpc.use_local_subchannel_pool", 1)])


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_who_does_not_read_gives_the_place_back(address: str, tmp_path) -> None:
    if address == "unix":
        address = f"unix:{tmp_path}/socket"
    with serving(address, max_stall_seconds=STALL, max_calls=4) as (masks, server), connect(server) as channel:
        calls = [ask(channel, 20) for _ in range(4)]  # more than the windows that a fast connection gets
        assert all(masks.ended.acquire(timeout=GUARD) for _ in calls)
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert "took nothing of the answer for 1 s (TENSORHOP_MAX_STALL_SECONDS)" in str(caught.value.details())
        assert served(channel), "and others are served"


def test_who_does_not_read_one_answer_holds_no_memory() -> None:
    """Of a method with a single answer gRPC sends it after the handler has returned."""
    method = f"/{INFO.full_name}/GetInfo"
    over = threading.Event()
    watch = stalls.StallWatch(0.5)
    watch.start()
    guard = handlers.WrappingInterceptor(transfers.Transfers("test", 4, LARGE, watch, lambda context: ()).wrap)

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(over.set)
        return bytes(LARGE)

    handler = grpc.method_handlers_generic_handler(
        INFO.full_name, {"GetInfo": grpc.unary_unary_rpc_method_handler(answer)}
    )
    server = grpc.server(ThreadPoolExecutor(4), (handler,), (guard,), ANY_SIZE)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", [*ANY_SIZE, SINGLE_THREADED]) as channel:
        call = channel.unary_stream(method)(b"", timeout=GUARD)  # this client reads what it is asked for
        assert over.wait(GUARD)
        with pytest.raises(grpc.RpcError, match="took nothing"):
            next(call)
    server.stop(0).wait(GUARD)
    watch.close()


@pytest.mark.parametrize("method", [METHOD, f"/{INFO.full_name}/GetInfo", "/grpc.health.v1.Health/Check"])
def test_who_does_not_send_is_given_up(method: str) -> None:
    """Threads wait for requests; none waits for ever, and the others are served meanwhile."""
    with serving(max_stall_seconds=STALL, max_calls=2) as (_, server), connect(server) as channel:
        go = threading.Event()
        silent = [channel.stream_unary(method).future(endless(go), timeout=GUARD) for _ in range(12)]
        try:
            with connect(server) as other:
                assert served(other)
                check = health_pb2_grpc.HealthStub(other).Check
                assert check(health_pb2.HealthCheckRequest(), timeout=GUARD).status == 1
            codes = {call.code() for call in silent}
            assert codes <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert any("sent nothing of the request for 1 s" in call.details() for call in silent)
        finally:
            go.set()
        assert served(channel)


def test_what_else_goes_over_the_connection_does_not_count_for_ever() -> None:
    """As behind a proxy, whose callers share a connection: one of them does not read, the others do."""
    with serving(max_stall_seconds=STALL) as (masks, server), connect(server) as channel:
        silent = ask(channel, 20)
        deadline = time.monotonic() + GUARD
        while True:
            list(ask(channel, 2))
            assert masks.ended.acquire(timeout=GUARD)
            if masks.ended.acquire(blocking=False):  # one more than read its answers
                break
            assert time.monotonic() < deadline
        with pytest.raises(grpc.RpcError, match="TENSORHOP_MAX_STALL_SECONDS"):
            list(silent)


def test_a_call_without_a_request_is_refused() -> None:
    with serving() as (_, server), connect(server) as channel:
        call = channel.stream_unary(METHOD).future(iter(()), timeout=GUARD)
        assert call.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("way", ["taken", "sent"])
def test_who_is_slow_is_not_given_up(way: str) -> None:
    """A message takes several times as long as one may stand still."""
    with (
        serving(max_stall_seconds=STALL) as (_, server),
        slow_line(server, 8_000_000) as port,
        connect(server, port) as channel,
    ):
        started = time.monotonic()
        answers = list(ask(channel) if way == "taken" else ask(channel, 0, LARGE))
        assert len(answers) == (way == "taken")
        assert time.monotonic() - started > 2 * STALL, "the line was not slow"


def endless(go: threading.Event) -> Iterator[bytes]:
    """A request that does not come."""
    go.wait(GUARD)
    yield b""


@contextlib.contextmanager
def slow_line(server: Server, rate: float) -> Iterator[int]:
    """A port from which bytes go on to the server at so many a second, each way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opened: list[socket.socket] = []

        def pump(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                    time.sleep(len(data) / rate)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    host, _, port = server.address.rpartition(":")
                    far = socket.create_connection((host, int(port)))
                    opened.extend((near, far))
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=pump, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        for one in opened:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
