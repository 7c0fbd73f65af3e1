"""The service and the chain, each on a socket of its own, with Tensorhop's segment between them."""

import io
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from PIL import Image, ImageDraw

from swatches.v1 import swatches_pb2 as pb
from swatches.v1.swatches_pb2_grpc import SwatchesServiceStub
from tensorhop import one_process
from tensorhop.v1 import image_pb2, tensor_pb2

RED = (200, 30, 40)


@pytest.fixture(scope="module")
def chain() -> Iterator[SwatchesServiceStub]:
    addresses = dict.fromkeys(("segment", "palette", "swatches"), "localhost:0")
    with one_process(addresses) as servers, grpc.insecure_channel(servers["swatches"].address) as channel:
        yield SwatchesServiceStub(channel)


def picture() -> bytes:
    """A red disc on grey, as a PNG file."""
    image = Image.new("RGB", (160, 120), (120, 125, 130))
    ImageDraw.Draw(image).ellipse((50, 30, 110, 90), fill=RED)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def disc() -> image_pb2.Mask:
    """The disc's middle."""
    alpha = np.zeros((120, 160), np.uint8)
    alpha[45:75, 65:95] = 255
    return image_pb2.Mask(alpha=tensor_pb2.Tensor(dtype="UINT8", shape=alpha.shape, data=alpha.tobytes()))


def events(chain: SwatchesServiceStub, *photos: pb.Photo, **options: int) -> dict[str, list]:
    found: dict[str, list] = {"swatch": [], "fault": [], "summary": []}
    for answer in chain.Process(pb.ProcessRequest(photos=photos, **options), timeout=60):
        kind = answer.WhichOneof("event")
        found[kind].append(getattr(answer, kind))
    return found


def test_the_object_gives_the_colours(chain: SwatchesServiceStub) -> None:
    found = events(chain, pb.Photo(image=image_pb2.Image(encoded=picture())))
    (swatch,) = found["swatch"]
    first = swatch.colours[0]
    assert np.abs(np.subtract((first.red, first.green, first.blue), RED)).max() < 16
    assert [step.service for step in found["summary"][0].steps] == ["segment", "palette"]


def test_a_mask_of_the_caller_skips_segment(chain: SwatchesServiceStub) -> None:
    found = events(chain, pb.Photo(image=image_pb2.Image(encoded=picture()), mask=disc()), colours=1)
    (colour,) = found["swatch"][0].colours
    assert (colour.red, colour.green, colour.blue, colour.share) == (*RED, 1)
    assert [step.service for step in found["summary"][0].steps] == ["palette"]


def test_one_bad_photo_fails_no_other(chain: SwatchesServiceStub) -> None:
    good, bad = pb.Photo(image=image_pb2.Image(encoded=picture())), pb.Photo(image=image_pb2.Image(encoded=b"none"))
    found = events(chain, good, bad, good)
    assert sorted(swatch.index for swatch in found["swatch"]) == [0, 2]
    (fault,) = found["fault"]
    assert (fault.index, fault.fault.field) == (1, "photos[1].image.encoded")


def test_the_same_photo_comes_from_the_cache(chain: SwatchesServiceStub) -> None:
    photo = pb.Photo(image=image_pb2.Image(encoded=picture()))
    first = events(chain, photo)
    again = events(chain, photo)
    assert [step.cached for step in again["summary"][0].steps] == [1, 1]
    assert first["swatch"] == again["swatch"]
    anew = events(chain, photo, no_cache=True)
    assert [step.calls for step in anew["summary"][0].steps] == [1, 1]


def test_a_wrong_request_is_refused(chain: SwatchesServiceStub) -> None:
    with pytest.raises(grpc.RpcError, match="colours is 17; it must be from 1 to 16"):
        events(chain, pb.Photo(image=image_pb2.Image(encoded=picture())), colours=17)
