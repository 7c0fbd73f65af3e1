"""The whole chain on the true architectures, a process each, as `tensorhop up --model` starts them."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import make_tiny_promptable
import numpy as np
import pytest

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.launch import processes
from tensorhop.orchestrator.launch.model_choices import model_choices
from tensorhop.rpc.registry import ports
from tensorhop.values.results import Description, Detections, ObjectResult, Summary

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "examples" / "photos" / "coffee.jpg"
pytestmark = pytest.mark.xdist_group("chain")  # its services take half a minute to start


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("segmenters")
    runpy.run_path(str(ROOT / "tools" / "make_tiny_segmenters.py"))["make"](out)
    return out


@pytest.fixture(scope="module")
def promptable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_tiny_promptable.make(tmp_path_factory.mktemp("promptable"))


@pytest.fixture(scope="module")
def endpoint(
    checkpoints: dict[str, Path],
    segmenters: Path,
    promptable: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """BLIP-2, GroundingDINO, a BiRefNet-shaped network and ViTMatte, each a service in a process of its own."""
    models = [f"describe={checkpoints['blip2']}", f"detect={checkpoints['grounding-dino']}"]
    models += [f"segment={segmenters / 'free.onnx'}", f"postprocess={promptable['vitmatte']}"]
    choices = model_choices(models, ["cpu"])
    sockets = tmp_path_factory.mktemp("s")
    children = processes.children(
        {name: f"unix:{sockets / name}" for name in reversed(ports()) if name != "http"}, choices
    )
    try:
        processes.start(children)
        yield children[-1].address
    finally:
        processes.stop(children)


def test_a_photo_goes_through_all_four(
    endpoint: str, checkpoints: dict[str, Path], segmenters: Path, promptable: dict[str, Path]
) -> None:
    with PipelineClient(endpoint) as client:
        events = list(client.process(PHOTO.read_bytes(), max_objects=2, score_threshold=0.0))
    description, detections, *results, summary = events
    assert isinstance(description, Description)
    assert description.text
    assert isinstance(detections, Detections)
    assert detections.detections
    assert {one.label for one in detections.detections} == {description.text}
    assert isinstance(summary, Summary)
    names = {step.step: step.model for step in summary.steps if step.model}
    assert names == {
        "describe": str(checkpoints["blip2"]),
        "detect": str(checkpoints["grounding-dino"]),
        "segment": str(segmenters / "free.onnx"),
        "postprocess": str(promptable["vitmatte"]),
    }
    # The weights are random: a mask may be empty, and then that object says so.
    assert summary.objects + summary.faults == len(results) == len(detections.detections)
    assert summary.objects


def test_the_callers_phrases_come_back_as_labels(endpoint: str) -> None:
    with PipelineClient(endpoint) as client:
        events = list(client.process(PHOTO.read_bytes(), phrases=["cup", "spoon"], max_objects=3, score_threshold=0.0))
    (found,) = [event for event in events if isinstance(event, Detections)]
    assert {one.label for one in found.detections} <= {"cup", "spoon"}
    for result in events:
        if isinstance(result, ObjectResult):
            assert result.picture.pixels.dtype == np.uint8
            assert result.picture.pixels[..., 3].any()
