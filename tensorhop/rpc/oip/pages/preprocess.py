"""The page of preprocess."""

from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Input, Output, Page, Value, item_by_item
from tensorhop.rpc.oip.readers import images, interval_cameras, numbers, write_cameras
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


def outputs_of(response: Any, payloads: Payloads, request: Packet[Any]) -> dict[str, Value]:
    return {
        "PAIRS": to_array(response.pair, payloads, "pair"),
        "INTERVAL": np.int32(response.interval),
        "PANORAMA": np.int32(response.panorama),
        "CAMERAS": write_cameras(response.cameras),
    }


PAGE = Page(
    method="Preprocess",
    inputs=(
        Input("PANORAMAS", "UINT8", (-1, -1, -1, 3), images("panoramas")),
        Input("INTERVALS", "INT32", (-1,), numbers("intervals"), optional=True),
        Input("CAMERAS", "FP64", (-1, -1, 2, 5), interval_cameras, optional=True),
    ),
    outputs=(
        Output("PAIRS", "UINT8", (-1, -1, -1, 3)),
        Output("INTERVAL", "INT32", (-1,)),
        Output("PANORAMA", "INT32", (-1,)),
        Output("CAMERAS", "FP64", (-1, 2, 5)),
    ),
    answers=item_by_item(outputs_of),
    options=("seed", "view", "any_ratio"),
)
