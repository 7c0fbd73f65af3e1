"""The chain of views, on real sockets, with services that do what a script says."""

import threading
import time
from collections import Counter
from typing import Any

import grpc
import numpy as np
import pytest
from fake_views import Script, fake_chain
from waiting import wait_for

from tensorhop import (
    IntervalDecision,
    InvalidInput,
    PairResult,
    PairScore,
    ServiceFault,
    ViewDescription,
    ViewFault,
    ViewResult,
    ViewsClient,
    ViewsSummary,
)
from tensorhop.client.views.requests import views_request
from tensorhop.rpc.remote import Remote
from tensorhop.v1 import fault_pb2, interpolate_pb2, preprocess_pb2, upscale_pb2, views_pb2
from tensorhop.values.images import decode_image
from tensorhop.values.panoramas import Camera, CameraPair
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

PANORAMA = np.zeros((64, 128, 3), np.uint8)
SMALL = {"views": 2, "size": (32, 24), "intervals": [1, 2]}
FAULT = fault_pb2.Fault(code=fault_pb2.CODE_INTERNAL, message="m", service="s")


def events_of(script: Script, *panoramas: np.ndarray, held: bool = False, **options: Any) -> list[Any]:
    if not held:
        script.pause.set()
    with fake_chain(script, shm_bytes=0) as front, ViewsClient(front.address) as client:
        return list(client.process(*(panoramas or (PANORAMA,)), **(SMALL | options)))


def kinds(events: list[Any]) -> Counter[str]:
    return Counter(type(event).__name__ for event in events)


def faults(events: list[Any]) -> list[tuple[int, int, int, str]]:
    found = [event for event in events if isinstance(event, ViewFault)]
    return sorted((one.interval, one.panorama, one.weight_idx, one.step) for one in found)


def summary(events: list[Any]) -> ViewsSummary:
    assert isinstance(events[-1], ViewsSummary)
    return events[-1]


def test_it_runs_from_the_left_to_the_right() -> None:
    script = Script()
    events = events_of(script, PANORAMA, PANORAMA)
    assert kinds(events) == {
        "PairResult": 4,
        "PairScore": 4,
        "IntervalDecision": 2,
        "ViewDescription": 2,
        "ViewResult": 16,
        "ViewsSummary": 1,
    }
    end = summary(events)
    assert (end.intervals, end.kept, end.views, end.upscaled, end.faults) == (2, 2, 8, 8, 0)
    assert [step.step for step in end.steps] == ["preprocess", "quality", "describe", "interpolate", "upscale"]
    for event in events:
        if isinstance(event, PairResult):
            assert event.pixels.shape == (24, 64, 3)
            assert tuple(event.pixels[0, 0]) == (event.interval, event.panorama, 0)
        if isinstance(event, ViewResult):
            assert event.pixels.shape == (24 * event.scale, 32 * event.scale, 3)
            assert tuple(event.pixels[0, 0]) == (event.interval, event.panorama, event.weight_idx)
    prompts = {one.prompt for one in script.requests if isinstance(one, upscale_pb2.UpscaleRequest)}
    assert prompts == {"view 1", "view 2"}


def test_each_is_answered_as_soon_as_it_is_there() -> None:
    script = Script()
    with fake_chain(script) as front, ViewsClient(front.address) as client:
        coming = iter(client.process(PANORAMA, **(SMALL | {"intervals": [1]})))
        before = [next(coming) for _ in range(6)]  # while upscale waits
        assert kinds(before) == {
            "PairResult": 1, "PairScore": 1, "IntervalDecision": 1, "ViewDescription": 1, "ViewResult": 2
        }  # fmt: skip
        script.pause.set()
        assert kinds(list(coming)) == {"ViewResult": 2, "ViewsSummary": 1}


@pytest.mark.parametrize(
    ("given", "skipped"),
    [
        ({"min_score": 0}, "quality"),
        ({"views": 0}, "interpolate upscale"),
        ({"scale": 1}, "upscale"),
        ({"descriptions": {1: "a", 2: "b"}}, "describe"),
        ({"describe": False}, "describe"),
    ],
)
def test_a_step_is_skipped_whose_output_the_caller_has(given: dict[str, Any], skipped: str) -> None:
    script = Script()
    events = events_of(script, **given)
    assert {*script.calls} == {"preprocess", "quality", "describe", "interpolate", "upscale"} - {*skipped.split()}
    assert summary(events).kept == 2
    assert [step.step for step in summary(events).steps if step.step in skipped.split()] == []


def test_given_descriptions_are_answered_and_reach_upscale() -> None:
    script = Script()
    events = events_of(script, descriptions={1: "a barn"})
    texts = {event.interval: (event.text, event.score) for event in events if isinstance(event, ViewDescription)}
    assert texts == {1: ("a barn", 1.0), 2: ("view 2", 0.5)}
    prompts = Counter(one.prompt for one in script.requests if isinstance(one, upscale_pb2.UpscaleRequest))
    assert prompts == {"a barn": 2, "view 2": 2}


def test_given_cameras_are_the_pairs_and_nothing_is_drawn() -> None:
    script, pair = Script(), CameraPair(Camera(yaw=10), Camera(yaw=20, xi=0.5))
    events_of(script, intervals=(), cameras={3: [pair]})
    (asked,) = (one for one in script.requests if isinstance(one, preprocess_pb2.PreprocessRequest))
    assert asked.cameras[0].interval == 3
    assert asked.cameras[0].cameras[0].right.xi == 0.5
    assert not asked.HasField("seed")


def test_the_seed_is_the_same_for_all_intervals_and_attempts() -> None:
    script = Script(breaks=Counter({"preprocess": 1}))
    events_of(script, PANORAMA, PANORAMA)
    seeds = {one.seed for one in script.requests if isinstance(one, preprocess_pb2.PreprocessRequest)}
    assert len(seeds) == 1
    own = Script()
    events_of(own, seed=7)
    assert {one.seed for one in own.requests if isinstance(one, preprocess_pb2.PreprocessRequest)} == {7}
    assert {one.seed for one in own.requests if isinstance(one, upscale_pb2.UpscaleRequest)} == {7}


def test_the_least_score_decides() -> None:
    script = Script(scores={1: 0.7, 2: 0.69})
    events = events_of(script, PANORAMA, PANORAMA)
    decisions = {event.interval: (event.kept, event.score) for event in events if isinstance(event, IntervalDecision)}
    assert decisions == {1: (True, 0.7), 2: (False, 0.69)}
    assert {event.interval for event in events if isinstance(event, ViewResult)} == {1}
    assert summary(events).kept == 1


def test_a_missing_score_is_no_error_but_is_not_kept() -> None:
    events = events_of(Script(scores={1: None}))
    (scored,) = (event for event in events if isinstance(event, PairScore) and event.interval == 1)
    assert (scored.score, scored.text) == (None, "as it is")
    decisions = {event.interval: (event.kept, event.score) for event in events if isinstance(event, IntervalDecision)}
    assert decisions == {1: (False, None), 2: (True, 0.9)}
    assert summary(events).faults == 0


@pytest.mark.parametrize(
    ("service", "expected", "kept"),
    [
        ("preprocess", [(1, 0, 0), (2, 0, 0)], 0),
        ("quality", [(1, 0, 0), (2, 0, 0)], 0),
        ("describe", [(1, 0, 0), (2, 0, 0)], 2),
        ("interpolate", [(1, 0, 1), (2, 0, 1)], 2),
        ("upscale", [(1, 0, 1), (2, 0, 1)], 2),
    ],
)
def test_what_fails_leaves_the_rest_alone(service: str, expected: list[tuple[int, ...]], kept: int) -> None:
    fault = fault_pb2.Fault(code=fault_pb2.CODE_INTERNAL, message="m", service=service)
    events = events_of(Script(fails={service: fault}))
    assert faults(events) == [(*one, service) for one in expected]
    assert (summary(events).kept, summary(events).faults) == (kept, 2)
    if kept:
        enlarged = [event for event in events if isinstance(event, ViewResult) and event.scale == 2]
        assert len(enlarged) == (4 if service == "describe" else 2)


@pytest.mark.parametrize("service", ["preprocess", "interpolate"])
def test_a_stream_that_breaks_is_taken_up_again(service: str) -> None:
    script = Script(breaks=Counter({service: 1}))
    events = events_of(script, PANORAMA, PANORAMA, intervals=[1])
    assert script.calls[service] == 2
    assert kinds(events)["PairResult"] == 2
    assert (summary(events).views, summary(events).upscaled, summary(events).faults) == (4, 4, 0)


def test_the_second_time_only_the_crops_are_made_again() -> None:
    script = Script()
    script.pause.set()
    with fake_chain(script) as front, ViewsClient(front.address) as client:
        first = list(client.process(PANORAMA, **SMALL))
        again = list(client.process(PANORAMA, **SMALL))
        assert {step.step: (step.calls, step.cached) for step in summary(again).steps} == {
            "preprocess": (2, 0), "quality": (0, 2), "describe": (0, 2), "interpolate": (2, 0), "upscale": (0, 4)
        }  # fmt: skip
        large = [{event.pixels.tobytes() for event in one if isinstance(event, ViewResult)} for one in (first, again)]
        assert large[0] == large[1]
        anew = summary(list(client.process(PANORAMA, **SMALL, cache=False)))
        assert [step.cached for step in anew.steps] == [0] * 5


def test_no_more_intervals_are_under_way_than_the_caller_says() -> None:
    script = Script()
    threading.Timer(0.5, script.pause.set).start()
    events = events_of(script, held=True, intervals=[1, 2, 3, 4], views=1, max_parallel=2)
    assert summary(events).upscaled == 4
    assert script.most == 2


def test_a_caller_who_leaves_ends_the_work() -> None:
    script = Script()
    with fake_chain(script) as front, ViewsClient(front.address) as client:
        coming = client.process(PANORAMA, **SMALL)
        assert isinstance(next(coming), PairResult)
        while not script.under_way:
            time.sleep(0.01)
        coming.close()
        wait_for(lambda: not script.under_way)
        assert script.calls["upscale"] <= 4


def test_at_its_deadline_it_answers_what_there_is() -> None:
    script = Script()
    events = events_of(script, held=True, timeout=4)
    assert faults(events) == [(interval, 0, weight, "upscale") for interval in (1, 2) for weight in (1, 2)]
    assert {event.code for event in events if isinstance(event, ViewFault)} == {"DEADLINE_EXCEEDED"}
    assert (summary(events).views, summary(events).upscaled) == (4, 0)


def test_large_tensors_go_by_shared_memory_and_come_back_whole() -> None:
    script, panorama = Script(), np.zeros((256, 512, 3), np.uint8)
    script.pause.set()
    options = {"intervals": [1, 2], "views": 3, "size": (256, 160)}
    with fake_chain(script) as front, ViewsClient(front.address) as client:
        for _ in range(2):  # the second time in slots that the first has given back
            events = list(client.process(panorama, panorama, **options, cache=False))
            assert {step.transport for step in summary(events).steps} == {"shared_memory"}
            for event in events:
                if isinstance(event, ViewResult):
                    expected = (event.interval, event.panorama, event.weight_idx)
                    assert (event.pixels == np.array(expected, np.uint8)).all()
    lent = [one for one in script.requests if isinstance(one, interpolate_pb2.InterpolateRequest)]
    assert all(one.lent for one in lent)


@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_pictures_come_as_files(encoding: str) -> None:
    events = events_of(Script(), encoding=encoding, intervals=[5])
    for event in events:
        if isinstance(event, PairResult | ViewResult):
            shown = decode_image(event.file)
            width = 64 if isinstance(event, PairResult) else 32 * event.scale
            assert (event.pixels, shown.shape[1]) == (None, width)
            if encoding == "png":
                assert shown[0, 0, 0] == 5


def test_a_picture_of_another_ratio_is_for_those_who_say_so() -> None:
    square = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ServiceFault, match=r"panoramas\[1\] is 64 x 64 pixels, a ratio of 1:1; a panorama is 2:1"):
        events_of(Script(), PANORAMA, square)
    assert summary(events_of(Script(), square, any_ratio=True)).kept == 2


NAN = CameraPair(Camera(), Camera(pitch=float("nan")))
GOOD = CameraPair(Camera(), Camera())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"intervals": [0]}, "intervals[0] is 0; it must be from 1 to 8"),
        ({"intervals": [3, 3]}, "intervals[1] is 3, which came before; give each interval once"),
        ({"cameras": {1: [GOOD]}}, "cameras came with intervals; give one or the other"),
        ({"intervals": [], "cameras": {9: [GOOD]}}, "cameras[0].interval is 9; it must be from 1 to 8"),
        (
            {"intervals": [], "cameras": {1: [GOOD, GOOD]}},
            "cameras[0].cameras has 2 entries; give one pair for each panorama, 1",
        ),
        (
            {"intervals": [], "cameras": {1: [NAN]}},
            "cameras[0].cameras[0].right.pitch is nan; it must be from -90 to 90 degrees",
        ),
        ({"views": 10_000}, "views is 10000; it must be from 0 to 100"),
        ({"views": -1}, "views is -1; it must be from 0 to 100"),
        ({"scale": 3}, "scale is 3; it must be 1, 2 or 4"),
        ({"min_score": float("nan")}, "min_score is nan; it must be from 0 to 1"),
        ({"min_score": 1.5}, "min_score is 1.5; it must be from 0 to 1"),
        ({"size": (0, 10)}, "view.width is 0; it must be from 1 to 4,096 pixels"),
        ({"size": (10, 5000)}, "view.height is 5000; it must be from 1 to 4,096 pixels"),
        (
            {"size": (4096, 4096), "scale": 4},
            "scale is 4, which makes views of 16384 x 16384 pixels; at most 100,000,000 pixels are allowed",
        ),
        (
            {"size": (4096, 4096), "views": 100, "scale": 1},
            "views is 100, which makes 1,677,721,600 pixels of each interval; at most 400,000,000 are allowed",
        ),
        (
            {"size": (4096, 512), "encoding": "webp", "scale": 4},
            "encoding is webp, whose sides have at most 16,383 pixels; the canvas is 16384 x 2048",
        ),
        ({"descriptions": {3: "x"}}, "descriptions[3] is of no interval of this request, 1, 2"),
        ({"descriptions": {1: " "}}, "descriptions[1] is empty; a description is text"),
        ({"descriptions": {1: "x" * 1001}}, "descriptions[1] has 1001 characters; at most 1000 are allowed"),
        ({"max_parallel": 0}, "max_parallel is 0; it must be from 1 to 64"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field_and_limit(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ServiceFault) as caught:
        events_of(script := Script(), **given)
    assert (caught.value.code, str(caught.value)) == ("INVALID_ARGUMENT", said)
    assert caught.value.fault.field == said.split()[0]
    assert not script.calls


def test_bad_cameras_of_one_interval_fail_that_one() -> None:
    events = events_of(Script(), intervals=(), cameras={4: [GOOD], 6: [NAN]})
    (fault,) = (event for event in events if isinstance(event, ViewFault))
    assert (fault.interval, fault.field) == (6, "cameras[1].cameras[0].right.pitch")
    assert (summary(events).kept, summary(events).faults) == (1, 1)


def test_no_panorama_is_refused() -> None:
    with fake_chain(Script()) as front:
        service = views_pb2.DESCRIPTOR.services_by_name["ViewsService"]
        remote = Remote(front.address, service)
        packet = Packet(views_pb2.ViewsServiceProcessRequest(), Payloads())
        with pytest.raises(grpc.RpcError) as caught:
            list(remote.call("Process", packet, timeout=10))
        remote.close()
    assert caught.value.details() == "panoramas has 0 entries; it must have from 1 to 2"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"encoding": "gif"}, "encoding is 'gif'"), ({"seed": -1}, "seed is -1"), ({"seed": 2**64}, "seed is")],
)
def test_the_client_refuses_what_it_cannot_send(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        views_request(PANORAMA, **options)
