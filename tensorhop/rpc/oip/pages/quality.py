"""The page of quality."""

import json
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, ItemFault, Output, Page
from tensorhop.rpc.oip.readers import images
from tensorhop.wire.codec import Packet


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, _ in given:
        if response.HasField("fault"):
            yield ItemFault(response.index, response.fault)
            continue
        quality = response.quality
        yield Item(
            response.index,
            {
                "SCORE": np.float64(quality.score),
                "SCORED": np.bool_(quality.scored),
                "TEXT": quality.text.encode(),
                "SCORES": json.dumps(dict(quality.scores), sort_keys=True).encode(),
                "INDEX": np.int32(response.index),
            },
        )


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
    answers=answers,
    options=("pairs",),
    count=lambda request: len(request.images),
)
