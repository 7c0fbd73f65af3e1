"""One caller's many calls do not hold up another's one; and nobody is refused while there is room."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import GUARD, wait_for

from tensorhop.errors import Overloaded
from tensorhop.rpc.batching import Batcher
from tensorhop.rpc.channel import SINGLE_THREADED
from tensorhop.rpc.fairness.callers import CALLER, use_caller
from tensorhop.rpc.fairness.shares import OVERSHOOT, FairShare
from tensorhop.rpc.fairness.turns import FairSemaphore, Turns
from tensorhop.rpc.interceptors.call_limit import CallLimit
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.services.describe.service import SERVICE
from tensorhop.settings import Settings
from tensorhop.v1 import describe_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

METHOD = f"/{SERVICE.descriptor.full_name}/Describe"
GREEDY, OTHER = ("greedy",), ("other",)
CALLERS = st.tuples(st.sampled_from("abc"), st.sampled_from("123"))


# Shares.


def test_one_alone_may_hold_all() -> None:
    room = FairShare(8)
    assert [room.take(GREEDY) for _ in range(9)] == [True] * 8 + [False]


@pytest.mark.parametrize("first", [GREEDY, ("one", "a"), ("one", "a", "x")])
@pytest.mark.parametrize("second", [OTHER, ("two", "a"), ("one", "b"), ("one", "a", "y")])
def test_who_comes_second_gets_a_share_of_what_is_full(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    room = FairShare(8)
    assert all(room.take(first) for _ in range(8))
    assert [room.take(second) for _ in range(5)] == [True] * 4 + [False]
    assert not room.take(first)
    for _ in range(8):
        room.give_back(first)
    assert [room.take(second) for _ in range(5)] == [True] * 4 + [False], "alone it may hold all"


def test_many_connections_of_one_address_do_not_keep_another_address_out() -> None:
    room = FairShare(8)
    for connection in range(100):
        room.take(("one", str(connection)))
    assert all(room.take(("two", "x")) for _ in range(4))


def test_who_is_not_known_has_no_share() -> None:
    room = FairShare(1)
    assert room.take(())
    assert not room.take(())


@given(st.integers(1, 40), st.lists(st.tuples(CALLERS, st.booleans()), max_size=200))
def test_what_is_given_back_is_there_again(most: int, steps: Sequence[tuple[tuple[str, str], bool]]) -> None:
    room, held = FairShare(most), []
    for caller, takes in steps:
        if takes:
            before, had = room.held, held.count(caller)
            if room.take(caller):
                held.append(caller)
            else:
                assert before >= most, "refused without need"
                assert had or before >= OVERSHOOT * most or had + 1 > most / 9, "refused though it had its share"
        elif caller in held:
            held.remove(caller)
            room.give_back(caller)
        assert room.held == len(held) <= OVERSHOOT * most
    for caller in held:
        room.give_back(caller)
    assert (room.held, room._held) == (0, {})


# Turns.


def test_turns_go_round_at_each_level() -> None:
    turns, waiting = Turns(), [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")]
    order = []
    for _ in range(8):
        order.append(turns.next(waiting))
        turns.served(order[-1])
    assert [caller[0] for caller in order] == ["a", "b"] * 4
    assert [caller[1] for caller in order if caller[0] == "a"] == ["1", "2", "3", "1"]


def test_a_semaphore_lets_so_many_in_and_callers_in_turn() -> None:
    semaphore, order, most, inside = FairSemaphore(1), [], [], []
    go = threading.Event()

    def work(caller: tuple[str, ...]) -> None:
        with semaphore.turn(caller):
            inside.append(caller)
            most.append(len(inside))
            order.append(caller)
            go.wait(GUARD)
            inside.remove(caller)

    threads = []
    for caller in [GREEDY] * 10 + [OTHER]:
        threads.append(threading.Thread(target=work, args=(caller,)))
        threads[-1].start()
        wait_for(lambda: order and sum(map(len, semaphore._waiting.values())) == len(threads) - 1)
    go.set()
    for thread in threads:
        thread.join(GUARD)
    assert max(most) == 1
    assert order.index(OTHER) <= 2


# The queue of a model.


class Model:
    """Writes down what it works on; it goes on a batch at a time."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.go = threading.Semaphore(0)

    def __call__(self, items: Sequence[object], key: object) -> list[object]:
        assert self.go.acquire(timeout=GUARD)
        self.seen.extend(items)
        return list(items)


def submit(batcher: Batcher, caller: tuple[str, ...], items: Sequence[object]) -> None:
    def ask() -> None:
        use_caller(caller)
        batcher.submit(items)

    thread = threading.Thread(target=ask)  # each thread has a context of its own
    thread.start()
    thread.join(GUARD)


@pytest.mark.parametrize("largest", [1, 4])
def test_a_caller_with_one_request_is_next_but_one(largest: int) -> None:
    model = Model()
    batcher = Batcher("t", model, largest)
    for number in range(100):
        submit(batcher, GREEDY, [number])
    submit(batcher, OTHER, ["other"])
    submit(batcher, ("third",), ["third"])
    for _ in range(4):
        model.go.release()
    wait_for(lambda: len(model.seen) >= 3 * largest)
    assert {"other", "third"} <= set(model.seen[: 4 * largest])
    for _ in range(120):
        model.go.release()


def test_a_full_queue_takes_another_callers_items() -> None:
    model = Model()
    batcher = Batcher("t", model, 1, settings=Settings(max_queue=8))
    submit(batcher, GREEDY, ["first"])
    wait_for(lambda: not batcher.waiting)
    submit(batcher, GREEDY, list(range(8)))
    use_caller(GREEDY)
    with pytest.raises(Overloaded, match="t has 8 waiting, of at most 8"):
        batcher.submit([9])
    use_caller(OTHER)
    batcher.submit(["a", "b"])
    assert batcher.waiting == 10
    use_caller(())
    for _ in range(20):
        model.go.release()
    wait_for(lambda: not batcher.waiting)


def test_a_full_server_takes_another_caller() -> None:
    limit = CallLimit(4)
    with contextlib.ExitStack() as stack:
        use_caller(GREEDY)
        for _ in range(4):
            stack.enter_context(limit.call())
        with pytest.raises(Overloaded, match="4 calls are under way"):
            stack.enter_context(limit.call())
        use_caller(OTHER)
        stack.enter_context(limit.call())
        assert limit.calls().under_way == 5
        use_caller(())


# A real server, and two callers.


class Describer:
    """Takes a while for each request, one after the other."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.arrived: list[int] = []  # how much was finished when "mine" came
        self.batcher = Batcher("describe", self._predict, 1)

    def _predict(self, items: Sequence[str], key: None) -> list[str]:
        time.sleep(0.005)
        self.finished += items
        return list(items)

    def Describe(self, packet: Packet, context: grpc.ServicerContext) -> Packet:
        text = bytes(packet.payloads.get(packet.message.image.encoded)).decode()
        if text == "mine":
            self.arrived.append(len(self.finished))
        return Packet(
            describe_pb2.DescribeResponse(text=self.batcher.one(text, None, context.add_callback)), Payloads()
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Server, Describer]]:
    (tmp_path / "tokens").write_text("first\nsecond\n")
    describer = Describer()
    security = Security(token_file=str(tmp_path / "tokens"))
    running = Server(SERVICE, describer, "127.0.0.1:0", security, Settings(max_calls=16, max_queue=16))
    yield running, describer
    running.stop(0).wait(GUARD)


def describe(channel: grpc.Channel, text: str, token: str, claimed: str = "") -> Any:
    request = describe_pb2.DescribeRequest()
    request.image.encoded = text.encode()
    metadata = [("authorization", f"Bearer {token}"), *([(CALLER, claimed)] if claimed else [])]
    return channel.unary_unary(METHOD).future(request.SerializeToString(), timeout=GUARD, metadata=metadata)


@pytest.mark.parametrize(
    ("greedy", "other"),
    [(("first", ""), ("second", "")), (("first", "a"), ("first", "b"))],
    ids=["tokens", "for whom a front calls"],
)
def test_a_request_beside_five_hundred_is_soon_done(
    server: tuple[Server, Describer], greedy: tuple[str, str], other: tuple[str, str]
) -> None:
    running, describer = server
    with grpc.insecure_channel(running.address, [SINGLE_THREADED]) as channel:
        calls = [describe(channel, "greedy", *greedy) for _ in range(500)]
        wait_for(lambda: describer.finished)
        for _ in range(3):
            mine = describe(channel, "mine", *other)
            assert mine.exception() is None, "refused"
        own = [index for index, text in enumerate(describer.finished) if text == "mine"]
        waited = [done - came for done, came in zip(own, describer.arrived, strict=True)]
        assert max(waited) <= 3, "it waited for its turn longer than for a few"
        codes = [call.code() for call in calls]
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes.count(grpc.StatusCode.OK) >= 16


def test_two_connections_of_one_address_share(server: tuple[Server, Describer]) -> None:
    running, _ = server
    separate = [("grpc.use_local_subchannel_pool", 1)]
    with (
        grpc.insecure_channel(running.address, separate) as one,
        grpc.insecure_channel(running.address, separate) as two,
    ):
        calls = [describe(one, "greedy", "first") for _ in range(200)]
        assert describe(two, "mine", "first").exception() is None
        for call in calls:
            call.code()
