"""Networks on another server: `--model oip://HOST:PORT/NAME` gives what the same file here gives, or one sentence."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import numpy as np
import pytest
from onnx_server import OnnxServer, serving
from shadow_network import network, node, value

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.models.sources import ModelChoice, check_choice, parse_remote
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.services.embedded import weights
from tensorhop.services.upscale.options import UpscaleOptions
from tensorhop.settings import Settings, use_settings
from tensorhop.v1 import fault_pb2, image_pb2, segment_pb2, tensor_pb2, upscale_pb2
from tensorhop.values.geometry import Box
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_image
from tensorhop.wire.payloads import Payloads

U2NETP = weights.FOLDER / "u2netp.onnx"
BOX = Box(100.0, 20.0, 400.0, 290.0)


def doubling(path: Path, batch: int | str = "n", side: int | str = "h") -> Path:
    """A network that makes RGB twice as large: each pixel four times, and 0.1 brighter."""
    kernel = np.zeros((3, 3, 2, 2), np.float32)
    for channel in range(3):
        kernel[channel, channel] = 1
    nodes = [node("ConvTranspose", ["x", "w", "b"], "y", strides=[2, 2])]
    takes = [value("x", (batch, 3, side, "w" if isinstance(side, str) else side))]
    given = {"w": kernel, "b": np.full(3, 0.1, np.float32)}
    return network(path, nodes, given, takes, value("y", (batch, 3, "hh", "ww")))


def brightness(path: Path) -> Path:
    """A segmentation network that takes batches: what is bright stands out."""
    nodes = [node("Conv", ["x", "w"], "sum"), node("Sigmoid", ["sum"], "y")]
    given = {"w": np.full((1, 3, 1, 1), 2, np.float32)}
    return network(path, nodes, given, [value("x", ("n", 3, 64, 64))], value("y", ("n", 1, 64, 64)))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OnnxServer, str]]:
    folder = tmp_path_factory.mktemp("networks")
    paths = {"u2netp": U2NETP, "classifier": weights.FOLDER / "efficientnet-lite0.onnx"}
    paths["brightness"] = brightness(folder / "c.onnx")
    paths |= {"doubling": doubling(folder / "a.onnx"), "fixed": doubling(folder / "b.onnx", 1, 64)}
    server = OnnxServer(paths)
    with serving(server) as address:
        yield server, f"oip://{address}"


def load(service: str, model: str) -> Any:
    return services()[service].load(ModelChoice(model)).model


def test_segment_gives_the_same_masks_as_the_file_here(remote: tuple[OnnxServer, str], cat: np.ndarray) -> None:
    address = remote[1]
    here, there = load("segment", str(U2NETP)), load("segment", f"{address}/u2netp@3")
    assert there.input_format == here.input_format, "known by its name"
    assert (there.name, there.revision) == (f"{address}/u2netp@3", "3")
    (one,), (other,) = here.predict([cat], [BOX]), there.predict([cat], [BOX])
    assert one.region == other.region
    assert np.abs(one.alpha.astype(int) - other.alpha).max() <= 1


def test_typed_contents_are_read_as_well(remote: tuple[OnnxServer, str], cat: np.ndarray) -> None:
    server, address = remote
    segmenter = load("segment", f"{address}/brightness")
    (raw,) = segmenter.predict([cat], [BOX])
    server.typed = True
    (typed,) = segmenter.predict([cat], [BOX])
    server.typed = False
    assert raw.alpha.any()
    assert np.array_equal(raw.alpha, typed.alpha)


def test_a_service_runs_it_and_says_so(remote: tuple[OnnxServer, str], cat: np.ndarray) -> None:
    server, address = remote
    service = services()["segment"]
    running = Server(service, service.load(ModelChoice(f"{address}/brightness")), "127.0.0.1:0")
    payloads = Payloads()
    image = write_image(cat, payloads)
    image.tensor.data = cat.tobytes()
    request = segment_pb2.SegmentRequest(image=image, boxes=[image_pb2.Box(x0=100, y0=20, x1=400, y1=290)])
    with grpc.insecure_channel(running.address) as channel:
        call = channel.unary_stream(
            "/tensorhop.v1.SegmentService/Segment",
            segment_pb2.SegmentRequest.SerializeToString,
            segment_pb2.SegmentResponse.FromString,
        )
        server.failures += [grpc.StatusCode.UNAVAILABLE] * 2
        (answer,) = call(request, timeout=60)
        assert answer.mask.alpha.data, "it was tried again"
        assert answer.model.name == f"{address}/brightness"
        server.failures += [grpc.StatusCode.INVALID_ARGUMENT]
        (answer,) = call(request, timeout=60)
    running.stop(0).wait()
    assert answer.fault.code == fault_pb2.CODE_FAILED_PRECONDITION, "the caller of segment is not at fault"
    assert "brightness at" in answer.fault.message
    assert "as the test wants it (INVALID_ARGUMENT)" in answer.fault.message


def test_views_go_in_batches(remote: tuple[OnnxServer, str], cat: np.ndarray) -> None:
    server, address = remote
    segmenter = load("segment", f"{address}/brightness")
    assert segmenter.largest_batch == 4
    server.batches.clear()
    segmenter.predict([cat] * 3, [BOX] * 3)
    assert server.batches == [3]


def test_a_server_that_takes_smaller_batches_than_it_says(tmp_path: Path) -> None:
    server = OnnxServer({"brightness": brightness(tmp_path / "c.onnx")}, largest=1)
    with serving(server) as address:
        assert load("segment", f"oip://{address}/brightness").largest_batch == 1
    assert server.batches[-2:] == [4, 1]


@pytest.mark.parametrize("name", ["doubling", "fixed"])
@pytest.mark.parametrize("scale", [2, 4])
def test_upscale(remote: tuple[OnnxServer, str], name: str, scale: int, cat: np.ndarray) -> None:
    upscaler = load("upscale", f"{remote[1]}/{name}")
    picture = cat[:90, :260] // 2
    (found,) = upscaler.predict([picture], UpscaleOptions(scale))
    brighter = np.rint(picture.astype(np.float32) + 25.5 * (scale // 2)).repeat(scale, 0).repeat(scale, 1)
    assert found.shape == (90 * scale, 260 * scale, 3)
    assert np.abs(found - brighter).max() <= 2


def test_a_file_here_upscales_as_well(remote: tuple[OnnxServer, str], tmp_path: Path, cat: np.ndarray) -> None:
    here, there = load("upscale", str(doubling(tmp_path / "a.onnx"))), load("upscale", f"{remote[1]}/doubling")
    first, second = (one.predict([cat], UpscaleOptions(2))[0] for one in (here, there))
    assert np.array_equal(first, second)


def test_a_file_is_served_as_the_embedded_network_is(tmp_path: Path, cat: np.ndarray) -> None:
    servicer = services()["upscale"].load(ModelChoice(str(doubling(tmp_path / "a.onnx"))))
    image = image_pb2.Image(tensor=tensor_pb2.Tensor(dtype="UINT8", shape=(30, 40, 3), data=cat[:30, :40].tobytes()))
    packet = Packet(upscale_pb2.UpscaleRequest(images=[image]), Payloads())
    (answer,) = servicer.Upscale(packet, Mock())
    assert list(answer.message.image.shape) == [60, 80, 3], answer.message.fault


@pytest.mark.parametrize(
    ("service", "name", "words"),
    [
        ("segment", "nothing", "/nothing cannot be used: nothing at 127.0.0.1:"),
        ("segment", "nothing", "Request for unknown model: 'nothing' is not found (NOT_FOUND)"),
        ("segment", "u2netp@9", "is not found (NOT_FOUND)"),
        ("segment", "classifier", "a segmentation network takes n x 3 x height x width"),
        ("segment", "doubling", "answers y"),
        ("upscale", "classifier", "an upscaling network takes n x 3 x height x width"),
        ("upscale", "u2netp", "an upscaling network takes"),
        ("postprocess", "u2netp", "a matting network takes n x 4 x height x width"),
    ],
)
def test_what_does_not_fit_is_told_at_the_start(
    remote: tuple[OnnxServer, str], service: str, name: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(service, f"{remote[1]}/{name}")
    assert words in str(caught.value)
    assert str(caught.value).startswith("--model oip://")


def test_a_server_that_is_not_there_or_not_ready(remote: tuple[OnnxServer, str]) -> None:
    with pytest.raises(InvalidInput, match=r"nothing answers at 127\.0\.0\.1:9"):
        load("segment", "oip://127.0.0.1:9/u2netp")
    remote[0].loaded = False
    with pytest.raises(InvalidInput, match="u2netp is not ready"):
        load("segment", f"{remote[1]}/u2netp")
    remote[0].loaded = True


def test_a_server_that_goes_away_is_a_fault_that_passes(cat: np.ndarray, tmp_path: Path) -> None:
    with serving(OnnxServer({"brightness": brightness(tmp_path / "c.onnx")})) as address:
        segmenter = load("segment", f"oip://{address}/brightness")
    with pytest.raises(ServiceFault) as caught:
        segmenter.predict([cat], [BOX])
    assert caught.value.code == "UNAVAILABLE"
    assert caught.value.fault.retryable


def test_the_token_of_the_settings_goes_along(remote: tuple[OnnxServer, str], tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    use_settings(Settings(token_file=str(tmp_path / "tokens")))
    try:
        load("upscale", f"{remote[1]}/doubling")
    finally:
        use_settings(None)
    assert ("authorization", "Bearer secret") in remote[0].metadata


@pytest.mark.parametrize("model", ["oip://", "oip://host/name", "oip://host:1", "oip://host:1/a/b", "oip://host:1/a@"])
def test_other_forms_are_refused(model: str) -> None:
    with pytest.raises(InvalidInput, match=r"it must be oip://HOST:PORT/NAME"):
        check_choice("segment", ModelChoice(model), services()["segment"].models)


@pytest.mark.parametrize(
    ("service", "choice", "words"),
    [
        ("segment", {"device": "cuda"}, "--device is cuda, but the server of oip://h:1/n decides that"),
        ("segment", {"dtype": "float16"}, "--dtype is float16"),
        ("segment", {"revision": "main"}, "--revision is main, but oip://h:1/n is not from the hub"),
        ("segment", {"trust_remote_code": True}, "--trust-remote-code is given"),
        ("quality", {}, "a network on another server, which quality cannot use"),
    ],
)
def test_options_that_do_not_go_with_it(service: str, choice: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_choice(service, ModelChoice("oip://h:1/n", **choice), services()[service].models)
    assert words in str(caught.value)


def test_the_parts_of_a_name() -> None:
    assert parse_remote("oip://[::1]:8001/a-b") == ("[::1]:8001", "a-b", "")
    assert parse_remote("oip://triton:8001/a@2") == ("triton:8001", "a", "2")
