"""The table of parameters: texts and JSON mean the same, and what is not in it is refused."""

from dataclasses import replace

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.options.arguments import default_arguments
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output
from tensorhop.web.cutouts.parameters import PARAMETERS, read, wish

BOX = (1.0, 2.0, 30.5, 40.0)
SAME = [
    ("phrases", ["cup"], ["cup"], ["cup"]),
    ("phrases", ["cup", "red, spoon"], ["cup", "red, spoon"], ["cup", "red, spoon"]),
    ("description", ["a cup"], "a cup", "a cup"),
    ("boxes", ["1,2,30.5,40"], [[1, 2, 30.5, 40]], [BOX]),
    ("boxes", ["1,2,30.5,40", " 1, 2, 30.5, 40 "], [[1, 2, 30.5, 40]] * 2, [BOX, BOX]),
    ("boxes", ["[1, 2, 30.5, 40]"], [[1, 2, 30.5, 40]], [BOX]),
    ("boxes", ["[[1,2,30.5,40],[1,2,30.5,40]]"], [[1, 2, 30.5, 40]] * 2, [BOX, BOX]),
    ("max_objects", ["3"], 3, 3),
    ("max_objects", ["-1"], -1, -1),  # the pipeline says what is allowed
    ("rot", ["120"], 120, 120.0),
    ("rot", ["1e2"], 100.0, 100.0),
    ("merge", ["TRUE"], True, True),
    ("center", ["0"], False, False),
    ("decontaminate", ["off"], False, False),
    ("canvas", ["1200x800"], "1200X800", (1200, 800)),
    ("format", ["webp"], "webp", "webp"),
    ("shadow", ["none"], "none", "none"),
    ("timeout", ["2.5"], 2.5, 2.5),
]


@pytest.mark.parametrize(("name", "texts", "member", "value"), SAME)
def test_texts_and_json_mean_the_same(name: str, texts: list[str], member: object, value: object) -> None:
    assert read((name, text) for text in texts) == read([], {name: member}) == {name: value}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_objects", "4.5"),
        ("max_objects", "99999999999"),
        ("max_objects", "٣"),
        ("rot", "north"),
        ("rot", "1_0"),
        ("boxes", "1,2,3,inf"),
        ("look", "around"),
        ("merge", "maybe"),
        ("canvas", "1200"),
        ("canvas", "-1x5"),
        ("boxes", "1,2,3"),
        ("boxes", "[[1,2,3,NaN]]"),
        ("boxes", "[" * 100_000),
        ("boxes", '["1","2","3","4"]'),
        ("boxes", "{}"),
        ("shadow", "long"),
        ("format", "tensor"),
        ("preset", "none"),
        ("timeout", "0"),
        ("timeout", "inf"),
        ("shadov", "none"),
        ("", "x"),
        ("unknown", ""),
        ("phrases", "\ud800"),
    ],
)
def test_a_text_of_another_kind_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"must be|is no parameter") as caught:
        read([(name, text)])
    assert caught.value.field == (name or "parameter")


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("max_objects", "3"),
        ("max_objects", True),
        ("max_objects", 2.5),
        ("max_objects", 1e300),
        ("rot", "120"),
        ("rot", None),
        ("rot", 10**400),
        ("merge", 1),
        ("canvas", [1200, 800]),
        ("boxes", [1, 2, 3, 4]),
        ("boxes", [[1, 2, 3, True]]),
        ("boxes", [[1, 2, 3]]),
        ("phrases", "cup"),
        ("phrases", [3]),
        ("phrases", ["\ud800"]),
        ("shadow", ["none"]),
        ("timeout", -1),
        ("Rot", 3),
    ],
)
def test_a_member_of_another_kind_is_refused_by_name(name: str, member: object) -> None:
    with pytest.raises(InvalidInput, match=r"must be|is no parameter") as caught:
        read([], {name: member})
    assert caught.value.field == name


def test_an_empty_text_leaves_its_parameter_out() -> None:
    assert read([("rot", ""), ("description", "")]) == {}


@pytest.mark.parametrize("twice", [[("rot", "1"), ("rot", "1")], [("merge", "true"), ("merge", "false")]])
def test_given_twice_is_refused(twice: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidInput, match="more than once"):
        read(twice)


def test_a_query_and_a_member_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="more than once"):
        read([("rot", "1")], {"rot": 1})


def test_nothing_means_the_products_defaults() -> None:
    nothing = wish({})
    assert (nothing.output, nothing.keywords) == (Output(), {"describe": DescribeOptions(), "finish": Finish()})
    assert nothing.continue_on_error is True


def test_values_become_what_the_client_takes() -> None:
    texts = {
        "canvas": "100x50", "shadow": "contact", "rot": "90", "length": "1", "softness": "0.1", "opacity": "0.5",
        "fill": "0.5", "max_scale": "3", "center": "false", "refine": "false", "decontaminate": "false",
        "format": "jpeg", "quality": "80", "background": "#abc", "max_objects": "2", "score_threshold": "0.5",
        "look": "whole", "describe_prompt": "a photo of", "max_new_tokens": "5", "num_beams": "2", "cache": "false",
        "ordered": "true",
    }  # fmt: skip
    wanted = wish(read(texts.items()))
    assert wanted.keywords.pop("finish") == Finish(
        False, False, "contact", 90, Size(100, 50), 0.5, 3, 1, 0.1, 0.5, False
    )
    assert wanted.keywords.pop("describe") == DescribeOptions("whole", "a photo of", 5, 2)
    assert wanted.output == Output("jpeg", 80, "#abc")
    assert wanted.keywords == {"max_objects": 2, "score_threshold": 0.5, "cache": False, "ordered": True}


def test_what_is_given_wins_over_the_preset() -> None:
    preset = FINISH_PRESETS["marketplace"]
    wanted = wish(read([("preset", "marketplace"), ("fill", "0.5"), ("quality", "70")]))
    assert wanted.keywords["finish"] == replace(preset["finish"], fill=0.5)
    assert wanted.output == replace(preset["output"], quality=70)


def test_description_is_a_phrase_and_not_both() -> None:
    assert wish(read([("description", "a cup")])).keywords["phrases"] == ["a cup"]
    with pytest.raises(InvalidInput, match="came with phrases"):
        wish(read([("description", "a cup"), ("phrases", "spoon")]))


OF_SOME_FORMATS = ("quality", "png_level")  # refused beside the others, so the default cannot be said of all


def test_every_default_of_the_table_is_true() -> None:
    """Saying a default aloud asks for what saying nothing does."""
    said = {
        name: one.default for name, one in PARAMETERS.items() if one.default is not None and name not in OF_SOME_FORMATS
    }
    told, silent = wish(read([], said)), wish({})
    assert (told.output, told.continue_on_error) == (silent.output, True)
    assert told.keywords == default_arguments() | silent.keywords
