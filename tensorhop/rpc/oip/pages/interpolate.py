"""The page of interpolate."""

from typing import Any

import numpy as np

from tensorhop.rpc.oip.page import Input, Output, Page, Value, item_by_item
from tensorhop.rpc.oip.readers import FLOATS, camera_pairs, images, write_camera
from tensorhop.rpc.oip.tensors import GivenTensor
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


def read_cameras(given: GivenTensor, request: Any, payloads: Payloads) -> None:
    request.cameras.extend(camera_pairs(given, given.rows(FLOATS, (-1, 2, 5)).astype(np.float64)))


def outputs_of(response: Any, payloads: Payloads, request: Packet[Any]) -> dict[str, Value]:
    return {
        "VIEWS": to_array(response.view, payloads, "view"),
        "PANORAMA": np.int32(response.panorama),
        "WEIGHT_IDX": np.int32(response.weight_idx),
        "CAMERA": write_camera(response.camera),
    }


PAGE = Page(
    method="Interpolate",
    inputs=(
        Input("PANORAMAS", "UINT8", (-1, -1, -1, 3), images("panoramas")),
        Input("CAMERAS", "FP64", (-1, 2, 5), read_cameras),
    ),
    outputs=(
        Output("VIEWS", "UINT8", (-1, -1, -1, 3)),
        Output("PANORAMA", "INT32", (-1,)),
        Output("WEIGHT_IDX", "INT32", (-1,)),
        Output("CAMERA", "FP64", (-1, 5)),
    ),
    answers=item_by_item(outputs_of),
    options=("views", "view", "any_ratio"),
)
