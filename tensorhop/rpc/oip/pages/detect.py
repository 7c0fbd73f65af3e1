"""The page of detect."""

import json
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, Notes, Output, Page
from tensorhop.rpc.oip.pages.placing import photo_size, placed_mask
from tensorhop.rpc.oip.readers import image, texts
from tensorhop.rpc.oip.stacking import check_bytes
from tensorhop.values.geometry import Size
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import corners
from tensorhop.wire.payloads import Payloads

MASKS = {"MASKS", "MASK_INDEX"}


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, payloads in given:
        found = response.detections
        if response.warnings:
            yield Notes(warnings=json.dumps([*response.warnings]))
        outputs: dict[str, Any] = {
            "BOXES": np.array([corners(one.box) for one in found], np.float32).reshape(-1, 4),
            "SCORES": np.array([one.score for one in found], np.float32),
            "LABELS": [one.label.encode() for one in found],
            "PHRASE_INDEX": np.array([one.phrase_index for one in found], np.int32),
            "UNKNOWN_PHRASE": np.array([one.unknown_phrase for one in found], np.bool_),
        }
        if MASKS & wanted:
            outputs |= masks_of(found, payloads, photo_size(request))
        yield Item(0, outputs)


def masks_of(found: Sequence[Any], payloads: Payloads, photo: Size) -> dict[str, Any]:
    """The masks of those detections that have one, on the whole photo, and which these are. Raises InvalidInput."""
    having = [place for place, one in enumerate(found) if one.HasField("mask")]
    check_bytes(len(having) * photo.width * photo.height, "MASKS")
    masks = np.zeros((len(having), photo.height, photo.width), np.uint8)
    for row, place in enumerate(having):
        masks[row] = placed_mask(found[place].mask, payloads, photo)
    return {"MASKS": masks, "MASK_INDEX": np.array(having, np.int32)}


PAGE = Page(
    method="Detect",
    inputs=(
        Input("IMAGE", "UINT8", (-1, -1, 3), image("image")),
        Input("PHRASES", "BYTES", (-1,), texts("phrases")),
    ),
    outputs=(
        Output("BOXES", "FP32", (-1, 4)),
        Output("SCORES", "FP32", (-1,)),
        Output("LABELS", "BYTES", (-1,)),
        Output("PHRASE_INDEX", "INT32", (-1,)),
        Output("UNKNOWN_PHRASE", "BOOL", (-1,)),
        Output("MASKS", "UINT8", (-1, -1, -1), named=True),
        Output("MASK_INDEX", "INT32", (-1,), named=True),
    ),
    answers=answers,
    options=("options",),
    prepare=lambda request, wanted: setattr(request, "masks", bool(MASKS & wanted)),
)
