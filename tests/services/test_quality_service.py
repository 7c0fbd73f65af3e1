"""QualityService over a socket: one score or fault for each image, pairs, and what is refused."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tensorhop.rpc.server import Server
from tensorhop.v1 import fault_pb2, image_pb2, tensor_pb2
from tensorhop.v1 import quality_pb2 as pb
from tensorhop.v1.quality_pb2_grpc import QualityServiceStub


@pytest.fixture(scope="module")
def stub(servers: dict[str, Server]) -> Iterator[QualityServiceStub]:
    with grpc.insecure_channel(servers["quality"].address) as channel:
        yield QualityServiceStub(channel)


def image(pixels: np.ndarray) -> image_pb2.Image:
    tensor = tensor_pb2.Tensor(dtype="UINT8", shape=pixels.shape, data=pixels.tobytes())
    return image_pb2.Image(tensor=tensor)


def test_each_image_of_a_list_has_its_answer(stub: QualityServiceStub, cat: np.ndarray) -> None:
    images = [image(cat), image_pb2.Image(encoded=b"no picture"), image(cat[:15, :50]), image(cat[:200, :200])]
    found = {answer.index: answer for answer in stub.Score(pb.ScoreRequest(images=images))}
    assert sorted(found) == [0, 1, 2, 3]
    assert found[0].quality.scored
    assert 0.9 < found[0].quality.score <= 1
    assert not found[0].quality.scores
    assert found[3].quality.scored
    assert found[1].fault.field == "images[1].encoded"
    assert found[2].fault.code == fault_pb2.CODE_INVALID_ARGUMENT
    assert found[2].fault.message == "images[2] is 50 x 15 pixels; at least 16 x 16 are needed"
    assert {answer.model.name for answer in found.values()} == {"embedded"}


def test_a_pair_has_scores_of_its_halves(stub: QualityServiceStub, cat: np.ndarray) -> None:
    noise = np.random.default_rng(1).integers(0, 256, cat.shape, np.uint8)
    request = pb.ScoreRequest(images=[image(np.hstack([cat, cat])), image(np.hstack([cat, noise]))], pairs=True)
    same, spoilt = (answer.quality for answer in sorted(stub.Score(request), key=lambda answer: answer.index))
    assert set(same.scores) == {"left", "right", "match"}
    assert same.scores["left"] == same.scores["right"] == same.score
    assert same.scores["match"] == 1
    assert spoilt.score == spoilt.scores["right"] < spoilt.scores["left"]
    assert spoilt.scores["match"] < 0.2


def test_a_pair_of_an_odd_width_is_refused(stub: QualityServiceStub, cat: np.ndarray) -> None:
    (answer,) = stub.Score(pb.ScoreRequest(images=[image(cat[:100, :101])], pairs=True))
    assert answer.fault.message == "images[0] is 101 x 100 pixels; the width of a pair must be even"


def test_an_empty_list_is_refused(stub: QualityServiceStub) -> None:
    with pytest.raises(grpc.RpcError, match="images is empty"):
        list(stub.Score(pb.ScoreRequest()))
