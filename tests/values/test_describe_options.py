"""How a photo is described: what a caller can choose, as values and as a message."""

from dataclasses import astuple

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.v1 import describe_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.wire.messages import read_describe, write_describe

REFUSED = [
    (DescribeOptions(look="left"), "options.look", "central_object, whole"),
    (DescribeOptions(prompt="x" * 201), "options.prompt", "201 characters; at most 200"),
    (DescribeOptions(max_new_tokens=0), "options.generation.max_new_tokens", "is 0; it must be from 1 to 100"),
    (DescribeOptions(max_new_tokens=101), "options.generation.max_new_tokens", "is 101"),
    (DescribeOptions(num_beams=0), "options.generation.num_beams", "is 0; it must be from 1 to 8"),
    (DescribeOptions(num_beams=9), "options.generation.num_beams", "is 9"),
]


@pytest.mark.parametrize(
    "options", [DescribeOptions(), DescribeOptions("whole", "a photo of", 100, 8), DescribeOptions(num_beams=1)]
)
def test_round_trip(options: DescribeOptions) -> None:
    assert read_describe(write_describe(options)) == options


def test_an_empty_message_is_the_defaults() -> None:
    assert read_describe(describe_pb2.DescribeOptions()) == DescribeOptions()
    assert read_describe(describe_pb2.DescribeOptions(prompt="  a photo of \n")).prompt == "a photo of"


@pytest.mark.parametrize(("options", "field", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_refused(options: DescribeOptions, field: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        options.check()
    assert caught.value.field == field


@pytest.mark.parametrize(("options", "field", "said"), REFUSED[1:], ids=lambda value: str(value)[:40])
def test_what_is_refused_of_a_message(options: DescribeOptions, field: str, said: str) -> None:
    _, prompt, *numbers = astuple(options)
    generation = describe_pb2.Generation(max_new_tokens=numbers[0], num_beams=numbers[1])
    with pytest.raises(InvalidInput, match=said) as caught:
        read_describe(describe_pb2.DescribeOptions(prompt=prompt, generation=generation))
    assert caught.value.field == field


def test_a_look_of_a_newer_contract_is_refused() -> None:
    with pytest.raises(InvalidInput, match="LOOK_CENTRAL_OBJECT, LOOK_WHOLE") as caught:
        read_describe(describe_pb2.DescribeOptions(look=9), "describe")
    assert caught.value.field == "describe.look"
