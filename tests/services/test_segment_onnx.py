"""An .onnx file segments as the network in it says; U2-Net-p's own file is the one under test."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET, U2NET
from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.server import Server
from tensorhop.services.embedded import weights
from tensorhop.services.segment.onnx import OnnxSegmenter
from tensorhop.services.segment.service import SERVICE
from tensorhop.v1 import fault_pb2, image_pb2, segment_pb2, segment_pb2_grpc, tensor_pb2
from tensorhop.values.geometry import Box, size_of
from tensorhop.values.results import Mask
from tensorhop.wire.messages import write_box

FILE = weights.FOLDER / "u2netp.onnx"
CLASSIFIER = weights.FOLDER / "efficientnet-lite0.onnx"


def open_model(path: Path, **choice: str) -> OnnxSegmenter:
    return OnnxSegmenter(ModelSource(ModelChoice(str(path), **choice), "onnx", path))


@pytest.fixture(scope="module")
def segmenter() -> OnnxSegmenter:
    return open_model(FILE)


def expected(photo: np.ndarray) -> np.ndarray:
    """The mask of a whole photo, by ONNX Runtime and Pillow alone."""
    small = np.asarray(Image.fromarray(photo).resize((320, 320), Image.Resampling.LANCZOS))
    scaled = (small / small.max() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    session = weights.session(weights.U2NETP)
    name = session.get_inputs()[0].name
    seen = session.run(None, {name: scaled.transpose(2, 0, 1)[None].astype(np.float32)})[0][0, 0]
    alpha = Image.fromarray(np.rint(seen * 255).astype(np.uint8))
    return np.asarray(alpha.resize((photo.shape[1], photo.shape[0]), Image.Resampling.BICUBIC))


def whole(mask: Mask, photo: np.ndarray) -> np.ndarray:
    mask.check(size_of(photo))
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[mask.region.slices] = mask.alpha
    return alpha


@contextlib.contextmanager
def serving(model: OnnxSegmenter) -> Iterator[segment_pb2_grpc.SegmentServiceStub]:
    server = Server(SERVICE, SERVICE.make_servicer(model), "127.0.0.1:0")
    with open_channel(server.address) as channel:
        yield segment_pb2_grpc.SegmentServiceStub(channel)
    server.stop(0).wait()


def request_of(photo: np.ndarray, *boxes: Box) -> segment_pb2.SegmentRequest:
    tensor = tensor_pb2.Tensor(dtype="UINT8", shape=photo.shape, data=photo.tobytes())
    return segment_pb2.SegmentRequest(image=image_pb2.Image(tensor=tensor), boxes=map(write_box, boxes))


def test_the_service_answers_what_onnx_runtime_does(cat: np.ndarray) -> None:
    height, width = cat.shape[:2]
    with serving(SERVICE.load_model(ModelChoice(str(FILE)))) as stub:
        (answer,) = stub.Segment(request_of(cat, Box(0, 0, width, height)))
    assert answer.model.digest == weights.DIGESTS[weights.U2NETP]
    region, alpha = answer.mask.region, answer.mask.alpha
    found = np.zeros((height, width), np.uint8)
    found[region.y0 : region.y1, region.x0 : region.x1] = np.frombuffer(alpha.data, np.uint8).reshape(alpha.shape)
    assert np.abs(found.astype(int) - expected(cat)).max() <= 1, "a rounding apart"


def test_a_box_keeps_its_thing_and_the_same_call_gives_the_same(segmenter: OnnxSegmenter, coffee: np.ndarray) -> None:
    first, second = segmenter.predict([coffee, coffee], [Box(77, 18, 480, 390)] * 2)
    assert first.region == second.region
    assert np.array_equal(first.alpha, second.alpha)
    alpha = whole(first, coffee)
    assert alpha[150:250, 200:350].mean() > 0.98 * 255
    assert not alpha[:, 520:].any()


def test_nothing_is_stretched(segmenter: OnnxSegmenter) -> None:
    photo = np.full((240, 320, 3), 0, np.uint8)
    (mask,) = segmenter.predict([photo], [Box(60, 50, 220, 180)])
    assert mask.alpha.max(initial=0) < 128


def test_the_form_is_known_by_name_and_otherwise_found_out(segmenter: OnnxSegmenter, tmp_path: Path) -> None:
    assert segmenter.input_format == U2NET
    assert segmenter.largest_batch == 1
    mine = open_model(Path(shutil.copy(FILE, tmp_path / "mine.onnx")))
    assert mine.input_format.size == (320, 320), "as the file says, and not BiRefNet's"
    assert (mine.input_format.mean, mine.input_format.std) == (BIREFNET.mean, BIREFNET.std)
    assert not mine.input_format.logits, "it ends in a sigmoid"


def test_too_little_memory_fails_the_box_and_not_the_server(
    segmenter: OnnxSegmenter, coffee: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(77, 18, 480, 390)
    with serving(segmenter) as stub:
        with monkeypatch.context() as patch:
            patch.setattr(segmenter, "_session", Full(segmenter._session))
            (answer,) = stub.Segment(request_of(coffee, box))
        assert answer.fault.code == fault_pb2.CODE_RESOURCE_EXHAUSTED
        assert "out of memory" in answer.fault.message
        (answer,) = stub.Segment(request_of(coffee, box))
        assert answer.WhichOneof("outcome") == "mask"


class Full:
    """A session whose device has no memory left."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *_: object) -> list[np.ndarray]:
        raise RuntimeException("Failed to allocate memory for requested buffer of size 4294967296")


def test_a_bad_box_is_refused(segmenter: OnnxSegmenter, coffee: np.ndarray) -> None:
    with serving(segmenter) as stub, pytest.raises(grpc.RpcError) as caught:
        list(stub.Segment(request_of(coffee, Box(10, 10, 10, 20))))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_what_cannot_be_run_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    (tmp_path / "half.onnx").write_bytes(FILE.read_bytes()[:1_000_000])
    (tmp_path / "folder.onnx").mkdir()
    for path, words in [
        (tmp_path / "missing.onnx", "is not a file; name an .onnx file"),
        (tmp_path / "folder.onnx", "is not a file; name an .onnx file"),
        (tmp_path / "text.onnx", "is it a whole .onnx file?"),
        (tmp_path / "half.onnx", "is it a whole .onnx file?"),
        (CLASSIFIER, "1000, 'height', 'width'] tensor(float); a segmentation network takes"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            open_model(path)
        assert caught.value.field == "--model"
        assert str(path) in str(caught.value)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_serve_ends_with_the_sentence_and_no_traceback() -> None:
    command = [
        sys.executable,
        "-m",
        "tensorhop.services.segment",
        "--listen",
        "127.0.0.1:0",
        "--model",
        str(CLASSIFIER),
    ]
    wide = {**os.environ, "COLUMNS": "2000"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=wide)
    assert done.returncode != 0
    assert "a segmentation network takes n x 3 x height x width" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(InvalidInput, match=r"^--device is cuda, and the installed ONNX Runtime lacks"):
        open_model(FILE, device="cuda")


def test_the_number_type_is_the_files() -> None:
    with pytest.raises(
        InvalidInput, match=r"^--dtype is float16, but .*\.onnx computes in the number type of its file"
    ):
        SERVICE.load_model(ModelChoice(str(FILE), dtype="float16"))
