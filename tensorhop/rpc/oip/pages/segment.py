"""The page of segment."""

from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Input, Output, Page, Value, item_by_item
from tensorhop.rpc.oip.pages.placing import placed_mask
from tensorhop.rpc.oip.readers import boxes, decoded_image
from tensorhop.values.geometry import Size
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads


def outputs_of(response: Any, payloads: Payloads, request: Packet[Any]) -> dict[str, Value]:
    height, width, _ = request.message.image.tensor.shape  # the servicer has read it, so it is a picture
    return {"MASKS": placed_mask(response.mask, payloads, Size(width, height)), "INDEX": np.int32(response.index)}


PAGE = Page(
    method="Segment",
    inputs=(
        Input("IMAGE", "UINT8", (-1, -1, 3), decoded_image("image")),
        Input("BOXES", "FP32", (-1, 4), boxes("boxes")),
        Input("NEIGHBOURS", "FP32", (-1, 4), boxes("neighbours"), optional=True),
    ),
    outputs=(Output("MASKS", "UINT8", (-1, -1, -1)), Output("INDEX", "INT32", (-1,))),
    answers=item_by_item(outputs_of),
    options=("may_grow",),
    count=lambda request: len(request.boxes),
)
