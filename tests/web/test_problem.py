"""Errors over HTTP say what they say over gRPC."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from http_caller import CAT, call, oval, post

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.v1 import fault_pb2
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Size
from tensorhop.values.images import decode_mask
from tensorhop.values.output_options import Output
from tensorhop.web.problem import STATUSES

SAME = [
    ({"boxes": "900,0,950,9"}, {"boxes": [(900, 0, 950, 9)]}, "boxes"),
    ({"boxes": "9,9,1,1"}, {"boxes": [(9, 9, 1, 1)]}, "boxes"),
    ({"max_objects": 0}, {"max_objects": 0}, "max_objects"),
    ({"max_parallel": 999}, {"max_parallel": 999}, "max_parallel"),
    ({"score_threshold": 2}, {"score_threshold": 2}, "score_threshold"),
    ({"phrases": " x" * 101}, {"phrases": ["x" + " x" * 100]}, "phrases"),
    ({"rot": "inf"}, {"finish": Finish(rot=float("inf"))}, "rot"),
    ({"shadow": "cast", "length": 5}, {"finish": Finish(length=5.0)}, "length"),
    ({"canvas": "0x5"}, {"finish": Finish(canvas=Size(0, 5))}, "canvas"),
    ({"quality": 50}, {"output": Output("png", 50)}, "quality"),
    ({"background": "blueish"}, {"output": Output("png", background="blueish")}, "background"),
    (
        {"format": "webp", "canvas": "16384x8"},
        {"output": Output("webp"), "finish": Finish(canvas=Size(16384, 8))},
        "format",
    ),
]


@pytest.mark.parametrize(
    ("fields", "arguments", "parameter"), SAME, ids=lambda value: value if type(value) is str else ""
)
def test_the_same_error_as_over_grpc(
    http: str, client: PipelineClient, fields: dict, arguments: dict, parameter: str
) -> None:
    with pytest.raises((ServiceFault, InvalidInput)) as caught:
        list(client.process(CAT, **arguments))
    error: Any = caught.value
    field = error.field if isinstance(error, InvalidInput) else error.fault.field
    answer = post(http, fields)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_ARGUMENT")
    assert (answer.json["field"], answer.json["detail"]) == (field, str(error))
    assert answer.json["parameter"] == parameter


def test_a_mask_of_another_size_and_an_image_that_is_none(http: str, client: PipelineClient) -> None:
    with pytest.raises(ServiceFault) as caught:
        list(client.process(CAT, masks=[decode_mask(oval(size=(10, 900)))]))
    answer = post(http, masks=[oval(size=(10, 900))])
    assert (answer.json["field"], answer.json["detail"]) == ("masks[0]", str(caught.value))
    assert post(http, image=b"no image").json["field"] == "image.encoded"
    grey = {"dtype": "UINT8", "shape": [2, 2], "data": base64.b64encode(np.zeros((2, 2), np.uint8)).decode()}
    answer = call(http, "POST", "/process", json.dumps({"image": grey}), {"Content-Type": "application/json"})
    assert answer.json["field"] == "image.tensor.shape"


def test_every_code_has_a_status() -> None:
    names = {name.removeprefix("CODE_") for name, _ in fault_pb2.Code.items()}
    assert STATUSES.keys() == names - {"UNSPECIFIED"}
