"""What a caller may ask of a picture, and how colours are read."""

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output


@pytest.mark.parametrize(
    ("background", "colour"),
    [("white", (255, 255, 255)), ("RebeccaPurple", (102, 51, 153)), ("#0aF", (0, 170, 255)), ("#102030", (16, 32, 48))],
)
def test_colours(background: str, colour: tuple[int, int, int]) -> None:
    output = Output(background=background)
    output.check()
    assert output.colour == colour


def test_only_jpeg_needs_a_background() -> None:
    assert Output("jpeg").colour == (255, 255, 255)
    assert [Output(encoding).colour for encoding in ("png", "webp", "tensor")] == [None] * 3


@pytest.mark.parametrize(
    ("output", "field", "says"),
    [
        (Output("gif"), "output.encoding", "'gif'; known are png, webp, jpeg, tensor"),
        (Output("jpeg", 0), "output.quality", "is 0; it must be from 1 to 100"),
        (Output("webp", 101), "output.quality", "is 101"),
        (Output("png", 90), "output.quality", "only webp and jpeg have one, not png"),
        (Output("tensor", 90), "output.quality", "not tensor"),
        *(
            (Output(background=text), "output.background", "a CSS colour name, #rgb or #rrggbb")
            for text in (
                "whitish",
                "#12",
                "#12345",
                "#ffffff80",
                "rgb(1,2,3)",
                "hsl(0,100%,50%)",
                " white",
                "#ggg",
                "٣",
            )
        ),
    ],
)
def test_what_is_refused(output: Output, field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        output.check()
    assert caught.value.field == field
    assert says in str(caught.value)


def test_what_a_format_cannot_hold() -> None:
    Output("webp").check_canvas(Size(16_383, 10))
    Output("png").check_canvas(Size(16_384, 10))
    with pytest.raises(InvalidInput, match=r"output\.encoding is webp, .* at most 16,383 .* 10 x 16384"):
        Output("webp").check_canvas(Size(10, 16_384))


def test_transparent_is_no_colour_and_no_jpeg() -> None:
    assert Output(background="transparent").colour is None
    with pytest.raises(InvalidInput, match="a JPEG is opaque"):
        Output("jpeg", background="transparent").check()
