"""The page of quality."""

import json
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Input, Output, Page, Value, item_by_item
from tensorhop.rpc.oip.readers import images
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads


def outputs_of(response: Any, payloads: Payloads, request: Packet[Any]) -> dict[str, Value]:
    quality = response.quality
    return {
        "SCORE": np.float64(quality.score),
        "SCORED": np.bool_(quality.scored),
        "TEXT": quality.text.encode(),
        "SCORES": json.dumps(dict(quality.scores), sort_keys=True).encode(),
        "INDEX": np.int32(response.index),
    }


PAGE = Page(
    method="Score",
    inputs=(Input("IMAGES", "UINT8", (-1, -1, -1, 3), images("images")),),
    outputs=(
        Output("SCORE", "FP64", (-1,)),
        Output("SCORED", "BOOL", (-1,)),
        Output("TEXT", "BYTES", (-1,)),
        Output("SCORES", "BYTES", (-1,)),
        Output("INDEX", "INT32", (-1,)),
    ),
    answers=item_by_item(outputs_of),
    options=("pairs",),
    count=lambda request: len(request.images),
)
