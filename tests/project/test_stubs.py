"""A client made only of the generated stubs, on stock channels, against every service."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from tensorhop.rpc.server import Server
from tensorhop.v1 import (
    describe_pb2,
    describe_pb2_grpc,
    detect_pb2,
    detect_pb2_grpc,
    image_pb2,
    pipeline_pb2,
    pipeline_pb2_grpc,
    postprocess_pb2,
    postprocess_pb2_grpc,
    segment_pb2,
    segment_pb2_grpc,
    tensor_pb2,
)

CAT = (Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg").read_bytes()
WIDTH, HEIGHT = 451, 300


@pytest.fixture
def channel(servers: dict[str, Server], request: pytest.FixtureRequest) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(servers[request.param].address) as connected:
        yield connected


@pytest.mark.parametrize("channel", ["describe"], indirect=True)
def test_describe(channel: grpc.Channel) -> None:
    request = describe_pb2.DescribeRequest(image={"encoded": CAT})
    answer = describe_pb2_grpc.DescribeServiceStub(channel).Describe(request)
    assert "cat" in answer.text
    assert 0.3 < answer.score <= 1
    assert 0 <= answer.region.x0 < answer.region.x1 <= WIDTH


@pytest.mark.parametrize("channel", ["detect"], indirect=True)
def test_detect(channel: grpc.Channel) -> None:
    request = detect_pb2.DetectRequest(image={"encoded": CAT}, phrases=["teapot", "cat"])
    answer = detect_pb2_grpc.DetectServiceStub(channel).Detect(request)
    assert [(found.index, found.label, found.phrase_index) for found in answer.detections] == [(0, "cat", 1)]
    box = answer.detections[0].box
    assert (box.x1 - box.x0) * (box.y1 - box.y0) > 0.5 * WIDTH * HEIGHT


@pytest.mark.parametrize("channel", ["segment"], indirect=True)
def test_segment(channel: grpc.Channel) -> None:
    boxes = [image_pb2.Box(x0=0, y0=0, x1=WIDTH, y1=HEIGHT)] * 2
    request = segment_pb2.SegmentRequest(image={"encoded": CAT}, boxes=boxes)
    answers = list(segment_pb2_grpc.SegmentServiceStub(channel).Segment(request))
    assert [answer.index for answer in answers] == [0, 1]
    alpha = answers[0].mask.alpha
    assert (alpha.dtype, len(alpha.data)) == ("UINT8", alpha.shape[0] * alpha.shape[1])
    assert np.frombuffer(alpha.data, np.uint8).max() == 255


@pytest.mark.parametrize("channel", ["postprocess"], indirect=True)
def test_postprocess(channel: grpc.Channel) -> None:
    pixels = tensor_pb2.Tensor(dtype="UINT8", shape=[30, 20, 3], data=bytes(30 * 20 * 3))
    alpha = tensor_pb2.Tensor(dtype="UINT8", shape=[30, 20], data=b"\xff" * 600)
    request = postprocess_pb2.PostprocessRequest(
        crop={"tensor": pixels},
        mask={"alpha": alpha, "region": {"x0": 100, "y0": 50, "x1": 120, "y1": 80}},
        photo={"width": WIDTH, "height": HEIGHT},
        finish={"center": False, "shadow": {"kind": "SHADOW_KIND_NONE"}},
    )
    answer = postprocess_pb2_grpc.PostprocessServiceStub(channel).Postprocess(request)
    assert answer.cutout.region == request.mask.region
    assert answer.cutout.pixels.data == b"\0\0\0\xff" * 600
    assert not answer.HasField("shadow")
    assert (answer.placement.canvas.width, answer.placement.scale) == (WIDTH, 1)


@pytest.mark.parametrize("channel", ["pipeline"], indirect=True)
def test_process(channel: grpc.Channel) -> None:
    request = pipeline_pb2.ProcessRequest(image={"encoded": CAT})
    answers = list(pipeline_pb2_grpc.PipelineServiceStub(channel).Process(request))
    assert [answer.WhichOneof("event") for answer in answers] == ["description", "detections", "object", "summary"]
    assert answers[2].object.picture.encoded.startswith(b"\x89PNG")
