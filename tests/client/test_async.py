"""AsyncPipelineClient: the same events and errors as from threads, and what only an event loop can do."""

import asyncio
import contextlib
import pickle
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_pipeline import FakePipeline
from scripted_pipeline import LASTING, PHOTO, Scripted, fault, serving
from waiting import GUARD

from tensorhop import AsyncPipelineClient, InvalidInput, ObjectResult, Output, PipelineClient, Security, ServiceFault
from tensorhop.errors import Overloaded
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.rpc import retries
from tensorhop.rpc.server import Server
from tensorhop.v1 import fault_pb2
from tensorhop.values.results import Detections, Summary


def run(program: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await program

    return asyncio.run(limited())


async def kinds(client: AsyncPipelineClient, **more: Any) -> list[type]:
    return [type(event) async for event in client.process(PHOTO, **more)]


def kinds_at(address: str, retry: bool = True, **more: Any) -> list[type]:
    async def program() -> list[type]:
        async with AsyncPipelineClient(address, retry=retry) as client:
            return await kinds(client, **more)

    found: list[type] = run(program())
    return found


def test_the_events_are_those_that_threads_get(client: PipelineClient, servers: dict[str, Server], cat: Any) -> None:
    options: dict[str, Any] = {"return_masks": True, "return_layers": True, "max_objects": 2, "ordered": True}

    async def program() -> list[Any]:
        async with AsyncPipelineClient(servers["pipeline"].address) as own:
            return [event async for event in own.process(cat, **options)]

    expected, got = list(client.process(cat, **options)), run(program())
    assert [type(event) for event in got] == [type(event) for event in expected]
    for first, second in zip(expected, got, strict=True):
        if isinstance(first, ObjectResult):
            assert (second.detection, second.placement) == (first.detection, first.placement)
            for name in ("picture", "cutout", "shadow"):
                np.testing.assert_array_equal(getattr(second, name).pixels, getattr(first, name).pixels)
            np.testing.assert_array_equal(second.mask.alpha, first.mask.alpha)
        elif not isinstance(first, Summary):
            assert second == first


def test_all_inputs_and_large_answers_pass(servers: dict[str, Server], tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (1500, 2000, 3), np.uint8)
    mask = np.zeros((1500, 2000), bool)
    mask[100:1400, 100:1900] = True
    path = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"

    async def program() -> tuple[Any, Any]:
        async with AsyncPipelineClient(servers["pipeline"].address) as client:
            large = [event async for event in client.process(noise, masks=[mask], output=Output("png"))]
            named = [event async for event in client.process(path, phrases="cat", output=Output("png"))]
            return large[1], named[1]

    large, named = run(program())
    assert large.file.startswith(b"\x89PNG")
    assert named.detection.label == "cat"


def test_what_fails_for_a_moment_is_made_again() -> None:
    pipeline = Scripted(fault("UNAVAILABLE"), Overloaded("full", 0.1), fault("UNAVAILABLE"))
    with serving(pipeline) as address:
        started = time.monotonic()
        assert kinds_at(address) == [Detections, Summary]
        assert time.monotonic() - started >= 0.1
    assert pipeline.calls == 4


@LASTING
def test_what_would_fail_again_is_not_made_again(failure: Exception, more: dict[str, Any]) -> None:
    async def program(address: str) -> tuple[ServiceFault, ServiceFault]:
        async with AsyncPipelineClient(address) as client:
            call = client.process(PHOTO)
            with pytest.raises(ServiceFault) as first:
                [event async for event in call]
            with pytest.raises(ServiceFault) as second:
                await anext(call)  # it stays failed
            return first.value, second.value

    pipeline = Scripted(failure, **more)
    with serving(pipeline) as address:
        first, second = run(program(address))
    assert first is second
    assert pipeline.calls == 1
    if isinstance(failure, InvalidInput):
        assert (first.code, first.fault.field) == ("INVALID_ARGUMENT", "boxes")


def test_retries_can_be_turned_off() -> None:
    pipeline = Scripted(fault("UNAVAILABLE"))
    with serving(pipeline) as address, pytest.raises(ServiceFault):
        kinds_at(address, retry=False)
    assert pipeline.calls == 1


def test_a_pipeline_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"

    async def program() -> list[type]:
        async with AsyncPipelineClient(address) as client:
            waiting = asyncio.create_task(kinds(client))
            await asyncio.sleep(0.3)
            server = Server(SERVICE, Scripted(), address)
            found = await waiting
        server.stop(0).wait()
        return found

    assert run(program()) == [Detections, Summary]


def test_one_that_is_not_there_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "LONGEST_OUTAGE", 0.1)
    monkeypatch.setattr("tensorhop.client.async_call.LONGEST_OUTAGE", 0.1)
    with pytest.raises(ServiceFault, match=r"nothing answers at 127\.0\.0\.1:9;") as caught:
        kinds_at("127.0.0.1:9")
    assert caught.value.fault.code == fault_pb2.CODE_UNAVAILABLE


def test_the_deadline_is_of_all_attempts_together() -> None:
    pipeline = Scripted(*(Overloaded("full", 0.8) for _ in range(99)))
    with serving(pipeline) as address, pytest.raises(ServiceFault):
        kinds_at(address, timeout=2)
    assert 1 <= pipeline.calls <= 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image": np.zeros((4, 4), np.float32)}, "image"),
        ({"image": PHOTO, "timeout": -1}, "timeout"),
        ({"image": PHOTO, "phrases": [7]}, "phrases"),
    ],
)
def test_what_is_not_allowed_is_told_at_the_first_event(arguments: dict[str, Any], words: str) -> None:
    async def program() -> None:
        async with AsyncPipelineClient("127.0.0.1:9") as client:
            await anext(client.process(**arguments))

    with pytest.raises(InvalidInput, match=words):
        run(program())


def test_a_path_that_is_not_there_is_told() -> None:
    async def program() -> None:
        async with AsyncPipelineClient("127.0.0.1:9") as client:
            await anext(client.process("no/such.jpg"))

    with pytest.raises(FileNotFoundError):
        run(program())


def test_a_malformed_endpoint_is_told_at_once() -> None:
    with pytest.raises(InvalidInput, match="brackets"):
        AsyncPipelineClient("::1:50050")


# A pipeline that waits, and callers who do not.


@pytest.fixture(scope="module")
def waiting() -> Iterator[tuple[FakePipeline, str]]:
    """A pipeline that sends one event and waits, for requests with the id "waits"."""
    fake = FakePipeline()
    server = Server(SERVICE, fake, "127.0.0.1:0")
    yield fake, server.address
    fake.go_on.set()
    server.stop(0).wait()


async def leave_by_break(client: AsyncPipelineClient) -> None:
    async for _ in client.process(PHOTO, request_id="waits"):
        break


async def leave_by_cancel(client: AsyncPipelineClient) -> None:
    came = asyncio.Event()

    async def endless() -> None:
        async for _ in client.process(PHOTO, request_id="waits"):
            came.set()

    task = asyncio.create_task(endless())
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def leave_by_timeout(client: AsyncPipelineClient) -> None:
    async def endless() -> None:
        async with asyncio.timeout(None) as limit:
            async for _ in client.process(PHOTO, request_id="waits"):
                limit.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        await endless()


async def leave_by_aclose(client: AsyncPipelineClient) -> None:
    call = client.process(PHOTO, request_id="waits")
    async with contextlib.aclosing(call):
        await anext(call)
        reading = asyncio.create_task(anext(call))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
    with pytest.raises(ServiceFault, match="closed") as caught:
        await reading
    assert caught.value.code == "CANCELLED"


async def leave_by_close(client: AsyncPipelineClient) -> None:
    call = client.process(PHOTO, request_id="waits")
    await anext(call)
    reading = asyncio.create_task(anext(call))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    await client.close()
    with pytest.raises(ServiceFault, match="closed"):
        await reading
    with pytest.raises(ServiceFault, match="closed"):
        await anext(client.process(PHOTO))


LEAVES = [leave_by_break, leave_by_cancel, leave_by_timeout, leave_by_aclose, leave_by_close]


@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__.removeprefix("leave_by_"))
def test_who_leaves_ends_the_work(waiting: tuple[FakePipeline, str], leave: Any) -> None:
    fake, address = waiting
    fake.left.clear()

    async def program() -> bool:
        async with AsyncPipelineClient(address) as client:
            await leave(client)
            return await asyncio.to_thread(fake.left.wait, GUARD)

    assert run(program())


def test_closing_ends_the_wait_for_the_next_attempt() -> None:
    async def program(address: str) -> float:
        async with AsyncPipelineClient(address) as client:
            task = asyncio.create_task(kinds(client))
            await asyncio.sleep(0.3)
            started = time.monotonic()
            await client.close()
            with pytest.raises(ServiceFault):
                await task
            return time.monotonic() - started

    with serving(Scripted(*(Overloaded("full", 9) for _ in range(9)))) as address:
        assert run(program(address)) < 8


def test_many_tasks_share_a_client() -> None:
    async def program(address: str) -> list[list[type]]:
        async with AsyncPipelineClient(address) as client:
            return await asyncio.gather(*(kinds(client) for _ in range(100)))

    with serving(Scripted()) as address:
        assert run(program(address)) == [[Detections, Summary]] * 100


def test_one_client_serves_one_loop_after_another() -> None:
    with serving(Scripted()) as address:
        client = AsyncPipelineClient(address)  # outside of any loop, as a module of a web framework does it
        for _ in range(2):
            assert run(kinds(client)) == [Detections, Summary]


def test_the_loop_goes_on_while_a_request_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorhop.client.cutouts import async_pipeline

    real, ticks = async_pipeline.process_request, []

    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(0.5)
        return real(*args, **more)

    monkeypatch.setattr(async_pipeline, "process_request", slow)

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def program(address: str) -> None:
        async with AsyncPipelineClient(address) as client:
            ticking = asyncio.create_task(tick())
            await kinds(client)
            ticking.cancel()

    with serving(Scripted()) as address:
        run(program(address))
    assert len(ticks) > 10


def test_a_call_says_why_it_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(AsyncPipelineClient("127.0.0.1:9").process(PHOTO))


def test_tls_and_tokens_are_sent_and_renewed(tmp_path: Path) -> None:
    import trustme

    def certify() -> None:
        authority = trustme.CA()
        made = authority.issue_cert("localhost")
        made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        made.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    certify()
    (tmp_path / "tokens").write_text("one\n")
    server_side = Security(
        tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"), token_file=str(tmp_path / "tokens")
    )
    server = Server(SERVICE, Scripted(), "localhost:0", security=server_side)
    address = f"localhost:{server.address.rpartition(':')[2]}"
    trusting = Security(tls_ca=str(tmp_path / "ca.pem"))

    async def program() -> None:
        sender = Security(tls_ca=str(tmp_path / "ca.pem"), token_file=str(tmp_path / "tokens"))
        async with AsyncPipelineClient(address, security=sender) as client:
            assert await kinds(client) == [Detections, Summary]
            await asyncio.to_thread(certify)
            (tmp_path / "tokens").write_text("two\n")
            assert await kinds(client) == [Detections, Summary]
        async with AsyncPipelineClient(address, security=trusting) as client:
            with pytest.raises(ServiceFault, match="token"):
                await kinds(client)

    run(program())
    server.stop(0).wait()


def test_the_wrappers_of_opentelemetry_change_nothing(waiting: tuple[FakePipeline, str]) -> None:
    from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient

    fake, address = waiting
    instrumentor = GrpcAioInstrumentorClient()
    instrumentor.instrument()
    try:
        assert kinds_at(address)[-1] is Summary
        fake.left.clear()

        async def program() -> bool:
            async with AsyncPipelineClient(address) as client:
                await leave_by_cancel(client)
                return await asyncio.to_thread(fake.left.wait, GUARD)

        assert run(program())
    finally:
        instrumentor.uninstrument()
