"""The page of describe."""

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, Output, Page
from tensorhop.rpc.oip.readers import image
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import read_region


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, _ in given:
        region = np.array(read_region(response.region), np.int32)
        yield Item(
            0, {"TEXT": [response.text.encode()], "SCORE": np.array([response.score], np.float32), "REGION": region}
        )


PAGE = Page(
    method="Describe",
    inputs=(Input("IMAGE", "UINT8", (-1, -1, 3), image("image")),),
    outputs=(Output("TEXT", "BYTES", (1,)), Output("SCORE", "FP32", (1,)), Output("REGION", "INT32", (4,))),
    answers=answers,
    options=("options",),
)
