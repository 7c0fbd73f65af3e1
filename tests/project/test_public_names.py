"""What programs import from `tensorhop`: the list, and that it costs nothing until it is used."""

import subprocess
import sys

import pytest

import tensorhop

PUBLIC = [
    "FINISH_PRESETS", "AsyncCall", "AsyncPipelineClient", "Batcher", "Box", "Call", "Camera", "CameraPair", "Cutout",
    "DescribeOptions", "Description", "Detection", "Detections", "Event", "Finish", "IntervalDecision", "InvalidInput",
    "Layer", "Mask", "ObjectFault", "ObjectResult", "Output", "Packet", "PairResult", "PairScore", "Payloads",
    "PipelineClient", "Placement", "Region", "Security", "Service", "ServiceFault", "Size", "StepClient",
    "StepSummary", "Summary", "ViewDescription", "ViewFault", "ViewResult", "ViewsClient", "ViewsEvent",
    "ViewsSummary", "compose", "keep_large_buffers", "read_image", "to_array", "to_tensor", "write_image",
    "write_model",
]  # fmt: skip


def test_the_list_is_what_was_promised() -> None:
    assert tensorhop.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there(name: str) -> None:
    assert getattr(tensorhop, name) is not None
    assert name in dir(tensorhop)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        tensorhop.Nothing  # noqa: B018


def test_the_package_alone_imports_no_library() -> None:
    code = "import sys, tensorhop; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "grpc", "cv2", "google", "pydantic"} & set(loaded)
