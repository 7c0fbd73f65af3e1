"""The chain of views with its own services, their embedded models, and the sample panorama."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tensorhop import PairResult, PairScore, ViewDescription, ViewResult, ViewsClient, ViewsSummary
from tensorhop.rpc.server import Server
from tensorhop.values.geometry import size_of
from tensorhop.values.images import decode_image
from tensorhop.values.panoramas import CameraPair, Panorama

COURT = Path(__file__).parents[2] / "examples" / "panoramas" / "court.jpg"
SMALL = {"seed": 3, "size": (256, 192), "views": 2, "min_score": 0.01}


@pytest.fixture(scope="module")
def views(servers: dict[str, Server]) -> Iterator[ViewsClient]:
    with ViewsClient(servers["views"].address) as connected:
        yield connected


def run(client: ViewsClient, *panoramas: Any, **options: Any) -> list[Any]:
    return list(client.process(*panoramas, **(SMALL | options)))


def test_every_step_answers_from_a_file_to_the_enlarged_views(views: ViewsClient) -> None:
    events = run(views, COURT, intervals=[2], cache=False)
    end = events[-1]
    assert isinstance(end, ViewsSummary)
    assert (end.intervals, end.kept, end.views, end.upscaled, end.faults) == (1, 1, 2, 2, 0)
    assert [(step.step, step.calls) for step in end.steps] == [
        ("preprocess", 1), ("quality", 1), ("describe", 1), ("interpolate", 1), ("upscale", 2)
    ]  # fmt: skip
    models = {step.step: step.model for step in end.steps}
    assert models == {"preprocess": "", "interpolate": "", "quality": "embedded", "describe": "embedded"} | {
        "upscale": "embedded"
    }
    (scored,) = (event for event in events if isinstance(event, PairScore))
    assert scored.score is not None
    assert 0 < scored.score <= 1
    assert {"left", "right", "match"} <= scored.scores.keys()
    (described,) = (event for event in events if isinstance(event, ViewDescription))
    assert described.text


def test_views_are_crops_of_the_panorama_by_the_cameras_that_are_told(views: ViewsClient) -> None:
    events = run(views, COURT, intervals=[5], scale=1, describe=False)
    panorama = Panorama(decode_image(COURT.read_bytes()))
    for event in events:
        if isinstance(event, PairResult):
            for camera, half in zip(event.cameras, np.split(event.pixels, 2, axis=1), strict=True):
                assert np.abs(panorama.view(camera, size_of(half)) - half.astype(int)).max() <= 1
        if isinstance(event, ViewResult):
            assert np.abs(panorama.view(event.camera, size_of(event.pixels)) - event.pixels.astype(int)).max() <= 1


def test_enlarged_views_are_the_views(views: ViewsClient) -> None:
    events = run(views, COURT, intervals=[2], describe=False)
    found = {(event.weight_idx, event.scale): event.pixels for event in events if isinstance(event, ViewResult)}
    for weight in (1, 2):
        small = cv2.resize(found[weight, 2], (256, 192), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - found[weight, 1]).mean() < 4


def test_the_seed_makes_cameras_repeatable_and_so_do_the_cameras(views: ViewsClient) -> None:
    def pairs(**options: Any) -> dict[tuple[int, int], PairResult]:
        events = run(views, COURT, COURT, views=0, min_score=0, describe=False, **options)
        return {(event.interval, event.panorama): event for event in events if isinstance(event, PairResult)}

    first, again, other = pairs(intervals=[1, 4]), pairs(intervals=[4, 1]), pairs(intervals=[1, 4], seed=4)
    for key, pair in first.items():
        assert (pair.pixels == again[key].pixels).all()
        assert pair.cameras != other[key].cameras
    given: dict[int, list[CameraPair]] = {i: [first[i, 0].cameras, first[i, 1].cameras] for i in (1, 4)}
    for key, pair in pairs(cameras=given).items():
        assert (pair.pixels == first[key].pixels).all()


def test_two_panoramas_share_the_right_cameras(views: ViewsClient) -> None:
    events = run(views, COURT, COURT, intervals=[3], scale=1)
    one, two = sorted((event for event in events if isinstance(event, PairResult)), key=lambda event: event.panorama)
    assert one.cameras.right == two.cameras.right
    assert one.cameras.left != two.cameras.left
    assert {event.panorama for event in events if isinstance(event, ViewResult)} == {0, 1}
