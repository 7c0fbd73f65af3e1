"""Exceptions become faults by one table."""

import pytest

from tensorhop.errors import CODES, RETRYABLE, InvalidInput, ServiceFault, fault_of
from tensorhop.v1 import fault_pb2 as pb


class SlowModel(TimeoutError):
    """A class that the table does not name: its base decides."""


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (InvalidInput("boxes[0]", "is wrong"), "INVALID_ARGUMENT", False),
        (TimeoutError("late"), "DEADLINE_EXCEEDED", False),
        (SlowModel("late"), "DEADLINE_EXCEEDED", False),
        (ConnectionRefusedError("nobody there"), "UNAVAILABLE", True),
        (MemoryError(), "RESOURCE_EXHAUSTED", True),
        (NotImplementedError(), "UNIMPLEMENTED", False),
        (ValueError("a bug, not the caller's fault"), "INTERNAL", False),
        (OSError("disk"), "INTERNAL", False),
        (KeyError("x"), "INTERNAL", False),
    ],
)
def test_table(error, code, retryable):
    fault = fault_of(error, "detect")
    assert pb.Code.Name(fault.code) == f"CODE_{code}"
    assert fault.retryable is retryable
    assert fault.step == pb.STEP_DETECT
    assert fault.message


def test_every_exception_is_in_the_table():
    assert CODES[-1][0] is Exception
    kinds = [kind for kind, _ in CODES]
    assert not [(a, b) for i, a in enumerate(kinds) for b in kinds[i + 1 :] if issubclass(b, a)], "never reached"


def test_retryable_are_the_codes_where_the_same_call_may_work_later():
    assert {pb.CODE_UNAVAILABLE, pb.CODE_RESOURCE_EXHAUSTED, pb.CODE_ABORTED} == RETRYABLE


def test_invalid_input_makes_a_sentence_and_names_the_field():
    fault = fault_of(InvalidInput("boxes[2].x1", "is nan; it must be finite"))
    assert fault.field == "boxes[2].x1"
    assert fault.message == "boxes[2].x1 is nan; it must be finite"
    assert fault.step == pb.STEP_UNSPECIFIED


def test_an_exception_without_words_is_named():
    assert fault_of(MemoryError()).message == "MemoryError"
    assert fault_of(ValueError("")).message == "ValueError"


def test_only_invalid_input_names_a_field():
    assert fault_of(ValueError("x")).field == ""


def test_a_service_fault_passes_on_as_it_is():
    fault = pb.Fault(step=pb.STEP_SEGMENT, code=pb.CODE_ABORTED, field="f", message="m", retryable=False)
    assert fault_of(ServiceFault(fault), "postprocess") == fault
    assert str(ServiceFault(fault)) == "m"


@pytest.mark.parametrize("text", ["caf\udce9.jpg", "ключ 钥匙", "a\nb\0"])
def test_any_text_makes_a_fault(text):
    assert fault_of(ValueError(text)).SerializeToString()
