"""The page of upscale."""

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, ItemFault, Output, Page
from tensorhop.rpc.oip.readers import images
from tensorhop.values.geometry import size_of
from tensorhop.wire.codec import Packet
from tensorhop.wire.tensor import to_array


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, payloads in given:
        if response.HasField("fault"):
            yield ItemFault(response.index, response.fault)
            continue
        pixels = to_array(response.image, payloads, "image")
        yield Item(
            response.index,
            {"ENLARGED": pixels, "SIZE": np.array(size_of(pixels), np.int32), "INDEX": np.int32(response.index)},
        )


PAGE = Page(
    method="Upscale",
    inputs=(Input("IMAGES", "UINT8", (-1, -1, -1, 3), images("images")),),
    outputs=(
        Output("ENLARGED", "UINT8", (-1, -1, -1, 3)),
        Output("SIZE", "INT32", (-1, 2)),
        Output("INDEX", "INT32", (-1,)),
    ),
    answers=answers,
    options=("scale", "prompt", "align", "seed"),
    count=lambda request: len(request.images),
)
