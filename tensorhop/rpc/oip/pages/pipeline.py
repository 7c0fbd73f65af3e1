"""The page of the chain of cut-outs."""

import json
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToJson

from tensorhop.rpc.oip.page import Answer, Input, Item, ItemFault, Notes, Output, Page
from tensorhop.rpc.oip.pages.placing import photo_size, placed, placed_layer, placed_mask
from tensorhop.rpc.oip.readers import boxes, image, masks, texts
from tensorhop.v1 import pipeline_pb2
from tensorhop.values.geometry import Size
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import corners, read_region, read_size
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array

LAYERS = {"OBJECT_LAYERS": "cutout", "SHADOW_LAYERS": "shadow"}  # by output, the field of the event


def prepare(request: Any, wanted: frozenset[str]) -> None:
    request.output.encoding = pipeline_pb2.ENCODING_TENSOR  # unless a parameter says otherwise
    request.output.masks = "MASKS" in wanted
    request.output.layers = bool(LAYERS.keys() & wanted)


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    photo: Size | None = None
    for response, payloads in given:
        event = response.WhichOneof("event")
        if event == "description":
            yield Notes(description=response.description.text)
        elif event == "detections" and response.detections.warnings:
            yield Notes(warnings=json.dumps([*response.detections.warnings]))
        elif event == "fault":
            yield ItemFault(response.fault.detection.index, response.fault.fault)
        elif event == "summary":
            summary = MessageToJson(response.summary, indent=None, preserving_proto_field_name=True)
            yield Notes(request_id=response.request_id, summary=summary)
        elif event == "object":
            if "MASKS" in wanted:
                photo = photo or photo_size(request)
            yield Item(response.object.detection.index, outputs_of(response.object, payloads, photo, wanted))


def outputs_of(result: Any, payloads: Payloads, photo: Size | None, wanted: frozenset[str]) -> dict[str, Any]:
    """The outputs of an object.

    Args:
        photo: its size, for the mask; None if that is not wanted.
    """
    detection, picture = result.detection, result.picture
    outputs: dict[str, Any] = {
        "BOXES": np.array(corners(detection.box), np.float32),
        "SCORES": np.float32(detection.score),
        "LABELS": detection.label.encode(),
        "INDEX": np.int32(detection.index),
    }
    if picture.WhichOneof("content") == "encoded":
        outputs["CUTOUTS"] = bytes(payloads.get(picture.encoded))
    else:
        pixels = to_array(picture.tensor, payloads, "picture.tensor")
        outputs["CUTOUTS"] = placed(pixels, read_region(picture.region), read_size(result.placement.canvas))
    if photo is not None:
        outputs["MASKS"] = placed_mask(result.mask, payloads, photo)
    for name in LAYERS.keys() & wanted:
        outputs[name] = placed_layer(result, LAYERS[name], payloads, read_size(result.placement.canvas))
    return outputs


PAGE = Page(
    method="Process",
    inputs=(
        Input("IMAGE", "UINT8", (-1, -1, 3), image("image")),
        Input("PHRASES", "BYTES", (-1,), texts("phrases"), optional=True),
        Input("BOXES", "FP32", (-1, 4), boxes("boxes"), optional=True),
        Input("MASKS", "UINT8", (-1, -1, -1), masks("masks"), optional=True),
    ),
    outputs=(
        Output("CUTOUTS", "UINT8", (-1, -1, -1, 4)),
        Output("MASKS", "UINT8", (-1, -1, -1)),
        Output("BOXES", "FP32", (-1, 4)),
        Output("LABELS", "BYTES", (-1,)),
        Output("SCORES", "FP32", (-1,)),
        Output("INDEX", "INT32", (-1,)),
        *(Output(name, "UINT8", (-1, -1, -1, 4), named=True) for name in LAYERS),
    ),
    answers=answers,
    options=(
        *("max_objects", "max_parallel", "detect", "finish", "output", "merge", "describe", "no_cache", "ordered"),
    ),
    without=("output.layers", "output.masks"),
    prepare=prepare,
)
