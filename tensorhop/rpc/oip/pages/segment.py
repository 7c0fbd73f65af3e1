"""The page of segment."""

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Answer, Input, Item, ItemFault, Output, Page
from tensorhop.rpc.oip.pages.placing import bytes_of_mask, placed
from tensorhop.rpc.oip.readers import boxes, decoded_image
from tensorhop.values.geometry import Size
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import read_region
from tensorhop.wire.tensor import to_array


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    for response, payloads in given:
        index = response.index
        if response.HasField("fault"):
            yield ItemFault(index, response.fault)
            continue
        height, width, _ = request.message.image.tensor.shape  # the servicer has read it, so it is a picture
        alpha = bytes_of_mask(to_array(response.mask.alpha, payloads, "mask.alpha"))
        mask = placed(alpha, read_region(response.mask.region), Size(width, height))
        yield Item(index, {"MASKS": mask, "INDEX": np.int32(index)})


PAGE = Page(
    method="Segment",
    inputs=(
        Input("IMAGE", "UINT8", (-1, -1, 3), decoded_image("image")),
        Input("BOXES", "FP32", (-1, 4), boxes("boxes")),
        Input("NEIGHBOURS", "FP32", (-1, 4), boxes("neighbours"), optional=True),
    ),
    outputs=(Output("MASKS", "UINT8", (-1, -1, -1)), Output("INDEX", "INT32", (-1,))),
    answers=answers,
    options=("may_grow",),
    count=lambda request: len(request.boxes),
)
