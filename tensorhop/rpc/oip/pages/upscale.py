"""The page of upscale."""

from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Input, Output, Page, Value, item_by_item
from tensorhop.rpc.oip.readers import images
from tensorhop.values.geometry import size_of
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


def outputs_of(response: Any, payloads: Payloads, request: Packet[Any]) -> dict[str, Value]:
    pixels = to_array(response.image, payloads, "image")
    return {"ENLARGED": pixels, "SIZE": np.array(size_of(pixels), np.int32), "INDEX": np.int32(response.index)}


PAGE = Page(
    method="Upscale",
    inputs=(Input("IMAGES", "UINT8", (-1, -1, -1, 3), images("images")),),
    outputs=(
        Output("ENLARGED", "UINT8", (-1, -1, -1, 3)),
        Output("SIZE", "INT32", (-1, 2)),
        Output("INDEX", "INT32", (-1,)),
    ),
    answers=item_by_item(outputs_of),
    options=("scale", "prompt", "align", "seed"),
    count=lambda request: len(request.images),
)
