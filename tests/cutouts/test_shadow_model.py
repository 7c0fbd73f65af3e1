"""A learned shadow through every door, on real sockets, and what is said where its network is not there or wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from http_caller import CAT, PHOTOS, oval, post
from shadow_network import mixing_network, shadow_network
from typer.testing import CliRunner

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.services.postprocess.learned import network
from tensorhop.services.postprocess.learned.network import OnnxShadow
from tensorhop.settings import Settings, use_settings
from tensorhop.values.compositing import compose
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.images import decode_image, decode_mask
from tensorhop.values.results import ObjectFault, ObjectResult, Summary
from tensorhop.web.serve import HttpServer

FINISH = Finish(shadow="learned", rot=90, canvas=Size(256, 256))
MASK = decode_mask(oval())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shadow_network(tmp_path_factory.mktemp("networks") / "shadow.onnx", {"input_range": "-1,1"})


@pytest.fixture(scope="module")
def pipeline(file: Path) -> Iterator[str]:
    use_settings(Settings(shadow_model=str(file)))
    try:
        with one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as servers:
            use_settings(None)
            yield servers["pipeline"].address
    finally:
        use_settings(None)


def only(kind: type, events: list) -> object:
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


def to_the_right(pixels: np.ndarray) -> bool:
    """Whether what is dark and not red lies to the right of the canvas's middle."""
    alpha = pixels[..., 3]
    dark = (alpha > 80) & (alpha < 200) & (pixels[..., :3].max(axis=2) < 60)
    return int(dark.sum()) > 100 and float(np.nonzero(dark)[1].mean()) > pixels.shape[1] / 2 + 20


def test_the_pipeline_draws_it_and_names_the_model(pipeline: str, file: Path) -> None:
    with PipelineClient(pipeline) as client:
        events = list(client.process(CAT, masks=[MASK], finish=FINISH, return_layers=True))
        result, summary = only(ObjectResult, events), only(Summary, events)
        assert isinstance(result, ObjectResult)
        assert isinstance(summary, Summary)
        assert result.shadow is not None
        assert result.picture is not None
        picture = compose([result.picture], Region(0, 0, 256, 256))
        assert to_the_right(picture)
        plain = only(ObjectResult, list(client.process(CAT, masks=[MASK], finish=Finish(canvas=Size(256, 256)))))
        assert isinstance(plain, ObjectResult)
        (step,) = [step for step in summary.steps if step.step == "postprocess"]
        assert (step.model, step.digest) == ("shadow.onnx", OnnxShadow(file).digest)
        summary = only(Summary, list(client.process(CAT, masks=[MASK])))
        assert isinstance(summary, Summary)
        assert [step.model for step in summary.steps] == [""], "of another kind of shadow"
    # The object lies over it unchanged.
    place = result.cutout.region if result.cutout else Region(0, 0, 0, 0)
    assert result.cutout is not None
    opaque = result.cutout.pixels[..., 3] == 255
    assert np.array_equal(picture[place.slices][opaque], result.cutout.pixels[opaque])


def test_many_at_once_go_through_the_batcher_and_are_what_each_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    own = OnnxShadow.predict

    def predict(self: OnnxShadow, pictures: list[np.ndarray]) -> list[np.ndarray]:
        batches.append(len(pictures))
        return own(self, pictures)

    monkeypatch.setattr(network, "on_gpu", lambda session: True)  # where several go together
    monkeypatch.setattr(OnnxShadow, "predict", predict)
    use_settings(Settings(shadow_model=str(file), max_wait_ms=200))
    masks = [np.roll(MASK, shift, axis=1) for shift in (-40, 0, 40, 80)]
    try:
        with (
            one_process(dict.fromkeys(("postprocess", "pipeline"), "127.0.0.1:0")) as servers,
            PipelineClient(servers["pipeline"].address) as client,
            ThreadPoolExecutor(4) as threads,
        ):

            def shadow(mask: np.ndarray) -> np.ndarray:
                result = only(ObjectResult, list(client.process(CAT, masks=[mask], finish=FINISH, return_layers=True)))
                assert isinstance(result, ObjectResult)
                assert result.shadow is not None
                return result.shadow.pixels

            together = list(threads.map(shadow, masks))
            alone = [shadow(mask) for mask in masks]
    finally:
        use_settings(None)
    assert all(np.array_equal(*pair) for pair in zip(together, alone, strict=True))
    assert sum(batches) == 1 + 2 * len(masks), "the first is the trial at the start"
    assert os.cpu_count() == 1 or max(batches) > 1


def test_http_draws_it(pipeline: str) -> None:
    http = HttpServer("127.0.0.1:0", pipeline)
    try:
        fields = {"shadow": "learned", "rot": "90", "canvas": "256x256"}
        answer = post(http.address, fields, masks=[oval()], headers={"Accept": "image/png"})
    finally:
        http.stop(1).wait()
    assert answer.status == 200
    pixels = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert to_the_right(pixels[..., [2, 1, 0, 3]])


def test_run_draws_it_with_the_network_that_it_names(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(oval())
    command = ["run", str(PHOTOS / "cat.jpg"), "--mask", str(tmp_path / "mask.png"), "--shadow-model", str(file)]
    command += ["--rot", "90", "--canvas", "256x256", "-o", str(tmp_path / "out"), "--json"]
    try:
        done = CliRunner().invoke(app, command)
    finally:
        use_settings(None)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "cat.json").read_text())
    assert report["options"]["finish"]["shadow"] == "learned"
    assert any(step["model"] == "shadow.onnx" for step in report["events"][-1]["steps"])
    pixels = cv2.imread(str(tmp_path / "out" / "cat-0.png"), cv2.IMREAD_UNCHANGED)
    assert to_the_right(pixels[..., [2, 1, 0, 3]])


def test_a_pipeline_without_a_network_says_how_to_get_one(client: PipelineClient) -> None:
    fault = only(ObjectFault, list(client.process(CAT, masks=[MASK], finish=FINISH)))
    assert isinstance(fault, ObjectFault)
    assert (fault.code, fault.field) == ("INVALID_ARGUMENT", "finish.shadow.kind")
    assert "start postprocess with --shadow-model FILE.onnx" in fault.message


@pytest.mark.parametrize("rot", [float("nan"), float("inf")])
def test_a_bearing_that_is_none_is_refused(pipeline: str, rot: float) -> None:
    with PipelineClient(pipeline) as client, pytest.raises((ServiceFault, ValueError), match=r"finish\.shadow\.rot"):
        list(client.process(CAT, masks=[MASK], finish=Finish(shadow="learned", rot=rot)))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--shadow", "learned"], "--shadow learned needs the network that draws it: --shadow-model FILE.onnx"),
        (["--shadow-model", "missing.onnx"], "missing.onnx, which is no file"),
        (["--shadow-model-range", "-1,1"], "--shadow-model-range is given without --shadow-model"),
        (["--shadow-model", __file__, "--endpoint", "127.0.0.1:9"], "--shadow-model is for services that start here"),
        (["--shadow-model", __file__], "is it a whole .onnx file?"),
    ],
)
def test_run_refuses_what_cannot_be(words: list[str], says: str) -> None:
    try:
        done = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["run", str(PHOTOS / "cat.jpg"), *words])
    finally:
        use_settings(None)
    assert done.exit_code == 2
    assert says in done.output + done.stderr


def test_the_service_ends_with_the_sentence_before_it_serves(tmp_path: Path) -> None:
    path = mixing_network(tmp_path / "five.onnx", np.eye(3, 5))
    command = [sys.executable, "-m", "tensorhop.services.postprocess", "--listen", "127.0.0.1:0"]
    wide = {**os.environ, "COLUMNS": "2000"}
    done = subprocess.run(
        [*command, "--shadow-model", str(path)], capture_output=True, text=True, timeout=60, env=wide, check=False
    )
    assert done.returncode == 2
    assert "takes x ['n', 5, 512, 512] tensor(float); a shadow network takes n x 6 x 512 x 512" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_photo_stays_what_it_was(pipeline: str) -> None:
    """In place, what is opaque is the photo's own."""
    with PipelineClient(pipeline) as client:
        finish = Finish(shadow="learned", rot=90, center=False, decontaminate=False)
        result = only(ObjectResult, list(client.process(CAT, masks=[MASK], finish=finish)))
    assert isinstance(result, ObjectResult)
    assert result.picture is not None
    photo = decode_image(CAT)
    picture = compose([result.picture], Region(0, 0, photo.shape[1], photo.shape[0]))
    assert np.array_equal(picture[MASK == 255][:, :3], photo[MASK == 255])
