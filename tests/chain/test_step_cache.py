"""What the pipeline takes from its cache, and what it must not."""

import threading
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import pytest

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.chain import step_cache
from tensorhop.orchestrator.chain.cache import Cache, Memory
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.rpc.server import Server
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Mask, ObjectResult, Summary
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

pytestmark = pytest.mark.slow

NUMBERS = count(1)
BOX, OTHER = (150.0, 40.0, 330.0, 250.0), (20.0, 20.0, 200.0, 200.0)


@pytest.fixture
def photo(cat: np.ndarray) -> np.ndarray:
    """A photo that no other test has sent."""
    photo = cat.copy()
    photo[0, 0] = [next(NUMBERS), 77, 77]
    return photo


def steps(events: list) -> dict[str, tuple[int, int]]:
    """Calls, and answers from the cache, of each step."""
    (summary,) = [event for event in events if isinstance(event, Summary)]
    return {step.step: (step.calls, step.cached) for step in summary.steps}


def pictures(events: list) -> list[bytes]:
    return [event.picture.pixels.tobytes() for event in events if isinstance(event, ObjectResult)]


def test_the_second_time_only_postprocess_runs(client: PipelineClient, photo: np.ndarray) -> None:
    first, again = list(client.process(photo)), list(client.process(photo))
    objects = len(pictures(first))
    assert steps(first)["segment"] == (1, 0)
    assert steps(again) == {
        "describe": (0, 1),
        "detect": (0, 1),
        "segment": (0, objects),
        "postprocess": (objects, 0),
    }
    assert pictures(again) == pictures(first)


def test_another_shadow_runs_postprocess_only_and_another_phrase_no_describe(
    client: PipelineClient, photo: np.ndarray
) -> None:
    list(client.process(photo, phrases=["cat"]))
    turned = steps(list(client.process(photo, phrases=["cat"], finish=Finish(rot=200))))
    assert (turned["detect"], turned["segment"]) == ((0, 1), (0, 1))
    other = steps(list(client.process(photo, phrases=["animal"])))
    assert "describe" not in other
    assert other["detect"] == (1, 0)


def test_another_photo_of_the_same_size_is_another(client: PipelineClient, photo: np.ndarray) -> None:
    list(client.process(photo, boxes=[BOX]))
    other = photo.copy()
    other[-1, -1] ^= 1
    assert steps(list(client.process(other, boxes=[BOX])))["segment"] == (1, 0)


def test_a_box_that_is_known_is_not_segmented_again(client: PipelineClient, photo: np.ndarray) -> None:
    alone = list(client.process(photo, boxes=[BOX]))
    both = list(client.process(photo, boxes=[OTHER, BOX], ordered=True))
    assert steps(both)["segment"] == (1, 1)
    assert pictures(both)[1:] == pictures(alone)


def test_no_cache_neither_takes_nor_keeps(client: PipelineClient, photo: np.ndarray) -> None:
    for _ in range(2):
        assert steps(list(client.process(photo, boxes=[BOX], cache=False)))["segment"] == (1, 0)
    assert steps(list(client.process(photo, boxes=[BOX])))["segment"] == (1, 0)


def test_ordered_objects_come_in_order(client: PipelineClient, photo: np.ndarray) -> None:
    list(client.process(photo, boxes=[OTHER]))  # known, and so done first
    events = list(client.process(photo, boxes=[BOX, OTHER], ordered=True))
    assert [event.detection.index for event in events if isinstance(event, ObjectResult)] == [0, 1]


def test_the_same_request_at_once_is_computed_once(client: PipelineClient, photo: np.ndarray) -> None:
    found: list[list] = []
    threads = [
        threading.Thread(target=lambda: found.append(list(client.process(photo, boxes=[BOX])))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert sum(steps(events)["segment"][0] for events in found) == 1
    assert len({picture for events in found for picture in pictures(events)}) == 1


def test_a_leader_that_is_cancelled_does_not_fail_its_followers(client: PipelineClient, photo: np.ndarray) -> None:
    leader = client.process(photo)
    follower: list = []
    thread = threading.Thread(target=lambda: follower.extend(client.process(photo)))
    thread.start()
    leader.close()
    thread.join(60)
    assert pictures(follower)


@pytest.fixture
def without_redis(servers: dict[str, Server], limit: Callable[..., None]) -> Iterator[PipelineClient]:
    """A pipeline whose Redis is not there."""
    limit(cache="redis://127.0.0.1:1/0")
    with (
        one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as running,
        PipelineClient(running["pipeline"].address) as connected,
    ):
        yield connected


def test_a_broken_redis_costs_no_answer(without_redis: PipelineClient, photo: np.ndarray) -> None:
    for _ in range(2):
        events = list(without_redis.process(photo, boxes=[BOX]))
        assert pictures(events)
        assert steps(events)["segment"] == (1, 0)


# Entries.


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_entry_is_a_copy_of_the_mask(dtype: type) -> None:
    alpha = np.arange(12, dtype=dtype).reshape(3, 4)
    if dtype is np.float32:
        alpha /= 12
    value = step_cache.write(Mask(alpha, Region(1, 2, 5, 5)))
    kept = alpha.copy()
    alpha[:] = 0
    mask = step_cache.read(value, Size(10, 10))
    np.testing.assert_array_equal(mask.alpha, kept)
    assert mask.region == Region(1, 2, 5, 5)


def test_an_entry_for_another_photo_is_refused() -> None:
    value = step_cache.write(Mask(np.zeros((3, 4), np.uint8), Region(1, 2, 5, 5)))
    with pytest.raises(InvalidInput):
        step_cache.read(value, Size(4, 4))


def test_nonsense_in_the_store_is_computed_anew(client: PipelineClient) -> None:
    class Stage:
        name, step = "detect", 2

        def model(self) -> object:
            from tensorhop.v1.model_pb2 import Model

            return Model(name="m")

    class Scope:
        def check(self) -> None: ...

        def cached(self, service: str, model: object) -> None: ...

    from tensorhop.v1.detect_pb2 import DetectResponse

    store = Memory(1000, 60)
    seen = step_cache.StepCache(Cache(store), np.zeros((2, 2, 3), np.uint8), Scope())  # type: ignore[arg-type]
    answer = Packet(DetectResponse(warnings=["w"]), Payloads())
    assert seen.packet(Stage(), [], DetectResponse, lambda: answer).message == answer.message  # type: ignore[arg-type]
    (key,) = store._entries
    store.put(key, b"\xff\xff")
    assert seen.packet(Stage(), [], DetectResponse, lambda: answer).message == answer.message  # type: ignore[arg-type]
