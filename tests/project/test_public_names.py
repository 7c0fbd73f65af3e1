"""What programs import from `tensorhop`: the list, and that it costs nothing until it is used."""

import subprocess
import sys

import pytest

import tensorhop

PUBLIC = [
    "FINISH_PRESETS", "AsyncCall", "AsyncPipelineClient", "AsyncViewsClient", "Batcher", "Box", "Call", "Camera",
    "CameraPair", "ChainServicer", "Cutout", "DescribeOptions", "Description", "Detection", "Detections", "Event",
    "Finish", "IntervalDecision", "InvalidInput", "Layer", "Mask", "ObjectFault", "ObjectResult", "Output", "Packet",
    "PairResult", "PairScore", "Payloads", "PipelineClient", "Placement", "Region", "RequestScope", "Security",
    "SentImages", "Service", "ServiceFault", "Size", "StepCache", "StepClient", "StepSummary", "Steps", "Summary",
    "TaskGroup", "ViewDescription", "ViewFault", "ViewResult", "ViewsClient", "ViewsEvent", "ViewsSummary",
    "as_they_come", "compose", "fault_of", "keep_large_buffers", "one_process", "read_image", "read_mask", "to_array",
    "to_tensor", "write_image", "write_mask", "write_model",
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


def test_the_package_alone_imports_nothing_else() -> None:
    code = "import sys, tensorhop; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "grpc", "cv2", "google", "pydantic"} & {name.partition(".")[0] for name in loaded}
    assert [name for name in loaded if name.startswith("tensorhop")] == ["tensorhop"]
