"""The page of postprocess."""

import json
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, Notes, Output, Page
from tensorhop.rpc.oip.pages.placing import placed_layer
from tensorhop.rpc.oip.readers import INTS, decoded_image
from tensorhop.rpc.oip.tensors import GivenTensor
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import read_placement
from tensorhop.wire.payloads import Payloads


def read_mask(given: GivenTensor, request: Any, payloads: Payloads) -> None:
    request.mask.alpha.CopyFrom(given.tensor(payloads))
    if not request.HasField("photo") and len(request.crop.tensor.shape) == 3:  # the crop is the whole photo
        request.photo.height, request.photo.width = (
            min(max(size, 0), 2**31 - 1) for size in request.crop.tensor.shape[:2]
        )


def read_region(given: GivenTensor, request: Any, payloads: Payloads) -> None:
    corners = given.array(INTS, (4,)).tolist()
    request.mask.region.x0, request.mask.region.y0, request.mask.region.x1, request.mask.region.y1 = corners


def read_photo(given: GivenTensor, request: Any, payloads: Payloads) -> None:
    request.photo.width, request.photo.height = given.array(INTS, (2,)).tolist()


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, payloads in given:
        placement = read_placement(response.placement)
        if response.warnings:
            yield Notes(warnings=json.dumps([*response.warnings]))
        outputs: dict[str, Any] = {
            name: placed_layer(response, name.lower(), payloads, placement.canvas)
            for name in {"CUTOUT", "SHADOW"} & wanted
        }
        outputs["PLACEMENT"] = np.array([placement.scale, placement.x, placement.y], np.float64)
        yield Item(0, outputs)


PAGE = Page(
    method="Postprocess",
    inputs=(
        Input("CROP", "UINT8", (-1, -1, 3), decoded_image("crop")),
        Input("PHOTO_SIZE", "INT32", (2,), read_photo, optional=True),
        Input("MASK", "UINT8", (-1, -1), read_mask),
        Input("REGION", "INT32", (4,), read_region, optional=True),
    ),
    outputs=(
        Output("CUTOUT", "UINT8", (-1, -1, 4)),
        Output("SHADOW", "UINT8", (-1, -1, 4)),
        Output("PLACEMENT", "FP64", (3,)),
    ),
    answers=answers,
    options=("finish",),
)
