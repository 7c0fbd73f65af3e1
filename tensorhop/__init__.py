"""Models as gRPC services that exchange raw tensors, and chains of them.

The names below are what programs import; they stay. Everything else may move from one release to the next without
notice. A name is imported when it is first used. So this package can name parts of the orchestrator, which a chain of
one's own needs (docs/your-own.md), and import none of them.

    from tensorhop import ObjectResult, PipelineClient

    with PipelineClient("localhost:50050") as client:
        for event in client.process("photo.jpg"):
            if isinstance(event, ObjectResult):
                print(event.detection.label, event.picture.pixels.shape)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorhop.client.async_call import AsyncCall
    from tensorhop.client.call import Call
    from tensorhop.client.cutouts.async_pipeline import AsyncPipelineClient
    from tensorhop.client.cutouts.events import Event
    from tensorhop.client.cutouts.pipeline import PipelineClient
    from tensorhop.client.steps import StepClient
    from tensorhop.client.views.async_client import AsyncViewsClient
    from tensorhop.client.views.client import ViewsClient
    from tensorhop.client.views.events import (
        IntervalDecision,
        PairResult,
        PairScore,
        ViewDescription,
        ViewFault,
        ViewResult,
        ViewsEvent,
        ViewsSummary,
    )
    from tensorhop.errors import InvalidInput, ServiceFault, fault_of
    from tensorhop.orchestrator.chain.request_scope import RequestScope
    from tensorhop.orchestrator.chain.sent_images import SentImages
    from tensorhop.orchestrator.chain.servicer import ChainServicer
    from tensorhop.orchestrator.chain.step_cache import StepCache
    from tensorhop.orchestrator.chain.steps import Steps
    from tensorhop.orchestrator.chain.threads import TaskGroup, as_they_come
    from tensorhop.orchestrator.launch.in_process import one_process
    from tensorhop.rpc.batching import Batcher
    from tensorhop.rpc.security import Security
    from tensorhop.rpc.service import Service
    from tensorhop.values.compositing import compose
    from tensorhop.values.describe_options import DescribeOptions
    from tensorhop.values.finish_options import Finish
    from tensorhop.values.finish_presets import FINISH_PRESETS
    from tensorhop.values.geometry import Box, Region, Size
    from tensorhop.values.output_options import Output
    from tensorhop.values.panoramas import Camera, CameraPair
    from tensorhop.values.results import (
        Cutout,
        Description,
        Detection,
        Detections,
        Layer,
        Mask,
        ObjectFault,
        ObjectResult,
        Placement,
        StepSummary,
        Summary,
    )
    from tensorhop.wire.allocator import keep_large_buffers
    from tensorhop.wire.codec import Packet
    from tensorhop.wire.image_source import read_image
    from tensorhop.wire.messages import read_mask, write_image, write_mask, write_model
    from tensorhop.wire.payloads import Payloads
    from tensorhop.wire.tensor import to_array, to_tensor

__all__ = [
    "FINISH_PRESETS",
    "AsyncCall",
    "AsyncPipelineClient",
    "AsyncViewsClient",
    "Batcher",
    "Box",
    "Call",
    "Camera",
    "CameraPair",
    "ChainServicer",
    "Cutout",
    "DescribeOptions",
    "Description",
    "Detection",
    "Detections",
    "Event",
    "Finish",
    "IntervalDecision",
    "InvalidInput",
    "Layer",
    "Mask",
    "ObjectFault",
    "ObjectResult",
    "Output",
    "Packet",
    "PairResult",
    "PairScore",
    "Payloads",
    "PipelineClient",
    "Placement",
    "Region",
    "RequestScope",
    "Security",
    "SentImages",
    "Service",
    "ServiceFault",
    "Size",
    "StepCache",
    "StepClient",
    "StepSummary",
    "Steps",
    "Summary",
    "TaskGroup",
    "ViewDescription",
    "ViewFault",
    "ViewResult",
    "ViewsClient",
    "ViewsEvent",
    "ViewsSummary",
    "as_they_come",
    "compose",
    "fault_of",
    "keep_large_buffers",
    "one_process",
    "read_image",
    "read_mask",
    "to_array",
    "to_tensor",
    "write_image",
    "write_mask",
    "write_model",
]

_HOMES = {
    "client.async_call": ("AsyncCall",),
    "client.cutouts.async_pipeline": ("AsyncPipelineClient",),
    "client.call": ("Call",),
    "client.cutouts.events": ("Event",),
    "client.cutouts.pipeline": ("PipelineClient",),
    "client.steps": ("StepClient",),
    "client.views.async_client": ("AsyncViewsClient",),
    "client.views.client": ("ViewsClient",),
    "client.views.events": (
        *("IntervalDecision", "PairResult", "PairScore", "ViewDescription", "ViewFault", "ViewResult", "ViewsEvent"),
        "ViewsSummary",
    ),
    "errors": ("InvalidInput", "ServiceFault", "fault_of"),
    "orchestrator.chain.request_scope": ("RequestScope",),
    "orchestrator.chain.sent_images": ("SentImages",),
    "orchestrator.chain.servicer": ("ChainServicer",),
    "orchestrator.chain.step_cache": ("StepCache",),
    "orchestrator.chain.steps": ("Steps",),
    "orchestrator.chain.threads": ("TaskGroup", "as_they_come"),
    "orchestrator.launch.in_process": ("one_process",),
    "rpc.batching": ("Batcher",),
    "rpc.security": ("Security",),
    "rpc.service": ("Service",),
    "values.compositing": ("compose",),
    "values.describe_options": ("DescribeOptions",),
    "values.finish_options": ("Finish",),
    "values.finish_presets": ("FINISH_PRESETS",),
    "values.geometry": ("Box", "Region", "Size"),
    "values.output_options": ("Output",),
    "values.panoramas": ("Camera", "CameraPair"),
    "values.results": (
        *("Cutout", "Description", "Detection", "Detections", "Layer", "Mask", "ObjectFault", "ObjectResult"),
        *("Placement", "StepSummary", "Summary"),
    ),
    "wire.allocator": ("keep_large_buffers",),
    "wire.codec": ("Packet",),
    "wire.image_source": ("read_image",),
    "wire.messages": ("read_mask", "write_image", "write_mask", "write_model"),
    "wire.payloads": ("Payloads",),
    "wire.tensor": ("to_array", "to_tensor"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
