"""Payloads: tokens for buffers, and room in slots for what is large."""

import numpy as np
import pytest

from tensorhop.errors import InvalidInput, NotShared
from tensorhop.v1.tensor_pb2 import SharedMemory
from tensorhop.wire.payloads import ALIGNMENT, SMALL, TOKEN_BYTES, Payloads
from tensorhop.wire.shared_memory import SMALLEST, Pool
from tensorhop.wire.tensor import to_array, to_tensor

NOBODYS = "tensorhop-" + 32 * "0"


@pytest.fixture
def pool(tmp_path, limit):
    limit(shm_dir=str(tmp_path))
    pool = Pool(tmp_path, 16 * 1024 * 1024)
    yield pool
    pool.close()


@pytest.fixture
def slot(pool):
    slot = pool.take(4 * SMALLEST)
    yield slot
    pool.give_back(slot)


# Tokens.


def test_each_buffer_has_a_token_of_its_own():
    payloads = Payloads()
    buffers = [b"abc", bytearray(b"de"), memoryview(b"xyz")[1:], b"", b"abc"]
    tokens = [payloads.keep(buffer) for buffer in buffers]
    assert len(set(tokens)) == len(tokens)
    assert {len(token) for token in tokens} == {TOKEN_BYTES}
    assert [bytes(payloads.get(token)) for token in tokens] == [bytes(buffer) for buffer in buffers]
    assert payloads.nbytes == 3 + 2 + 2 + 0 + 3


@pytest.mark.parametrize("sizes", [[0], [1, 3], [SMALL], [4, 5], [4, 4], [SMALL, 1, 4], [SMALL + 1, 4, 8], [9000] * 3])
def test_small_buffers_are_inside_and_none_of_them_looks_like_a_token(sizes):
    payloads = Payloads()
    buffers = [bytes([index]) * size for index, size in enumerate(sizes)]
    put = [payloads.put(buffer) for buffer in buffers]
    assert [bytes(payloads.get(one)) for one in put] == buffers
    assert payloads.nbytes == sum(sizes)
    inside = [buffer for one, buffer in zip(put, buffers, strict=True) if len(one) != TOKEN_BYTES]
    assert sum(map(len, inside)) <= SMALL
    assert payloads.empty == (len(inside) == len(buffers))


def test_more_buffers_than_a_byte_counts():
    payloads = Payloads()
    tokens = [payloads.keep(number.to_bytes(3)) for number in range(1000)]
    assert all(payloads.get(token) == number.to_bytes(3) for number, token in enumerate(tokens))


def test_an_unset_field_has_no_bytes():
    assert Payloads().get(b"").nbytes == 0


def test_a_buffer_is_not_copied():
    payloads, buffer = Payloads(), bytearray(SMALL + 1)
    token = payloads.put(buffer)
    buffer[2] = 7
    assert bytes(payloads.get(token)[:4]) == b"\0\0\7\0"


def test_clear_forgets_the_buffers_and_keeps_the_slots(slot):
    payloads = Payloads.into([slot])
    payloads.put(b"abc")
    payloads.clear()
    assert payloads.nbytes == 0
    assert payloads.slots == [slot]
    assert bytes(payloads.get(payloads.put(b"next"))) == b"next"


# Room.


def test_what_is_large_goes_into_the_slot_and_what_is_small_does_not(slot):
    payloads = Payloads.into([slot])
    assert payloads.place(SMALLEST - 1) is None
    part, memory = payloads.place(SMALLEST)
    assert part == slot.part(0, SMALLEST)
    assert memory.nbytes == SMALLEST
    memory[:3] = b"abc"
    assert bytes(slot.memory[:3]) == b"abc"
    assert payloads.nbytes == 0


@pytest.mark.parametrize("over", [0, 1, ALIGNMENT - 1, ALIGNMENT])
def test_places_are_aligned_and_do_not_overlap(slot, over):
    payloads = Payloads.into([slot])
    size = SMALLEST + over
    (first, one), (second, other) = payloads.place(size), payloads.place(size)
    assert first.offset == 0
    assert second.offset % ALIGNMENT == 0
    assert size <= second.offset < size + ALIGNMENT
    assert (first.size, second.size, one.nbytes, other.nbytes) == (size,) * 4
    one[:], other[:] = b"1" * size, b"2" * size
    assert bytes(one) == b"1" * size
    assert bytes(slot.memory[second.offset : second.offset + size]) == b"2" * size


def test_a_slot_can_be_filled_to_its_last_byte_and_no_further(slot):
    payloads = Payloads.into([slot])
    assert payloads.place(slot.size + 1) is None
    part, memory = payloads.place(slot.size - 1)  # its aligned end would lie beyond
    assert (part.offset, part.size, memory.nbytes) == (0, slot.size - 1, slot.size - 1)
    assert payloads.place(SMALLEST) is None


def test_the_next_slot_takes_what_does_not_fit(pool):
    slots = [pool.take(SMALLEST), None, pool.take(4 * SMALLEST)]
    payloads = Payloads.into(slots)
    sizes = (4 * SMALLEST, SMALLEST)
    assert [payloads.place(size)[0].name for size in sizes] == [slots[2].path.name, slots[0].path.name]
    assert payloads.place(SMALLEST) is None
    for slot in payloads.slots:
        pool.give_back(slot)


def test_without_a_slot_all_goes_inside_the_message():
    payloads = Payloads.into([None])
    tensor = to_tensor(np.ones(SMALLEST, np.uint8), payloads)
    assert tensor.WhichOneof("content") == "data"
    assert payloads.nbytes == SMALLEST
    assert payloads.lend(None) == []
    assert payloads.slots == []


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">i4", np.bool_])
def test_arrays_go_through_a_slot_unchanged(pool, dtype):
    slot = pool.take(4 * 1024 * 1024)
    source = np.random.default_rng(0).integers(0, 2, (300, 257)).astype(dtype)
    for array in (source, source.T, source[::-1, ::-1]):
        payloads = Payloads.into([slot])
        tensor = to_tensor(array, payloads)
        back = to_array(tensor, payloads, "t")
        assert tensor.WhichOneof("content") == "shared_memory"
        assert not back.flags.writeable
        np.testing.assert_array_equal(back, array)
    pool.give_back(slot)


def test_a_tensor_whose_slot_is_of_another_size_is_refused(slot):
    payloads = Payloads.into([slot])
    tensor = to_tensor(np.ones(SMALLEST, np.uint8), payloads)
    tensor.shape[0] -= 1
    with pytest.raises(InvalidInput, match=r"^t\.shared_memory has 65,536 bytes; .* takes 65,535"):
        to_array(tensor, payloads, "t")


# Slots that a caller lends.


def test_an_answer_goes_into_the_slot_that_was_lent(slot):
    payloads = Payloads()
    parts = payloads.lend(slot)
    assert payloads.slots == [slot]
    answer = Payloads.lent(parts)
    tensor = to_tensor(np.arange(SMALLEST, dtype=np.uint8), answer)
    assert tensor.shared_memory == slot.part(0, SMALLEST)
    assert bytes(slot.memory[:4]) == b"\0\1\2\3"
    assert answer.slots == [], "they are not its own"
    assert payloads.place(SMALLEST) is None, "the request must not write where the answer will be"


def test_only_the_part_that_was_lent_is_written(slot):
    slot.memory[:] = b"-" * slot.size
    answer = Payloads.lent([slot.part(1000, SMALLEST + 10)])
    part, memory = answer.place(SMALLEST)
    memory[:] = b"x" * SMALLEST
    assert part.offset == 1000
    assert answer.place(SMALLEST) is None
    assert bytes(slot.memory[:1000]) == b"-" * 1000
    assert bytes(slot.memory[1000 + SMALLEST :]) == b"-" * (slot.size - 1000 - SMALLEST)


def test_what_is_not_shared_is_left(slot):
    """The answer then goes inside the message."""
    nobodys = SharedMemory(name=NOBODYS, size=SMALLEST)
    answer = Payloads.lent([nobodys])
    assert to_tensor(np.ones(SMALLEST, np.uint8), answer).WhichOneof("content") == "data"
    assert Payloads.lent([nobodys, slot.part(0, slot.size)]).place(SMALLEST)[0].name == slot.path.name


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "../" + NOBODYS}, "lent[1].name"),
        ({"offset": 1}, "lent[1]"),
        ({"size": 2**64 - 1}, "lent[1]"),
        ({"offset": 2**64 - 1}, "lent[1]"),
    ],
)
def test_a_reference_that_cannot_be_is_refused_by_its_place(slot, change, field):
    good = slot.part(0, slot.size)
    bad = SharedMemory(name=good.name, offset=good.offset, size=good.size)
    for name, value in change.items():
        setattr(bad, name, value)
    with pytest.raises(InvalidInput) as caught:
        Payloads.lent([good, bad])
    assert caught.value.field == field
    assert not isinstance(caught.value, NotShared)
