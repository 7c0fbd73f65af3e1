"""PostprocessService over a socket: what it refuses, and what the refusal names."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tensorhop.rpc.server import Server
from tensorhop.rpc.status import from_error
from tensorhop.v1 import fault_pb2, postprocess_pb2, tensor_pb2
from tensorhop.v1.postprocess_pb2_grpc import PostprocessServiceStub

NAN, INF = float("nan"), float("inf")
FULL = np.full((30, 20), 255, np.uint8)


@pytest.fixture(scope="module")
def stub(servers: dict[str, Server]) -> Iterator[PostprocessServiceStub]:
    with grpc.insecure_channel(servers["postprocess"].address) as channel:
        yield PostprocessServiceStub(channel)


def tensor(array: np.ndarray) -> tensor_pb2.Tensor:
    names = {"uint8": "UINT8", "float32": "FP32"}
    return tensor_pb2.Tensor(dtype=names[array.dtype.name], shape=array.shape, data=array.tobytes())


def request(alpha: np.ndarray = FULL, crop: tuple[int, int] = (30, 20), **finish: object) -> object:
    """An object of 20 x 30 pixels at 100, 50 of a photo of 640 x 480."""
    return postprocess_pb2.PostprocessRequest(
        crop={"tensor": tensor(np.full((*crop, 3), 90, np.uint8))},
        mask={"alpha": tensor(alpha), "region": {"x0": 100, "y0": 50, "x1": 120, "y1": 80}},
        photo={"width": 640, "height": 480},
        finish=finish,
    )


def shadow(**choice: float) -> object:
    return request(shadow=choice)


def alpha(value: float) -> np.ndarray:
    array = np.full((30, 20), 0.5, np.float32)
    array[7, 9] = value
    return array


@pytest.mark.parametrize(
    ("sent", "field", "says"),
    [
        (request(crop=(30, 21)), "crop", "width=20, height=30"),
        (request(alpha=FULL[:-1]), "mask.alpha.shape", "height 30 and width 20"),
        (request(alpha=alpha(1.01)), "mask.alpha", "FP32 goes from 0 to 1"),
        (request(alpha=alpha(-0.01)), "mask.alpha", "FP32 goes from 0 to 1"),
        (request(alpha=alpha(NAN)), "mask.alpha", "nan"),
        (request(alpha=np.zeros_like(FULL)), "mask.alpha", "is empty"),
        (request(canvas={}), "finish.canvas", "from 1 to 16,384"),
        (request(canvas={"width": 100_000, "height": 100_000}), "finish.canvas", "from 1 to 16,384"),
        (request(canvas={"width": 16_000, "height": 16_000}), "finish.canvas", "at most 100,000,000"),
        (request(fill=0.0), "finish.fill", "above 0 and at most 1"),
        (request(fill=NAN), "finish.fill", "nan"),
        (request(fill=2.0), "finish.fill", "above 0 and at most 1"),
        (request(max_scale=0.0), "finish.max_scale", "from 1 to 100"),
        (shadow(rot=INF), "finish.shadow.rot", "finite"),
        (shadow(length=-1), "finish.shadow.length", "from 0 to 4"),
        (shadow(softness=NAN), "finish.shadow.softness", "from 0 to 0.25"),
        (shadow(opacity=1.5), "finish.shadow.opacity", "from 0 to 1"),
        (shadow(kind=7), "finish.shadow.kind", "SHADOW_KIND_CAST"),
    ],
)
def test_what_is_refused(stub: PostprocessServiceStub, sent: object, field: str, says: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Postprocess(sent)
    fault = from_error(caught.value).fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, field)
    assert says in fault.message
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_every_choice_reaches_the_pixels(stub: PostprocessServiceStub) -> None:
    """Each differs from its default alone, and so does the answer."""

    def answer(**finish: object) -> bytes:
        return stub.Postprocess(request(**finish)).SerializeToString(deterministic=True)

    choices = [
        {},
        {"canvas": {"width": 900, "height": 900}},
        {"fill": 0.04},
        {"max_scale": 3},
        {"center": False},
        {"shadow": {"rot": 100}},
        {"shadow": {"length": 0.3}},
        {"shadow": {"softness": 0.2}},
        {"shadow": {"opacity": 0.2}},
        {"shadow": {"kind": "SHADOW_KIND_CONTACT"}},
    ]
    assert len({answer(**choice) for choice in choices}) == len(choices)
    assert answer(canvas={"width": 1024, "height": 1024}, fill=0.8, max_scale=2) == answer()
    assert answer(shadow={"rot": 60, "length": 0.7, "softness": 0.035, "opacity": 0.65}) == answer()
