"""Every limit on what a caller may send, through the pipeline's front: the refusal names the field and the limit."""

from collections.abc import Iterator
from types import SimpleNamespace

import cv2
import grpc
import numpy as np
import pytest

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.status import from_error
from tensorhop.settings import Settings, use_settings
from tensorhop.v1 import fault_pb2, pipeline_pb2, pipeline_pb2_grpc
from tensorhop.values.finish_options import Finish

LOW = {
    "max_pixels": 1_100_000,  # a default canvas has 1024 x 1024
    "max_side": 1_600,
    "max_canvas_side": 1_500,
    "max_boxes": 3,
    "max_phrases": 2,
    "max_phrase_characters": 5,
    "max_objects": 6,
    "max_parallel": 7,
    "max_message_bytes": 4 * 1024 * 1024,
}
SMALL = np.zeros((40, 60, 3), np.uint8)
BOX, MASK = (0, 0, 10, 10), np.full((40, 60), 255, np.uint8)


@pytest.fixture(scope="module")
def front() -> Iterator[SimpleNamespace]:
    """A pipeline with low limits and nothing behind it: whatever it refuses, it refuses before any work."""
    use_settings(Settings(**LOW))
    try:
        with one_process({"pipeline": "127.0.0.1:0"}) as servers:
            address = servers["pipeline"].address
            with PipelineClient(address) as client, grpc.insecure_channel(address) as channel:
                yield SimpleNamespace(client=client, stub=pipeline_pb2_grpc.PipelineServiceStub(channel))
    finally:
        use_settings(None)


def png(width: int, height: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("image", "request_of", "field", "words"),
    [
        (png(1100, 1001), {}, "image.encoded", "1100 x 1001 = 1,101,100 pixels; at most 1,100,000"),
        (np.zeros((1001, 1100, 3), np.uint8), {}, "image.tensor.shape", "at most 1,100,000"),
        (png(1601, 2), {}, "image.encoded", "a side may have at most 1,600"),
        (SMALL, {"boxes": [BOX] * 4}, "boxes", "has 4 entries; at most 3"),
        (SMALL, {"masks": [MASK] * 4}, "masks", "has 4 entries; at most 3"),
        (SMALL, {"phrases": ["a", "b", "c"]}, "phrases", "has 3 entries; at most 2"),
        (SMALL, {"phrases": ["a", "coffee"]}, "phrases[1]", "has 6 characters; at most 5"),
        (SMALL, {"max_objects": 7}, "max_objects", "is 7; it must be from 1 to 6"),
        (SMALL, {"max_parallel": 8}, "max_parallel", "is 8; it must be from 1 to 7"),
        (SMALL, {"request_id": "x" * 129}, "request_id", "at most 128"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_over_a_limit_is_refused_by_name(
    front: SimpleNamespace, image: object, request_of: dict, field: str, words: str
) -> None:
    with pytest.raises(ServiceFault) as caught:
        list(front.client.process(image, **request_of))
    fault = caught.value.fault
    assert (fault.code, fault.field, fault.retryable) == (fault_pb2.CODE_INVALID_ARGUMENT, field, False)
    assert fault.message.startswith(f"{field} ")
    assert words in fault.message


@pytest.mark.parametrize("canvas", [(1501, 1), (1100, 1001)])
def test_a_canvas_over_the_limits_is_refused_by_name(front: SimpleNamespace, canvas: tuple[int, int]) -> None:
    request = pipeline_pb2.ProcessRequest(image={"encoded": png(60, 40)}, boxes=[{"x1": 10, "y1": 10}])
    request.finish.canvas.width, request.finish.canvas.height = canvas
    with pytest.raises(grpc.RpcError) as caught:
        list(front.stub.Process(request))
    fault = from_error(caught.value).fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, "finish.canvas")
    assert "1,500" in fault.message or "1,100,000" in fault.message
    with pytest.raises(InvalidInput, match=r"finish\.canvas"):  # the client says so without asking
        list(front.client.process(SMALL, finish=Finish(canvas=canvas)))


def test_a_path_is_refused_where_paths_are_off(front: SimpleNamespace) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(front.stub.Process(pipeline_pb2.ProcessRequest(image={"path": "/etc/passwd"})))
    fault = from_error(caught.value).fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, "image.path")
    assert "--allow-path" in fault.message


def test_a_message_over_the_limit_is_refused_by_name(front: SimpleNamespace) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(front.stub.Process(pipeline_pb2.ProcessRequest(image={"encoded": bytes(5 * 1024 * 1024)})))
    fault = from_error(caught.value).fault
    assert (fault.code, fault.retryable) == (fault_pb2.CODE_RESOURCE_EXHAUSTED, False)
    assert "at most 4,194,304 (TENSORHOP_MAX_MESSAGE_BYTES)" in fault.message
