"""Masks that detect makes with its boxes: segment is left out for them, and the summary says so."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.client.steps import StepClient
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.services.detect.servicer import DetectServicer
from tensorhop.values.geometry import Box, Region
from tensorhop.values.results import Detection, Detections, Mask, ObjectFault, ObjectResult, Summary

NUMBERS = count(1)
REGION = Region(150, 40, 330, 250)
OTHER = Box(20, 20, 200, 200)


def disc(region: Region, most: int = 255) -> Mask:
    width, height = region.size
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) < 0.25
    return Mask((most * inside).astype(np.uint8), region)


class Scripted:
    """Answers the same detections for every photo."""

    name, revision, digest, largest_batch = "scripted", "1", "", 1

    def __init__(self, *masks: Mask | None) -> None:
        self.masks = masks

    def warm_up(self) -> None: ...

    def predict(
        self, images: Sequence[np.ndarray], phrases: Sequence[Sequence[str]], *thresholds: float | None
    ) -> list[tuple[list[Detection], list[str]]]:
        found = []
        for index, mask in enumerate(self.masks):
            box = Box(*map(float, mask.region)) if mask else OTHER
            found.append(Detection(index, phrases[0][0], 0, 0.9 - index / 10, box, mask=mask))
        return [(found, []) for _ in images]


@pytest.fixture
def photo(cat: np.ndarray) -> np.ndarray:
    """A photo that no other test has sent."""
    photo = cat.copy()
    photo[0, 0] = [next(NUMBERS), 78, 78]
    return photo


@pytest.fixture
def client(request: pytest.FixtureRequest, servers: dict[str, Server], tmp_path: Path) -> Iterator[PipelineClient]:
    """Of a pipeline whose detect answers the parameter's masks."""
    detect = Server(services()["detect"], DetectServicer(Scripted(*request.param)), f"unix:{tmp_path}/detect")
    told = {name: servers[name].address for name in PIPELINE.calls} | {"detect": detect.address}
    steps = Steps.connect(PIPELINE, told)
    front = Server(PIPELINE, PIPELINE.make_servicer(steps), "127.0.0.1:0")
    with PipelineClient(front.address) as client:
        yield client
    front.stop(0).wait()
    steps.close()
    detect.stop(0).wait()


def calls(events: list) -> dict[str, tuple[int, int]]:
    """Calls, and answers from the cache, of each step."""
    return {step.step: (step.calls, step.cached) for step in events[-1].steps}


@pytest.mark.parametrize("client", [[disc(REGION), disc(Region(20, 20, 140, 160))]], indirect=True)
def test_segment_is_left_out(client: PipelineClient, photo: np.ndarray) -> None:
    events = ask(client, photo)
    results = {one.detection.index: one for one in events if isinstance(one, ObjectResult)}
    assert sorted(results) == [0, 1]
    for index, mask in enumerate((disc(REGION), disc(Region(20, 20, 140, 160)))):
        answered = results[index].mask
        assert answered is not None
        assert answered.region == mask.region
        np.testing.assert_array_equal(answered.alpha, mask.alpha)
    assert calls(events) == {"detect": (1, 0), "postprocess": (2, 0)}
    assert isinstance(events[-1], Summary)
    assert events[-1].detect_masks == 2
    (found,) = [event for event in events if isinstance(event, Detections)]
    assert [one.mask for one in found.detections] == [None, None]  # they come with the objects
    assert "mask" not in event_json(found)["detections"][0]


@pytest.mark.parametrize("client", [[disc(REGION), disc(Region(20, 20, 140, 160))]], indirect=True)
def test_the_cache_holds_the_masks(client: PipelineClient, photo: np.ndarray) -> None:
    first, again = ask(client, photo), ask(client, photo)
    assert calls(again) == {"detect": (0, 1), "postprocess": (2, 0)}
    assert again[-1].detect_masks == 2
    assert pictures(again) == pictures(first)


@pytest.mark.parametrize("client", [[disc(REGION), None]], indirect=True)
def test_segment_makes_the_masks_that_are_missing(client: PipelineClient, photo: np.ndarray) -> None:
    events = ask(client, photo)
    assert calls(events)["segment"] == (1, 0)
    assert events[-1].detect_masks == 1
    assert sorted(one.detection.index for one in events if isinstance(one, ObjectResult | ObjectFault)) == [0, 1]


@pytest.mark.parametrize("client", [[disc(REGION), disc(Region(20, 20, 140, 160))]], indirect=True)
def test_only_the_objects_that_are_cut_out_count(client: PipelineClient, photo: np.ndarray) -> None:
    events = ask(client, photo, max_objects=1)
    assert events[-1].detect_masks == len(pictures(events)) == 1


@pytest.mark.parametrize("client", [[disc(REGION), disc(REGION)]], indirect=True)
def test_merged_objects_take_them_too(client: PipelineClient, photo: np.ndarray) -> None:
    events = ask(client, photo, merge=True)
    (result,) = [one for one in events if isinstance(one, ObjectResult)]
    assert result.mask is not None
    np.testing.assert_array_equal(result.mask.alpha, disc(REGION).alpha)
    assert "segment" not in calls(events)


@pytest.mark.parametrize("client", [[None]], indirect=True)
def test_a_detector_without_masks_is_as_before(client: PipelineClient, photo: np.ndarray) -> None:
    events = ask(client, photo)
    assert calls(events)["segment"] == (1, 0)
    assert events[-1].detect_masks == 0


@pytest.mark.parametrize("client", [[disc(REGION)]], indirect=True)
def test_the_photos_own_alpha_comes_first(client: PipelineClient, photo: np.ndarray) -> None:
    whole = np.zeros((*photo.shape[:2], 4), np.uint8)
    whole[..., :3] = photo
    whole[REGION.slices][..., 3] = 255
    events = ask(client, whole)
    assert (events[-1].alpha, events[-1].detect_masks) == ("mask", 0)


def test_a_client_of_detect_alone_gets_them(photo: np.ndarray, tmp_path: Path) -> None:
    servicer = DetectServicer(Scripted(disc(REGION), None))
    server = Server(services()["detect"], servicer, f"unix:{tmp_path}/detect")
    with StepClient({"detect": server.address}) as steps:
        first, second = steps.detect(photo, "cat", masks=True).detections
        assert [one.mask for one in steps.detect(photo, "cat").detections] == [None, None]  # unless they are asked for
    server.stop(0).wait()
    assert first.mask is not None
    assert first.mask.region == REGION
    np.testing.assert_array_equal(first.mask.alpha, disc(REGION).alpha)
    assert second.mask is None


def ask(client: PipelineClient, photo: np.ndarray, **more: object) -> list:
    return list(client.process(photo, phrases=["cat"], return_masks=True, **more))  # type: ignore[arg-type]


def pictures(events: list) -> list[bytes]:
    return [event.picture.pixels.tobytes() for event in events if isinstance(event, ObjectResult)]
