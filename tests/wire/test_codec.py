"""The codec against the generated classes: the same bytes both ways, however they are cut, and no harm from any."""

import contextlib
import math
import os
import random
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from waiting import GUARD

from tensorhop.errors import InvalidInput
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.rpc.status import from_error
from tensorhop.settings import current_settings
from tensorhop.v1 import (
    describe_pb2,
    detect_pb2,
    detect_pb2_grpc,
    echo_pb2,
    echo_pb2_grpc,
    fault_pb2,
    image_pb2,
    pipeline_pb2,
    postprocess_pb2,
    segment_pb2,
    segment_pb2_grpc,
    tensor_pb2,
)
from tensorhop.values.dtypes import DTYPES
from tensorhop.values.geometry import Size
from tensorhop.values.images.png import encode_png
from tensorhop.wire import codec
from tensorhop.wire.codec import MAX_REST, Packet, Stub, decode, encode, handlers, readable
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_boxes, read_mask
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import Pool
from tensorhop.wire.tensor import to_array, to_tensor

MUTATIONS = int(os.environ.get("TENSORHOP_TEST_MUTATIONS", "20000"))  # of valid messages; 100,000 in CI
FILES = (describe_pb2, detect_pb2, echo_pb2, pipeline_pb2, postprocess_pb2, segment_pb2)
METHODS = [
    method for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
]
REQUESTS = [GetMessageClass(method.input_type) for method in METHODS]
KINDS = REQUESTS + [GetMessageClass(method.output_type) for method in METHODS]
ECHO = echo_pb2.DESCRIPTOR.services_by_name["EchoService"]
DETECT = detect_pb2.DESCRIPTOR.services_by_name["DetectService"]
SEGMENT = segment_pb2.DESCRIPTOR.services_by_name["SegmentService"]
PHOTO = Size(40, 30)


WHOLE, CUT = codec.SMALL, -1  # bytes up to which the generated parser takes a message as it is
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)


@pytest.fixture(autouse=True)
def cut_everything(monkeypatch):
    """The messages here are small, and are to be cut all the same, except where a test says otherwise."""
    monkeypatch.setattr(codec, "SMALL", CUT)


def both_ways(kind, data):
    """A message parsed whole, and one cut into payloads."""
    codec.SMALL = WHOLE
    try:
        whole = decode(kind, data)
    finally:
        codec.SMALL = CUT
    return whole, decode(kind, data)


# Packets and plain messages.


def changed(message, change):
    """A copy, each of its `bytes` fields changed, however deep."""

    def walk(inner):
        for field, value in inner.ListFields():
            if field.type == FieldDescriptor.TYPE_BYTES:
                setattr(inner, field.name, change(value))
            elif field.message_type is not None:
                for one in value if field.is_repeated else (value,):
                    walk(one)

    copy = type(message)()
    copy.CopyFrom(message)
    walk(copy)
    return copy


def packed(message):
    """A message of the generated class as a packet."""
    payloads = Payloads()
    return Packet(changed(message, payloads.put), payloads)


def plain(packet):
    """A packet as a message of the generated class."""
    return changed(packet.message, lambda token: bytes(packet.payloads.get(token)))


def same(one, other):
    """Equality that takes NaN for NaN."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def inside(message, name):
    """The messages of a type within a message."""
    if message.DESCRIPTOR.name == name:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                yield from inside(one, name)


# Messages of every type, and encodings of them that the generated classes never make but must take.

SCALARS = {
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=200),
    FieldDescriptor.TYPE_STRING: st.text(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
}


@st.composite
def messages(draw, descriptor):
    """Any message of a type."""
    values = {}
    members = [draw(st.sampled_from([field.name for field in oneof.fields])) for oneof in descriptor.oneofs]
    for field in descriptor.fields:
        only = field.containing_oneof
        if (only is not None and field.name not in members) or not draw(st.booleans()):
            continue
        if field.message_type is not None:
            one = messages(field.message_type)
        elif field.enum_type is not None:
            one = st.sampled_from([value.number for value in field.enum_type.values])
        else:
            one = SCALARS[field.type]
        values[field.name] = draw(st.lists(one, max_size=3) if field.is_repeated else one)
    return GetMessageClass(descriptor)(**values)


def varint(number, pad=0):
    """Base-128 digits; with `pad` more of them than are needed."""
    digits = []
    while number > 0x7F or pad > 0:
        pad -= number <= 0x7F
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def record(number, content, chance=None):
    """A field that has a length; some encoders pad its tag and its length."""
    pads = (chance.choice((0, 0, 0, 1, 2)) if chance else 0 for _ in range(2))
    return varint(number << 3 | 2, next(pads)) + varint(len(content), next(pads)) + content


def unknown(chance, depth=0):
    """A field that no message of ours has."""
    number = chance.choice((99, 1000, 536870911))
    kind = chance.choice((0, 1, 2, 3, 5) if depth < 3 else (0, 1, 2, 5))
    body = {
        0: lambda: varint(chance.getrandbits(64)),
        1: lambda: chance.randbytes(8),
        2: lambda: record(0, chance.randbytes(chance.randrange(20)))[1:],
        3: lambda: b"".join(unknown(chance, depth + 1) for _ in range(chance.randrange(3))) + varint(number << 3 | 4),
        5: lambda: chance.randbytes(4),
    }
    return varint(number << 3 | kind) + body[kind]()


def decoy(field, chance):
    """Another member of a field's oneof, which comes earlier and so does not count."""
    if field.containing_oneof is None or chance.random() < 0.5:
        return b""
    other = chance.choice(field.containing_oneof.fields)
    if other.type == FieldDescriptor.TYPE_MESSAGE:
        if other is field:  # it would be merged
            return b""
        return record(other.number, b"")
    if other.type in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING):
        return record(other.number, b"decoy" * chance.randrange(3))
    return b""


def unusual(message, chance):
    """One of the many encodings of a message: fields in any order, in pieces, with strangers between them."""
    units = []  # each keeps its order; among them there is none
    for field, value in message.ListFields():
        if field.message_type is not None and field.is_repeated:
            units.append([record(field.number, unusual(one, chance), chance) for one in value])
        elif field.message_type is not None:
            units.append([decoy(field, chance), *pieces(field, value, chance)])
        elif field.type == FieldDescriptor.TYPE_BYTES:
            units.append([decoy(field, chance), record(field.number, value, chance)])
        elif field.type == FieldDescriptor.TYPE_INT64 and field.is_repeated:
            units.append(numbers(field, value, chance))
        else:
            alone = type(message)()
            if field.is_repeated:
                getattr(alone, field.name).extend(value)
            else:
                setattr(alone, field.name, value)
            units.append([decoy(field, chance) + alone.SerializeToString()])
    units += [[unknown(chance)] for _ in range(chance.choice((0, 0, 1, 3)))]
    parts = []
    while units := [unit for unit in units if unit]:
        parts.append(chance.choice(units).pop(0))
    return b"".join(parts)


def pieces(field, message, chance):
    """A message in a field, in one occurrence or in two that are to be merged."""
    if chance.random() < 0.5:
        return [record(field.number, unusual(message, chance), chance)]
    halves = [type(message)(), type(message)()]
    for inner, value in message.ListFields():
        half = chance.choice(halves)
        if inner.is_repeated:
            cut = chance.randrange(len(value) + 1)
            for part, some in zip(halves, (value[:cut], value[cut:]), strict=True):
                getattr(part, inner.name).extend(some)
        elif inner.message_type is not None:
            getattr(half, inner.name).CopyFrom(value)
        else:
            setattr(half, inner.name, value)
    return [record(field.number, unusual(half, chance), chance) for half in halves]


def numbers(field, values, chance):
    """Repeated integers: packed, one by one, or some of both."""
    digits = [varint(value & 2**64 - 1) for value in values]
    cut = chance.choice((0, len(values), chance.randrange(len(values) + 1)))
    single = [varint(field.number << 3) + one for one in digits[cut:]]
    return ([record(field.number, b"".join(digits[:cut]), chance)] if cut else []) + single


# What the generated classes make and take.


@each_kind
@examples(max_examples=25, deadline=None)
@given(st.data())
def test_the_generated_class_reads_what_we_write(kind, data):
    message = data.draw(messages(kind.DESCRIPTOR))
    written = encode(packed(message))
    assert type(written) is bytes
    assert same(kind.FromString(written), message)
    assert len(written) == message.ByteSize()


@each_kind
@examples(max_examples=25, deadline=None)
@given(st.data())
def test_we_read_what_the_generated_class_writes(kind, data):
    message = data.draw(messages(kind.DESCRIPTOR))
    for packet in both_ways(kind, message.SerializeToString()):
        assert same(plain(packet), message)
        assert same(plain(decode(kind, encode(packet))), message), "and pass it on"


@each_kind
@examples(max_examples=50, deadline=None)
@given(st.data(), st.randoms(use_true_random=True))
def test_we_read_every_encoding_that_the_generated_class_reads(kind, data, chance):
    """Fields in any order, padded numbers, unknown fields and groups, a message in pieces, a oneof set twice."""
    message = data.draw(messages(kind.DESCRIPTOR))
    sent = unusual(message, chance)
    expected = kind.FromString(sent)
    for packet in both_ways(kind, sent):
        assert same(plain(packet), expected)
        assert same(kind.FromString(encode(packet)), expected), "with its unknown fields"
    expected.DiscardUnknownFields()
    assert same(expected, message)


TENSOR = tensor_pb2.Tensor(dtype="UINT8", shape=[2, 3], data=b"abcdef")


def read(data, kind=tensor_pb2.Tensor):
    return plain(decode(kind, data))


def test_shape_may_be_packed_or_not_or_both():
    rest = record(1, b"UINT8") + record(3, b"abcdef")
    for shape in (
        b"\x10\x02\x10\x03",
        record(2, b"\2\3"),
        record(2, b"\2") + b"\x10\x03",
        b"\x10\x02" + record(2, b"\3"),
    ):
        assert read(shape + rest) == TENSOR
        assert read(rest + shape) == TENSOR


def test_a_tensor_in_pieces_is_put_together():
    data = b"".join(
        record(1, record(1, piece)) for piece in (record(1, b"UINT8"), b"\x10\x02\x10\x03", record(3, b"abcdef"))
    )
    assert read(data, describe_pb2.DescribeRequest).image.tensor == TENSOR


def test_of_a_oneof_the_last_counts():
    shared = tensor_pb2.SharedMemory(name="n", size=6)
    data, other = record(3, b"abcdef"), record(4, shared.SerializeToString())
    assert read(record(3, b"earlier, and longer") + data).data == b"abcdef"
    assert read(other + data).WhichOneof("content") == "data"
    assert read(data + other).shared_memory == shared
    image = record(1, record(1, TENSOR.SerializeToString()) + record(2, b"a file"))
    assert read(image, describe_pb2.DescribeRequest).image.encoded == b"a file"


def test_an_empty_payload_is_not_a_missing_one():
    for written in (record(3, b""), encode(packed(tensor_pb2.Tensor(data=b"")))):
        packet = decode(tensor_pb2.Tensor, written)
        assert packet.message.WhichOneof("content") == "data"
        assert packet.payloads.get(packet.message.data).nbytes == 0
    assert decode(tensor_pb2.Tensor, b"").message.WhichOneof("content") is None
    assert tensor_pb2.Tensor.FromString(encode(packed(tensor_pb2.Tensor(data=b"")))).HasField("data")


def test_a_payload_of_another_wire_type_is_an_unknown_field():
    data = TENSOR.SerializeToString() + b"\x18\x05" + b"\x1d1234" + b"\x19" + b"12345678" + b"\x1b\x1c"
    assert tensor_pb2.Tensor.FromString(data).data == b"abcdef"
    assert read(data).data == b"abcdef"


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_at_which_a_varint_grows(length):
    message = describe_pb2.DescribeRequest(image={"tensor": {"dtype": "UINT8", "data": os.urandom(length)}})
    assert encode(packed(message)) == message.SerializeToString()
    assert plain(decode(describe_pb2.DescribeRequest, message.SerializeToString())) == message


@pytest.mark.parametrize(
    "tail", [b"\x1a\x04\0\0\0\0", b"\x12\x04\0\0\0\0", b"x\x1a\x04\0\0\0\0", b"\x1a\x04\1\0\0\0", b"\0\0\0\0"]
)
def test_bytes_that_look_like_a_token_are_not_taken_for_one(tail):
    """A token is cut off the end of a message where it stands there; this one does not."""
    data = TENSOR.SerializeToString() + record(99, tail)
    assert encode(decode(tensor_pb2.Tensor, data)).count(tail) >= 1
    assert same(
        tensor_pb2.Tensor.FromString(encode(decode(tensor_pb2.Tensor, data))), tensor_pb2.Tensor.FromString(data)
    )
    named = tensor_pb2.Tensor(dtype=tail.decode(), data=b"abcdef")
    assert tensor_pb2.Tensor.FromString(encode(packed(named))) == named
    picture = pipeline_pb2.Picture.FromString(record(2, b"a file") + record(3, record(99, tail)))
    assert same(pipeline_pb2.Picture.FromString(encode(packed(picture))), picture)


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_size_up_to_which_a_message_is_parsed_whole(over, monkeypatch):
    monkeypatch.setattr(codec, "SMALL", WHOLE)
    message = tensor_pb2.Tensor(dtype="UINT8", shape=[WHOLE - 20], data=bytes(range(256)) * (WHOLE // 256))
    message.data = message.data[: WHOLE - 20]
    message.dtype += "x" * (WHOLE + over - message.ByteSize())
    data = message.SerializeToString()
    assert len(data) == WHOLE + over
    packet = decode(tensor_pb2.Tensor, data)
    assert plain(packet) == message
    assert (packet.payloads.get(packet.message.data).obj is data) == (over > 0)
    assert tensor_pb2.Tensor.FromString(encode(packet)) == message


def test_a_small_message_is_left_to_the_generated_parser(monkeypatch):
    monkeypatch.setattr(codec, "SMALL", WHOLE)
    message = echo_pb2.EchoRequest(tensor={"dtype": "UINT8", "shape": [2, 3], "data": b"abcdef"})
    request, payloads = decode(echo_pb2.EchoRequest, message.SerializeToString())
    assert request == message
    assert to_array(request.tensor, payloads, "t").tobytes() == b"abcdef"
    for broken in (b"\x0a", b"\xff" * 9, message.SerializeToString()[:-1]):
        with pytest.raises(InvalidInput, match=r"is no tensorhop\.v1\.EchoRequest"):
            decode(echo_pb2.EchoRequest, broken)


# What it costs.


def test_payloads_are_read_only_views_of_what_came():
    mask = image_pb2.Mask(alpha=TENSOR)
    request = pipeline_pb2.ProcessRequest(image={"encoded": b"a file"}, masks=[mask, mask])
    data = request.SerializeToString()
    message, payloads = decode(pipeline_pb2.ProcessRequest, data)
    tokens = [message.image.encoded, *(mask.alpha.data for mask in message.masks)]
    for token in tokens:
        view = payloads.get(token)
        assert view.obj is data
        assert view.readonly
    array = to_array(message.masks[1].alpha, payloads, "t")
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 0


def test_one_copy_out_and_none_in():
    size = 16 * 1024 * 1024
    payloads = Payloads()
    packet = Packet(echo_pb2.EchoRequest(tensor=to_tensor(np.ones(size, np.uint8), payloads)), payloads)
    try:
        tracemalloc.start()
        data = encode(packet)
        _, out = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        message, payloads = decode(echo_pb2.EchoRequest, data)
        array = to_array(message.tensor, payloads, "t")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert array.nbytes == size
    assert size < out < 1.01 * size
    assert peak < 1.01 * size, "the message itself"


# What is hostile.


def refused(kind, data, seconds=10.0):
    """What a refusal says; it comes soon."""
    started = time.monotonic()
    with pytest.raises(InvalidInput) as caught:
        decode(kind, data)
    assert time.monotonic() - started < seconds
    assert caught.value.field == "request"
    return str(caught.value)


PLAIN_EXAMPLES = {FieldDescriptor.TYPE_STRING: "a name", FieldDescriptor.TYPE_BYTES: b"a payload"}


def example(descriptor, chance, slot):
    """A valid message with all its fields."""
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    alpha = chance.choice(
        (np.arange(20, dtype=np.uint8).reshape(4, 5), np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5))
    )
    made = {
        "Tensor": lambda: plain_tensor(pixels),
        "SharedMemory": lambda: slot,
        "Box": lambda: image_pb2.Box(x0=1, y0=2, x1=30, y1=20.5),
        "Region": lambda: image_pb2.Region(x0=3, y0=4, x1=8, y1=8),
        "Mask": lambda: image_pb2.Mask(alpha=plain_tensor(alpha), region=image_pb2.Region(x0=3, y0=4, x1=8, y1=8)),
        "Image": lambda: chance.choice(
            (
                image_pb2.Image(tensor=plain_tensor(pixels)),
                image_pb2.Image(tensor={"dtype": "UINT8", "shape": [4, 5, 3], "shared_memory": slot}),
                image_pb2.Image(encoded=encode_png(pixels)),
            )
        ),
    }
    if descriptor.name in made:
        return made[descriptor.name]()
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.message_type is not None:
            count = 2 if field.is_repeated else 1
            for _ in range(count):
                one = getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name)
                one.CopyFrom(example(field.message_type, chance, slot))
        elif field.is_repeated:
            getattr(message, field.name).extend(["a cat", "собака"])
        else:
            setattr(message, field.name, PLAIN_EXAMPLES.get(field.type, 1))
    return message


def plain_tensor(array):
    payloads = Payloads()
    return plain(Packet(to_tensor(array, payloads), payloads))


@pytest.fixture
def slot(tmp_path, limit):
    """A reference to an image in a slot that this process may open, so that the readers get as far as they can."""
    limit(shm_dir=str(tmp_path))
    pool = Pool(tmp_path, 2**20)
    one = pool.take(100_000)
    assert one is not None
    one.memory[:] = bytes(range(256)) * (one.size // 256)
    yield one.part(64, 60)
    pool.give_back(one)
    pool.close()


@each_kind
def test_truncated_at_every_byte(kind, slot):
    data = example(kind.DESCRIPTOR, random.Random(0), slot).SerializeToString()
    agreed = 0
    for end in range(len(data)):
        try:
            expected = kind.FromString(data[:end])
        except DecodeError:
            refused(kind, data[:end])
            agreed += 1
        else:  # it ends where a field does
            for packet in both_ways(kind, data[:end]):
                assert same(plain(packet), expected)
    assert agreed > len(data) / 4


@pytest.mark.parametrize("size", [6, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**32 + 5, 2**63, 2**64 - 1])
@pytest.mark.parametrize("path", [(3,), (1, 1, 3), (1, 2), (1,), (99,)])
def test_a_length_beyond_the_buffer(path, size):
    kind = tensor_pb2.Tensor if path == (3,) else describe_pb2.DescribeRequest
    data = varint(path[-1] << 3 | 2) + varint(size) + b"five!"
    for number in path[-2::-1]:
        data = record(number, data)
    refused(kind, data)


def test_a_length_beyond_the_message_that_it_is_in():
    """The buffer goes on, with what would fit."""
    inner = varint(3 << 3 | 2) + varint(100) + b"short"
    refused(describe_pb2.DescribeRequest, record(1, record(1, inner)) + record(99, bytes(200)))


@pytest.mark.parametrize("lead", [b"", b"\x10", b"\x1a", b"\x0a", b"\x12"])
@pytest.mark.parametrize("digits", [b"\xff" * 10, b"\x80" * 10, b"\xff" * 5000, b"\x80" * 10_000_000])
def test_a_number_without_end(lead, digits):
    refused(tensor_pb2.Tensor, lead + digits + b"\1")
    refused(tensor_pb2.Tensor, lead + digits)


@pytest.mark.parametrize("tag", [0x1A + (high << 32) for high in (1, 7, 2**20, 2**29)])
def test_a_tag_of_more_than_32_bits_is_no_field_of_ours(tag):
    """A parser that dropped the high bits would take the sender's bytes for a token of ours."""
    data = varint(tag) + varint(4) + b"\0\0\0\0"
    with contextlib.suppress(InvalidInput):
        assert not decode(tensor_pb2.Tensor, data).message.data
    both = record(3, b"mine") + data
    with contextlib.suppress(InvalidInput):
        assert read(both).data == b"mine"


@pytest.mark.parametrize("data", [b"\0", b"\0\0", b"\2\0", b"\6", b"\7", b"\x1e", b"\x1f", b"\x1c", b"\4", b"\3\4"])
def test_tags_that_cannot_be(data):
    """Field number 0, wire types 6 and 7, the end of a group that never began."""
    refused(tensor_pb2.Tensor, data)
    refused(describe_pb2.DescribeRequest, record(1, record(1, data)))


@pytest.mark.parametrize("groups", [b"\x9b\x06", b"\x9b\x06\x08\x01", b"\x9b\x06\xa4\x06", b"\x9b\x06\xa3\x06\x9c\x06"])
def test_groups_that_do_not_close(groups):
    refused(tensor_pb2.Tensor, groups)


def test_groups_nest_but_not_without_end():
    def nested(depth):
        return b"\x9b\x06" * depth + b"\x9c\x06" * depth

    assert read(nested(30) + TENSOR.SerializeToString()).data == b"abcdef"
    for depth in (200, 5000, 100_000):
        refused(tensor_pb2.Tensor, nested(depth))
        refused(describe_pb2.DescribeRequest, record(1, record(1, nested(depth))))
        refused(tensor_pb2.Tensor, b"\x9b\x06" * depth)


def test_text_that_is_no_unicode():
    assert "request is no tensorhop.v1.Tensor" in refused(tensor_pb2.Tensor, record(1, b"\xff\xfe"))


MANY = 4_000_000


@pytest.mark.parametrize(
    "data",
    [
        record(99, bytes(MAX_REST)),
        record(1, b"x" * MAX_REST),
        record(2, bytes(MAX_REST)),
        b"\x10\x01" * MANY,
        b"\x9d\x06\0\0\0\0" * MANY,
        record(99, b"") * MANY,
        record(3, b"") * MANY,
        record(3, b"abcd") * MANY,
        record(4, b"") * MANY,
        b"\x9b\x06\x9c\x06" * MANY,
        b"\x9b\x06" + b"\x10\x01" * MANY + b"\x9c\x06",
        b"\x9b\x06" * 20 + b"\x10\x01" * MANY + b"\x9c\x06" * 20,
    ],
    ids=[
        "unknown",
        "text",
        "packed",
        "varints",
        "fixed",
        "empty unknown",
        "empty payloads",
        "payloads",
        "messages",
        "groups",
        "in a group",
        "in groups",
    ],
)
def test_more_than_a_little_beside_the_payloads_is_refused_soon(data):
    assert f"more than {MAX_REST:,} bytes" in refused(tensor_pb2.Tensor, data)
    assert f"more than {MAX_REST:,} bytes" in refused(echo_pb2.EchoRequest, record(1, data))


def test_as_much_as_is_allowed_beside_the_payloads_passes():
    payload = bytes(4 * MAX_REST)
    data = record(3, payload) + record(99, bytes(MAX_REST - 64))
    assert read(data).data == payload


def test_the_limits_of_the_contract_fit_beside_the_payloads():
    """The longest phrases, the most boxes and masks that a request may have."""
    most = current_settings()
    phrases = ["\U0001f408" * most.max_phrase_characters] * most.max_phrases
    box = image_pb2.Box(x0=1.1, y0=1.1, x1=1e4, y1=1e4)
    alpha = tensor_pb2.Tensor(dtype="UINT8", shape=[1000, 1000], data=b"1234")
    mask = image_pb2.Mask(alpha=alpha, region={"x0": 20_000, "y0": 20_000, "x1": 30_000, "y1": 30_000})
    for more in ({"boxes": [box] * most.max_boxes}, {"masks": [mask] * most.max_boxes}):
        request = pipeline_pb2.ProcessRequest(phrases=phrases, image={"encoded": b"?"}, **more)
        assert read(request.SerializeToString(), pipeline_pb2.ProcessRequest) == request


# Mutations: the bytes of valid messages, disturbed at random.


def mutated(data, chance):
    """A few random changes of the kinds that parsers stumble over."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.randrange(12))
        match chance.randrange(12):
            case 0:
                data[at : at + 1] = bytes([chance.getrandbits(8)])
            case 1 | 8 | 9 | 10 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 4:
                data[at:at] = data[at:end]
            case 5:
                to = chance.randrange(len(data) + 1)
                data[to:to] = data[at:end]
            case 6:
                data[at:end] = varint(chance.choice((0, 2**31, 2**32, 2**63, 2**64 - 1, chance.getrandbits(40))))
            case 7 if chance.random() < 0.3:
                del data[at:]
            case _:
                at = chance.choice((0, at, len(data)))
                data[at:at] = unknown(chance)
    return bytes(data)


def handle(kind, data):
    """What a handler reads of a request, without the model. Returns the message and how many arrays it gave."""
    packet = decode(kind, data)
    message, payloads = packet
    whole, arrays = plain(packet), 0
    for tensor in inside(message, "Tensor"):
        with contextlib.suppress(InvalidInput):
            array = to_array(tensor, payloads, "t")
            arrays += 1
            assert array.shape == tuple(tensor.shape)
            assert array.nbytes == math.prod(tensor.shape) * DTYPES[tensor.dtype].itemsize
            if tensor.WhichOneof("content") == "data":
                assert array.tobytes() == bytes(payloads.get(tensor.data))
    for image in inside(message, "Image"):
        with contextlib.suppress(InvalidInput):
            pixels = read_image(image, payloads)
            assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
            arrays += 1
    for mask in inside(message, "Mask"):
        with contextlib.suppress(InvalidInput):
            alpha = read_mask(mask, payloads, PHOTO).alpha
            assert alpha.dtype in (np.uint8, np.float32)
            assert 0 <= alpha.min(initial=0) <= alpha.max(initial=0) <= (255 if alpha.dtype == np.uint8 else 1)
            arrays += 1
    with contextlib.suppress(InvalidInput):
        for box in read_boxes(list(inside(message, "Box")), PHOTO):
            assert 0 <= box.x0 < box.x1 <= PHOTO.width
            assert 0 <= box.y0 < box.y1 <= PHOTO.height
    return whole, arrays


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_mutations_are_refused_or_read_as_the_generated_class_reads_them(kind, slot):
    """Set TENSORHOP_TEST_MUTATIONS for more of them."""
    chance = random.Random(kind.DESCRIPTOR.name)
    valid = [example(kind.DESCRIPTOR, chance, slot).SerializeToString() for _ in range(20)]
    read, refusals, arrays = 0, 0, 0
    for _ in range(MUTATIONS // len(REQUESTS)):
        data = mutated(chance.choice(valid), chance)
        try:
            expected = kind.FromString(data)
        except DecodeError:
            expected = None
        codec.SMALL = chance.choice((WHOLE, CUT, CUT))  # the fixture puts it back
        try:
            message, some = handle(kind, data)
        except InvalidInput:
            refusals += 1
            continue
        read, arrays = read + 1, arrays + some
        if expected is not None:
            assert same(message, expected), data
    assert min(read, refusals, arrays) > MUTATIONS / len(REQUESTS) / 20, "each happens often"


# Over a socket.


class Echo:
    """Answers the tensor that came, through the packets."""

    def Echo(self, packet, context):
        array = to_array(packet.message.tensor, packet.payloads, "tensor")
        payloads = Payloads()
        return Packet(echo_pb2.EchoResponse(tensor=to_tensor(array, payloads)), payloads)


class Detect:
    """Answers the phrases, and the size of the image as scores."""

    def Detect(self, packet, context):
        image = read_image(packet.message.image, packet.payloads)
        found = [detect_pb2.Detection(label=phrase, score=image.sum()) for phrase in packet.message.phrases]
        return Packet(detect_pb2.DetectResponse(detections=found), Payloads())


class Segment:
    """Answers each box with the image's red channel, plus the box's index."""

    def Segment(self, packet, context):
        image = read_image(packet.message.image, packet.payloads)
        payloads = Payloads()
        for index in range(len(packet.message.boxes)):
            alpha = to_tensor(image[..., 0] + np.uint8(index), payloads)
            yield Packet(segment_pb2.SegmentResponse(index=index, mask={"alpha": alpha}), payloads)
            payloads.clear()


@contextlib.contextmanager
def serving(descriptor, servicer):
    """A stock channel to our server."""
    server = Server(Service("test", descriptor, lambda: servicer), servicer, "127.0.0.1:0")
    try:
        with grpc.insecure_channel(server.address) as channel:
            yield channel
    finally:
        server.stop(0).wait(GUARD)


@contextlib.contextmanager
def stock_server(add):
    """A stock channel to a stock server, to which `add` adds its handlers."""
    server = grpc.server(ThreadPoolExecutor(2))
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(0).wait(GUARD)


JUNK = [b"\xff" * 20, b"\x0a\x05abc", b"\x0a\x02\x0a\x09", b"\x98\x06\1" * 100_000, b"\7", b"\x0a\x03\x0a\x01\xff"]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_bytes_that_are_no_message_are_an_invalid_argument(kind, junk):
    descriptor, servicer = (ECHO, Echo()) if kind == "unary" else (SEGMENT, Segment())
    method = descriptor.methods[0]
    with serving(descriptor, servicer) as channel:
        call = (channel.unary_stream if method.server_streaming else channel.unary_unary)(
            f"/{descriptor.full_name}/{method.name}"
        )
        for _ in range(2):  # the server lives on
            with pytest.raises(grpc.RpcError) as caught:
                list(call(junk, timeout=GUARD))
            fault = from_error(caught.value).fault
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, "request")
            assert method.input_type.full_name in fault.message


@pytest.mark.parametrize("descriptor", [ECHO, SEGMENT], ids=["unary", "stream"])
def test_an_answer_that_is_no_message_is_refused_by_name(descriptor):
    """An exception in a client's deserializer would be lost."""
    method = descriptor.methods[0]

    def add(server):
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        answer = (lambda *_: iter([b"\xff"])) if method.server_streaming else (lambda *_: b"\xff")
        table = {method.name: make(answer)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(descriptor.full_name, table),))

    with stock_server(add) as channel:
        call = getattr(Stub(channel, descriptor), method.name)
        (answer,) = call(Packet(GetMessageClass(method.input_type)(), Payloads()), timeout=GUARD)
        with pytest.raises(InvalidInput, match=method.output_type.full_name):
            readable(answer)


GRID = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def test_a_stock_stub_calls_our_servicer():
    image = image_pb2.Image(tensor=plain_tensor(GRID))
    with serving(ECHO, Echo()) as channel:
        answer = echo_pb2_grpc.EchoServiceStub(channel).Echo(
            echo_pb2.EchoRequest(tensor=plain_tensor(GRID)), timeout=GUARD
        )
        assert answer.tensor == plain_tensor(GRID)
    with serving(DETECT, Detect()) as channel:
        request = detect_pb2.DetectRequest(image=image, phrases=["a", "b"])
        answer = detect_pb2_grpc.DetectServiceStub(channel).Detect(request, timeout=GUARD)
        assert [(one.label, one.score) for one in answer.detections] == [("a", GRID.sum()), ("b", GRID.sum())]
    with serving(SEGMENT, Segment()) as channel:
        wanted = segment_pb2.SegmentRequest(image=image, boxes=[image_pb2.Box()] * 3)
        answers = list(segment_pb2_grpc.SegmentServiceStub(channel).Segment(wanted, timeout=GUARD))
        assert [one.index for one in answers] == [0, 1, 2]
        assert [one.mask.alpha for one in answers] == [plain_tensor(GRID[..., 0] + np.uint8(i)) for i in range(3)]


def test_a_stock_stub_and_our_handlers_on_a_stock_server():
    """Without our server and its interceptor."""

    def add(server):
        server.add_generic_rpc_handlers((handlers(ECHO, Echo()),))

    with stock_server(add) as channel:
        request = echo_pb2.EchoRequest(tensor=plain_tensor(GRID))
        assert echo_pb2_grpc.EchoServiceStub(channel).Echo(request, timeout=GUARD).tensor == request.tensor


class StockEcho(echo_pb2_grpc.EchoServiceServicer):
    def Echo(self, request, context):
        return echo_pb2.EchoResponse(tensor=request.tensor)


class StockDetect(detect_pb2_grpc.DetectServiceServicer):
    def Detect(self, request, context):
        score = len(request.image.tensor.data)
        found = [detect_pb2.Detection(label=phrase, score=score) for phrase in request.phrases]
        return detect_pb2.DetectResponse(detections=found)


class StockSegment(segment_pb2_grpc.SegmentServiceServicer):
    def Segment(self, request, context):
        for index, _ in enumerate(request.boxes):
            yield segment_pb2.SegmentResponse(index=index, mask={"alpha": request.image.tensor})


def test_our_stub_calls_a_stock_servicer():
    payloads = Payloads()
    tensor = to_tensor(GRID, payloads)
    with stock_server(lambda server: echo_pb2_grpc.add_EchoServiceServicer_to_server(StockEcho(), server)) as channel:
        sent = Packet(echo_pb2.EchoRequest(tensor=tensor), payloads)
        message, received = readable(*Stub(channel, ECHO).Echo(sent, timeout=GUARD))
        np.testing.assert_array_equal(to_array(message.tensor, received, "t"), GRID)
    with stock_server(
        lambda server: detect_pb2_grpc.add_DetectServiceServicer_to_server(StockDetect(), server)
    ) as channel:
        sent = Packet(detect_pb2.DetectRequest(image={"tensor": tensor}, phrases=["a"]), payloads)
        message, _ = readable(*Stub(channel, DETECT).Detect(sent, timeout=GUARD))
        assert [(one.label, one.score) for one in message.detections] == [("a", 60)]
    with stock_server(
        lambda server: segment_pb2_grpc.add_SegmentServiceServicer_to_server(StockSegment(), server)
    ) as channel:
        sent = Packet(segment_pb2.SegmentRequest(image={"tensor": tensor}, boxes=[image_pb2.Box()] * 2), payloads)
        answers = [readable(one) for one in Stub(channel, SEGMENT).Segment(sent, timeout=GUARD)]
        assert [message.index for message, _ in answers] == [0, 1]
        for message, received in answers:
            np.testing.assert_array_equal(to_array(message.mask.alpha, received, "t"), GRID)


def test_our_stub_calls_our_servicer():
    payloads = Payloads()
    sent = Packet(echo_pb2.EchoRequest(tensor=to_tensor(GRID, payloads)), payloads)
    with serving(ECHO, Echo()) as channel:
        message, received = readable(*Stub(channel, ECHO).Echo(sent, timeout=GUARD))
        np.testing.assert_array_equal(to_array(message.tensor, received, "t"), GRID)


def test_a_stub_has_the_methods_of_its_service_only():
    with grpc.insecure_channel("unix:nobody-listens.sock") as channel, pytest.raises(AttributeError, match="Ecko"):
        _ = Stub(channel, ECHO).Ecko
