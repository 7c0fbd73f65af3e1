"""Messages and plain values: there and back, and every value that is refused."""

from dataclasses import astuple
from types import SimpleNamespace

import numpy as np
import pytest

from tensorhop.errors import InvalidInput
from tensorhop.settings import current_settings
from tensorhop.v1 import detect_pb2, image_pb2, pipeline_pb2, postprocess_pb2
from tensorhop.values.finish_options import SHADOWS, Finish
from tensorhop.values.geometry import Box, Region, Size
from tensorhop.values.output_options import ENCODINGS, Output
from tensorhop.values.results import Detection, Layer, Mask, Placement
from tensorhop.wire import messages
from tensorhop.wire.image_source import read_image
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor

PHOTO = Size(100, 50)
NAN, INF = float("nan"), float("inf")


def refusal(read, *args):
    with pytest.raises(InvalidInput) as caught:
        read(*args)
    return caught.value.field, str(caught.value)


# Boxes.


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((0, 0, 100, 50), (0, 0, 100, 50)),
        ((0.25, 0.5, 0.75, 1.5), (0.25, 0.5, 0.75, 1.5)),
        ((-10, -10, 10, 10), (0, 0, 10, 10)),
        ((90, 40, 1e30, 60), (90, 40, 100, 50)),
        ((-3e38, -3e38, 3e38, 3e38), (0, 0, 100, 50)),
    ],
)
def test_a_box_is_clipped_to_the_photo(box, inside):
    assert messages.read_box(image_pb2.Box(**Box(*box)._asdict()), PHOTO, "box") == inside


@pytest.mark.parametrize(
    ("box", "field", "said"),
    [
        ((NAN, 0, 1, 1), ".x0", "nan"),
        ((0, NAN, 1, 1), ".y0", "nan"),
        ((0, 0, INF, 1), ".x1", "inf"),
        ((0, 0, 1, -INF), ".y1", "-inf"),
        ((5, 0, 4, 1), "", "x0 < x1"),
        ((0, 5, 1, 4), "", "y0 < y1"),
        ((5, 5, 4, 4), "", "x0 < x1"),
        ((5, 5, 5, 6), "", "x0 < x1"),
        ((0, 0, 0, 0), "", "x0 < x1"),
        ((100, 0, 110, 10), "", "outside of the photo; x may go from 0 to 100, y to 50"),
        ((0, 50, 10, 60), "", "outside"),
        ((-10, -10, 0, 0), "", "outside"),
        ((-10, 10, -5, 20), "", "outside"),
    ],
)
def test_a_box_is_refused(box, field, said):
    sent = [image_pb2.Box(x0=0, y0=0, x1=1, y1=1), image_pb2.Box(**Box(*box)._asdict())]
    named, message = refusal(messages.read_boxes, sent, PHOTO)
    assert named == f"boxes[1]{field}"
    assert said in message


def test_boxes_keep_their_order_and_have_a_limit():
    most = current_settings().max_boxes
    sent = [image_pb2.Box(x1=1 + index / 10, y1=1) for index in range(most + 1)]
    read = messages.read_boxes(sent[:most], PHOTO)
    assert [box.x1 for box in read] == pytest.approx([1 + index / 10 for index in range(most)])
    assert refusal(messages.read_boxes, sent, PHOTO) == (
        "boxes",
        f"boxes has {most + 1} entries; at most {most} are allowed",
    )


# Masks.


def mask(alpha, region):
    payloads = Payloads()
    tensor = to_tensor(alpha, payloads)
    return image_pb2.Mask(alpha=tensor, region=messages.write_region(Region(*region))), payloads


@pytest.mark.parametrize(
    ("alpha", "region"),
    [
        (np.uint8([[0, 255], [7, 8], [9, 10]]), (3, 4, 5, 7)),
        (np.float32([[0, 1], [0.5, 0.25], [0, 0]]), (98, 47, 100, 50)),
        (np.zeros((50, 100), np.uint8), (0, 0, 100, 50)),
        (np.zeros((0, 0), np.uint8), (0, 0, 0, 0)),
        (np.zeros((0, 5), np.float32), (10, 10, 15, 10)),
    ],
)
def test_mask_round_trip(alpha, region):
    payloads = Payloads()
    written = messages.write_mask(Mask(alpha, Region(*region)), payloads)
    read = messages.read_mask(written, payloads, PHOTO)
    assert read.region == region
    assert read.alpha.dtype == alpha.dtype
    np.testing.assert_array_equal(read.alpha, alpha)


def at(value):
    alpha = np.full((2, 3), 0.5, np.float32)
    alpha[1, 1] = value
    return alpha


@pytest.mark.parametrize(
    ("alpha", "region", "field", "said"),
    [
        (np.zeros((2, 3), np.float64), (0, 0, 3, 2), "alpha.dtype", "is FP64; a mask is UINT8 or FP32"),
        (np.zeros((2, 3), np.bool_), (0, 0, 3, 2), "alpha.dtype", "BOOL"),
        (np.zeros((2, 3), np.int8), (0, 0, 3, 2), "alpha.dtype", "INT8"),
        (np.zeros((2, 3), np.float16), (0, 0, 3, 2), "alpha.dtype", "FP16"),
        (np.zeros((2, 3, 1), np.uint8), (0, 0, 3, 2), "alpha.shape", "[2, 3, 1]"),
        (np.zeros(6, np.uint8), (0, 0, 3, 2), "alpha.shape", "[6]"),
        (np.zeros((3, 2), np.uint8), (0, 0, 3, 2), "alpha.shape", "height 2 and width 3"),
        (np.zeros((50, 99), np.uint8), (0, 0, 100, 50), "alpha.shape", "height 50 and width 100"),
        (np.zeros((2, 3), np.uint8), (0, 0, 0, 0), "alpha.shape", "height 0 and width 0"),
        (np.zeros((2, 3), np.uint8), (98, 0, 101, 2), "region", "x1 <= 100"),
        (np.zeros((2, 3), np.uint8), (0, 49, 3, 51), "region", "y1 <= 50"),
        (np.zeros((2, 3), np.uint8), (-1, 0, 2, 2), "region", "0 <= x0"),
        (np.zeros((2, 3), np.uint8), (0, -2, 3, 0), "region", "0 <= y0"),
        (np.zeros((2, 3), np.uint8), (3, 0, 0, 2), "region", "x0 <= x1"),
        (np.zeros((2, 3), np.uint8), (0, 2, 3, 0), "region", "y0 <= y1"),
        (np.zeros((0, 0), np.uint8), (500, 500, 500, 500), "region", "x1 <= 100"),
        (at(1.001), (0, 0, 3, 2), "alpha", "FP32 goes from 0 to 1"),
        (at(255), (0, 0, 3, 2), "alpha", "0.5 to 255.0"),
        (at(-0.001), (0, 0, 3, 2), "alpha", "-0.001"),
        (at(NAN), (0, 0, 3, 2), "alpha", "nan"),
        (at(INF), (0, 0, 3, 2), "alpha", "inf"),
    ],
)
def test_a_mask_is_refused(alpha, region, field, said):
    named, message = refusal(messages.read_mask, *mask(alpha, region), PHOTO, "masks[2]")
    assert named == f"masks[2].{field}"
    assert said in message


def test_a_mask_whose_bytes_are_missing():
    message, payloads = mask(np.zeros((2, 3), np.uint8), (0, 0, 3, 2))
    message.alpha.data = payloads.put(bytes(5))
    assert refusal(messages.read_mask, message, payloads, PHOTO)[0] == "mask.alpha.data"


# Words and numbers.


def test_phrases_come_as_they_were_written():
    written = [" Coffee Mug ", "собака", "x" * current_settings().max_phrase_characters]
    assert messages.read_phrases(written) == written
    assert messages.read_phrases([]) == []


@pytest.mark.parametrize(
    ("phrases", "field", "said"),
    [
        (["cat", ""], "phrases[1]", "is empty"),
        ([" \t\n\u3000"], "phrases[0]", "is empty"),
        (["cat", "x" * 201], "phrases[1]", "201 characters; at most 200"),
        (["cat"] * 101, "phrases", "101 entries; at most 100"),
    ],
)
def test_phrases_are_refused(phrases, field, said):
    named, message = refusal(messages.read_phrases, phrases)
    assert named == field
    assert said in message


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_fraction_is_read(value):
    assert messages.read_detect(detect_pb2.DetectOptions(score_threshold=value)).score_threshold == value


def test_a_fraction_that_was_left_out_is_none():
    assert messages.read_detect(detect_pb2.DetectOptions(score_threshold=0.5)).iou_threshold is None


@pytest.mark.parametrize("value", [-0.01, 1.01, NAN, INF])
def test_a_fraction_is_refused(value):
    options = detect_pb2.DetectOptions(iou_threshold=value)
    assert refusal(messages.read_detect, options, "detect")[0] == "detect.iou_threshold"


# Finish.


def test_a_finish_left_out_takes_its_defaults():
    assert messages.read_finish(postprocess_pb2.Finish()) == Finish()
    assert messages.read_finish(postprocess_pb2.Finish(shadow=postprocess_pb2.Shadow())) == Finish()


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("decontaminate", [True, False])
@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("shadow", SHADOWS)
def test_finish_round_trip(center, decontaminate, refine, shadow):
    finish = Finish(
        center, decontaminate, shadow, 0.0, Size(7, 9000), 1.0, 1.0, 0.0, 0.25, 0.0, refine, 0.5, "round", 2.0, "#eee"
    )
    assert messages.read_finish(messages.write_finish(finish)) == finish


def test_the_contract_has_every_shadow():
    kinds = {name.removeprefix("SHADOW_KIND_").lower() for name in postprocess_pb2.ShadowKind.keys()}  # noqa: SIM118
    assert kinds == {"unspecified", *SHADOWS}


@pytest.mark.parametrize(
    ("finish", "field", "said"),
    [
        ({"shadow": {"kind": 99}}, "finish.shadow.kind", "is 99; known are SHADOW_KIND_"),
        ({"shadow": {"kind": -1}}, "finish.shadow.kind", "is -1"),
        ({"shadow": {"rot": INF}}, "finish.shadow.rot", "inf"),
        ({"shadow": {"rot": -INF}}, "finish.shadow.rot", "finite"),
        ({"shadow": {"rot": NAN}}, "finish.shadow.rot", "nan"),
        ({"shadow": {"length": -0.1}}, "finish.shadow.length", "is -0.1; it must be from 0 to 4"),
        ({"shadow": {"length": 4.1}}, "finish.shadow.length", "from 0 to 4"),
        ({"shadow": {"length": NAN}}, "finish.shadow.length", "nan"),
        ({"shadow": {"thickness": 0}}, "finish.shadow.thickness", "is 0.0; it must be above 0 and at most 1"),
        ({"shadow": {"thickness": 1.1}}, "finish.shadow.thickness", "at most 1, in longer sides of the object"),
        ({"shadow": {"thickness": NAN}}, "finish.shadow.thickness", "is nan"),
        ({"shadow": {"bounce": NAN}}, "finish.shadow.bounce", "is nan; it must be from 0 to 2"),
        ({"shadow": {"profile": 9}}, "finish.shadow.profile", "is 9; known are SHADOW_PROFILE_"),
        ({"shadow": {"backdrop": "sky"}}, "finish.shadow.backdrop", "give a CSS colour name, #rgb or #rrggbb"),
        ({"shadow": {"softness": 0.3}}, "finish.shadow.softness", "from 0 to 0.25"),
        ({"shadow": {"opacity": -INF}}, "finish.shadow.opacity", "from 0 to 1"),
        ({"canvas": {}}, "finish.canvas", "is 0 x 0 pixels; a side must be from 1 to 16,384"),
        ({"canvas": {"width": 100}}, "finish.canvas", "100 x 0"),
        ({"canvas": {"width": 100, "height": -5}}, "finish.canvas", "100 x -5"),
        ({"canvas": {"width": 100_000, "height": 100}}, "finish.canvas", "100000 x 100 pixels; a side"),
        ({"canvas": {"width": 16_384, "height": 16_384}}, "finish.canvas", "at most 100,000,000 are allowed"),
        ({"fill": 0}, "finish.fill", "is 0.0; it must be above 0 and at most 1"),
        ({"fill": 1.01}, "finish.fill", "above 0 and at most 1"),
        ({"fill": NAN}, "finish.fill", "nan"),
        ({"max_scale": 0.99}, "finish.max_scale", "from 1 to 100"),
        ({"max_scale": INF}, "finish.max_scale", "inf"),
    ],
)
def test_a_finish_is_refused(finish, field, said):
    named, message = refusal(messages.read_finish, postprocess_pb2.Finish(**finish))
    assert named == field
    assert said in message


def test_the_canvas_has_a_limit_that_can_be_set(limit):
    limit(max_canvas_side=500)
    finish = messages.read_finish(postprocess_pb2.Finish(canvas={"width": 500, "height": 400}))
    assert finish.canvas == Size(500, 400)
    sent = postprocess_pb2.Finish(canvas={"width": 501, "height": 400})
    assert "from 1 to 500" in refusal(messages.read_finish, sent)[1]


def test_an_unknown_shadow_is_refused():
    assert refusal(Finish(shadow="long").check) == (
        "finish.shadow",
        "finish.shadow is 'long'; known are none, contact, cast, backdrop, learned",
    )


# Output.


def test_an_output_left_out_takes_its_defaults():
    assert messages.read_output(pipeline_pb2.Output()) == Output()


@pytest.mark.parametrize(
    "output", [Output("png", None, "#123"), Output("webp", 1), Output("jpeg", 100), Output("tensor")]
)
def test_output_round_trip(output):
    assert messages.read_output(messages.write_output(output)) == output


def test_the_contract_has_every_encoding():
    kinds = {name.removeprefix("ENCODING_").lower() for name in pipeline_pb2.Encoding.keys()}  # noqa: SIM118
    assert kinds == {"unspecified", *ENCODINGS}


@pytest.mark.parametrize(
    ("output", "field", "said"),
    [
        ({"encoding": 99}, "output.encoding", "is 99; known are ENCODING_"),
        ({"background_fit": 9}, "output.background_fit", "is 9; known are BACKGROUND_FIT_"),
        ({"encoding": "ENCODING_JPEG", "quality": 0}, "output.quality", "from 1 to 100"),
        ({"quality": 50}, "output.quality", "not png"),
        ({"background": "whitish"}, "output.background", "is 'whitish'; give a CSS colour name, #rgb or #rrggbb"),
    ],
)
def test_an_output_is_refused(output, field, said):
    named, message = refusal(messages.read_output, pipeline_pb2.Output(**output))
    assert named == field
    assert said in message


# The rest, there and back.


def test_round_trips():
    assert messages.read_region(messages.write_region(Region(-1, 2, 3, 4))) == Region(-1, 2, 3, 4)
    assert messages.read_size(messages.write_size(PHOTO)) == PHOTO
    assert messages.read_box(messages.write_box(Box(1, 2, 3, 4)), PHOTO, "box") == Box(1, 2, 3, 4)
    placement = Placement(Size(640, 480), 0.1, -3.7, 12.25)
    assert messages.read_placement(messages.write_placement(placement)) == placement
    detection = Detection(3, "a cat", 1, 0.5, Box(0.5, 1, 2, 3), unknown_phrase=True)
    assert messages.read_detection(messages.write_detection(detection)) == detection
    without_phrase = Detection(0, "", -1, 1.0, Box(0, 0, 1, 1))
    assert messages.read_detection(messages.write_detection(without_phrase)) == without_phrase


def test_a_description_is_read():
    sent = pipeline_pb2.Description(text="mug", score=0.5, region=image_pb2.Region(x0=1, y0=2, x1=3, y1=4))
    assert astuple(messages.read_description(sent)) == ("mug", 0.5, (1, 2, 3, 4))


def test_layer_and_image_round_trip():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    payloads = Payloads()
    written = messages.write_layer(Layer(pixels, Region(5, 6, 8, 8)), payloads)
    layer = messages.read_layer(written, payloads, "cutout")
    assert layer.region == (5, 6, 8, 8)
    np.testing.assert_array_equal(layer.pixels, pixels)
    image = messages.write_image(pixels[..., :3], payloads)
    np.testing.assert_array_equal(read_image(image, payloads), pixels[..., :3])


def test_a_layer_whose_bytes_are_missing():
    payloads = Payloads()
    sent = messages.write_layer(Layer(np.zeros((2, 3, 4), np.uint8), Region(0, 0, 3, 2)), payloads)
    sent.pixels.data = b""
    assert refusal(messages.read_layer, sent, payloads, "cutout")[0] == "cutout.pixels.data"


def test_a_model_is_written():
    written = messages.write_model(SimpleNamespace(name="n", revision="r", digest="d"))
    assert (written.name, written.revision, written.digest) == ("n", "r", "d")
