"""The page of the chain of views."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict, MessageToJson

from tensorhop.rpc.oip.page import Answer, Input, Item, ItemFault, Notes, Output, Page
from tensorhop.rpc.oip.readers import images, interval_cameras, numbers, write_camera, write_cameras
from tensorhop.v1 import pipeline_pb2
from tensorhop.values.geometry import size_of
from tensorhop.wire.codec import Packet
from tensorhop.wire.tensor import to_array

NONE = (0, 0, 0)
KEYED = ("pair", "view", "fault")  # the events about one picture: its interval, panorama and weight


def answers(
    given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
) -> Generator[Answer, None, None]:
    """A view that is to be enlarged is held back until it is, so that it comes once; or until that failed."""
    enlarges = not request.message.HasField("scale") or request.message.scale > 1
    held: dict[tuple[int, int, int], Item] = {}
    count = 0
    for response, payloads in given:
        kind = response.WhichOneof("event")
        event = getattr(response, kind)
        key = (
            (event.interval, getattr(event, "panorama", 0), getattr(event, "weight_idx", 0)) if kind in KEYED else NONE
        )
        if kind == "pair":
            pixels = to_array(event.pair.tensor, payloads, "pair.tensor")
            yield picture(count, key, 1, pixels, write_cameras(event.cameras))
            count += 1
        elif kind == "view":
            pixels = to_array(event.view.tensor, payloads, "view.tensor")
            camera = write_camera(event.camera)
            item = picture(count, key, event.scale, pixels, np.stack([camera, camera]))
            if enlarges and event.scale == 1:
                held[key] = item
            else:
                held.pop(key, None)
                yield item
                count += 1
        elif kind == "fault":
            if key in held:
                yield replace(held.pop(key), index=count)
                count += 1
            yield ItemFault(count, event.fault, dict(zip(("interval", "panorama", "weight_idx"), key, strict=True)))
        elif kind in ("decision", "description", "score"):
            told = MessageToDict(event, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            yield Notes({f"{kind}s": [told]})
        elif kind == "summary":
            summary = MessageToJson(event, indent=None, preserving_proto_field_name=True)
            yield Notes(request_id=response.request_id, summary=summary)
    for number, item in enumerate(held.values(), count):
        yield replace(item, index=number)


def picture(index: int, key: tuple[int, ...], scale: int, pixels: np.ndarray, cameras: np.ndarray) -> Item:
    interval, panorama, weight = map(np.int32, key)
    size = np.array(size_of(pixels), np.int32)
    outputs: dict[str, Any] = {"PICTURES": pixels, "SIZE": size, "INTERVAL": interval, "PANORAMA": panorama}
    return Item(index, outputs | {"WEIGHT_IDX": weight, "SCALE": np.int32(scale), "CAMERAS": cameras})


PAGE = Page(
    method="Process",
    inputs=(
        Input("PANORAMAS", "UINT8", (-1, -1, -1, 3), images("panoramas")),
        Input("INTERVALS", "INT32", (-1,), numbers("intervals"), optional=True),
        Input("CAMERAS", "FP64", (-1, -1, 2, 5), interval_cameras, optional=True),
    ),
    outputs=(
        Output("PICTURES", "UINT8", (-1, -1, -1, 3)),
        Output("SIZE", "INT32", (-1, 2)),
        Output("INTERVAL", "INT32", (-1,)),
        Output("PANORAMA", "INT32", (-1,)),
        Output("WEIGHT_IDX", "INT32", (-1,)),
        Output("SCALE", "INT32", (-1,)),
        Output("CAMERAS", "FP64", (-1, 2, 5)),
    ),
    answers=answers,
    options=(
        *("seed", "view", "any_ratio", "min_score", "views", "scale", "no_descriptions", "no_cache", "max_parallel"),
    ),
    prepare=lambda request, wanted: setattr(request, "encoding", pipeline_pb2.ENCODING_TENSOR),
)
