"""UpscaleService over a socket: one picture or fault for each image, and what is refused."""

from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest

from tensorhop.rpc.server import Server
from tensorhop.v1 import fault_pb2, image_pb2, tensor_pb2
from tensorhop.v1 import upscale_pb2 as pb
from tensorhop.v1.upscale_pb2_grpc import UpscaleServiceStub
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import Pool
from tensorhop.wire.tensor import to_array


@pytest.fixture(scope="module")
def stub(servers: dict[str, Server]) -> Iterator[UpscaleServiceStub]:
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(servers["upscale"].address, options) as channel:
        yield UpscaleServiceStub(channel)


def image(pixels: np.ndarray) -> image_pb2.Image:
    tensor = tensor_pb2.Tensor(dtype="UINT8", shape=pixels.shape, data=pixels.tobytes())
    return image_pb2.Image(tensor=tensor)


def array(tensor: tensor_pb2.Tensor) -> np.ndarray:
    assert tensor.dtype == "UINT8"
    return np.frombuffer(tensor.data, np.uint8).reshape(tensor.shape)


def test_each_image_of_a_list_has_its_answer(stub: UpscaleServiceStub, cat: np.ndarray) -> None:
    request = pb.UpscaleRequest(
        images=[
            image(cat[:40, :50]),
            image_pb2.Image(encoded=b"no picture"),
            image_pb2.Image(),
            image(cat[40:71, 50:83]),
        ]
    )
    found = {answer.index: answer for answer in stub.Upscale(request)}
    assert sorted(found) == [0, 1, 2, 3]
    assert array(found[0].image).shape == (80, 100, 3)
    assert array(found[3].image).shape == (62, 66, 3)
    assert found[1].fault.code == found[2].fault.code == fault_pb2.CODE_INVALID_ARGUMENT
    assert found[1].fault.field == "images[1].encoded"
    assert found[2].fault.field == "images[2]"
    assert found[1].fault.service == "upscale"
    assert {answer.model.name for answer in found.values()} == {"embedded"}


def test_scale_4(stub: UpscaleServiceStub, cat: np.ndarray) -> None:
    (answer,) = stub.Upscale(pb.UpscaleRequest(images=[image(cat[:20, :30])], scale=4))
    assert array(answer.image).shape == (80, 120, 3)


@pytest.mark.parametrize("align", ["COLOR_ALIGN_NONE", "COLOR_ALIGN_ADAIN", "COLOR_ALIGN_WAVELET"])
def test_every_alignment_answers(stub: UpscaleServiceStub, cat: np.ndarray, align: str) -> None:
    (answer,) = stub.Upscale(pb.UpscaleRequest(images=[image(cat[:20, :30])], align=align, prompt="a cat", seed=3))
    assert abs(array(answer.image).mean() - cat[:20, :30].mean()) < 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scale": 3}, "scale is 3; it must be 2 or 4"),
        ({"scale": 0}, "scale is 0; it must be 2 or 4"),
        ({"align": 9}, "align is 9; known are COLOR_ALIGN_UNSPECIFIED"),
    ],
)
def test_a_refused_choice(stub: UpscaleServiceStub, cat: np.ndarray, fields: dict[str, int], said: str) -> None:
    with pytest.raises(grpc.RpcError, match=said) as refused:
        list(stub.Upscale(pb.UpscaleRequest(images=[image(cat[:20, :30])], **fields)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_empty_list_is_refused(stub: UpscaleServiceStub) -> None:
    with pytest.raises(grpc.RpcError, match="images is empty"):
        list(stub.Upscale(pb.UpscaleRequest()))


def test_memory_that_is_not_shared_refuses_the_call_before_any_work(stub: UpscaleServiceStub, cat: np.ndarray) -> None:
    slot = tensor_pb2.SharedMemory(name="tensorhop-" + "0" * 32, size=300)
    away = image_pb2.Image(tensor=tensor_pb2.Tensor(dtype="UINT8", shape=(10, 10, 3), shared_memory=slot))
    with pytest.raises(grpc.RpcError, match="cannot be opened") as refused:
        list(stub.Upscale(pb.UpscaleRequest(images=[image(cat[:20, :30]), away])))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_large_results_come_back_in_the_slot_that_was_lent(stub: UpscaleServiceStub, cat: np.ndarray) -> None:
    pool = Pool.of()
    slot = pool.take(10 * cat.nbytes)
    if slot is None:
        pytest.skip("this machine has no shared memory")
    slot_part = slot.part(0, slot.size)
    request = pb.UpscaleRequest(images=[image(cat), image(cat[:200]), image(cat[:9])], lent=[slot_part])
    answers = sorted(stub.Upscale(request), key=lambda answer: answer.index)
    assert [answer.image.HasField("shared_memory") for answer in answers] == [True, True, False]
    made = [to_array(answer.image, Payloads.inside(), "image") for answer in answers]
    assert [one.shape[0] for one in made] == [600, 400, 18]
    assert abs(made[0].mean() - cat.mean()) < 1
    pool.close()


def test_too_large_a_result_fails_alone(stub: UpscaleServiceStub, cat: np.ndarray, limit: Callable[..., None]) -> None:
    limit(max_pixels=10_000)
    request = pb.UpscaleRequest(images=[image(cat[:51, :50]), image(cat[:50, :50])])
    large, small = sorted(stub.Upscale(request), key=lambda answer: answer.index)
    assert large.fault.field == "images[0]"
    assert "is 50 x 51 pixels; at scale 2 its result would have 10,200, and at most 10,000" in large.fault.message
    assert array(small.image).shape == (100, 100, 3)
