"""The page of preprocess."""

from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.rpc.oip.page import Input, Output, Page, Value, item_by_item
from tensorhop.rpc.oip.readers import FLOATS, camera_pairs, images, numbers, write_cameras
from tensorhop.rpc.oip.tensors import GivenTensor
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


def read_cameras(given: GivenTensor, request: Any, payloads: Payloads) -> None:
    """Cameras of each interval and panorama; the intervals are those of the input INTERVALS, or else 1, 2, ..."""
    array = given.rows(FLOATS, (-1, -1, 2, 5)).astype(np.float64)
    if array.shape[0] * array.shape[1] > 1000:
        raise InvalidInput(f"{given.field}.shape", f"is {[*array.shape]}; at most 1,000 pairs are allowed")
    named = list(request.intervals) or range(1, len(array) + 1)
    if len(named) != len(array):
        raise InvalidInput(f"{given.field}.shape", f"is {[*array.shape]}; INTERVALS names {len(named)} intervals")
    del request.intervals[:]
    for number, pairs in zip(named, array, strict=True):
        request.cameras.add(interval=number, cameras=camera_pairs(given, pairs))


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
        Input("CAMERAS", "FP64", (-1, -1, 2, 5), read_cameras, optional=True),
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
