"""The page of detect."""

import json
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, Notes, Output, Page
from tensorhop.rpc.oip.readers import image, texts
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import corners


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, _ in given:
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
        yield Item(0, outputs)


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
    ),
    answers=answers,
    options=("options",),
)
