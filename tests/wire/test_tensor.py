"""Tensors: every dtype and layout there and back, and every lie about their size."""

import ml_dtypes
import numpy as np
import pytest

from tensorhop.errors import InvalidInput
from tensorhop.v1.tensor_pb2 import Tensor
from tensorhop.values.dtypes import DTYPES
from tensorhop.wire.codec import Packet, decode, encode
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import MAX_DIMENSIONS, to_array, to_tensor


def there_and_back(array, field="t"):
    """The array as the other end reads it, and the message as the generated class reads it."""
    payloads = Payloads()
    data = encode(Packet(to_tensor(array, payloads), payloads))
    return to_array(*decode(Tensor, data), field), Tensor.FromString(data)


def read(tensor, field):
    """What the other end reads of a message made by the generated class."""
    return to_array(*decode(Tensor, tensor.SerializeToString()), field)


# The least and the greatest value, and for floats what is easily lost.
VALUES = {
    "BOOL": [False, True],
    "FP16": [-65504, 6e-8, np.inf, np.nan],
    "BF16": [-3.3895e38, 1e-38, np.inf, np.nan],
    "FP32": [-3.4e38, 1e-45, np.inf, np.nan],
    "FP64": [-1.7e308, 5e-324, np.inf, np.nan],
}


def test_dtypes_are_the_protocols():
    sizes = {"BOOL": 1, "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8}
    sizes |= {f"{kind}INT{bits}": bits // 8 for kind in ("", "U") for bits in (8, 16, 32, 64)}
    assert {name: dtype.itemsize for name, dtype in DTYPES.items()} == sizes
    assert DTYPES["UINT8"] == np.uint8
    assert DTYPES["INT64"] == np.int64


@pytest.mark.parametrize("name", DTYPES)
def test_round_trip(name):
    dtype = DTYPES[name]
    values = VALUES.get(name) or [np.iinfo(dtype).min, np.iinfo(dtype).max]
    array = np.array([values, values[::-1]], dtype)
    back, tensor = there_and_back(array)
    assert tensor.dtype == name
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_bytes_are_row_major_and_little_endian():
    _, tensor = there_and_back(np.array([[1, 2], [3, 4]], np.uint16))
    assert list(tensor.shape) == [2, 2]
    assert tensor.data == b"\1\0\2\0\3\0\4\0"


def test_bf16_is_ml_dtypes_bfloat16():
    back, tensor = there_and_back(np.array([1, -2], ml_dtypes.bfloat16))
    assert tensor.dtype == "BF16"
    assert tensor.data == b"\x80\x3f\x00\xc0"
    assert back.astype(np.float32).tolist() == [1.0, -2.0]


GRID = np.arange(24, dtype=np.int32).reshape(4, 6)


@pytest.mark.parametrize(
    "array",
    [GRID.T, GRID[::2, 1::3], GRID[::-1, ::-1], np.asfortranarray(GRID), np.broadcast_to(GRID[0], (3, 6))],
    ids=["transposed", "strided", "reversed", "fortran", "broadcast"],
)
def test_layout_does_not_matter(array):
    back, tensor = there_and_back(array)
    np.testing.assert_array_equal(back, array)
    assert tensor.data == array.tobytes()


@pytest.mark.parametrize("dtype", [">u2", ">i8", ">f4", ">f2", ">f8"])
def test_big_endian_keeps_its_values(dtype):
    array = np.array([[1, 2, 300]], dtype)
    back, _ = there_and_back(array)
    assert back.dtype.newbyteorder(">") == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5, 0, 2), (1,) * MAX_DIMENSIONS])
def test_scalars_empty_and_deep_arrays(shape):
    array = np.full(shape, 7, np.float32)
    back, _ = there_and_back(array)
    assert back.shape == shape
    np.testing.assert_array_equal(back, array)


def test_the_view_is_read_only():
    """Also that of the array itself, where a message never left the process."""
    payloads = Payloads()
    back, _ = there_and_back(GRID)
    assert not back.flags.writeable
    assert not to_array(to_tensor(GRID, payloads), payloads, "t").flags.writeable
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        back.flags.writeable = True


def test_an_array_that_lies_as_it_travels_is_not_copied():
    payloads, large = Payloads(), np.zeros((100, 100, 3), np.uint8)
    assert np.shares_memory(to_array(to_tensor(large, payloads), payloads, "t"), large)


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([1j]), np.array([0], "M8[s]")])
def test_a_dtype_without_a_name_is_a_type_error(array):
    with pytest.raises(TypeError, match="cannot hold"):
        to_tensor(array, Payloads())


@pytest.mark.parametrize(
    ("dtype", "shape", "size", "field", "said"),
    [
        ("UINT8", [2, 3], 5, "data", "5 bytes"),
        ("UINT8", [2, 3], 7, "data", "takes 6"),
        ("FP32", [2, 3], 6, "data", "takes 24"),
        ("UINT8", [], 0, "data", "takes 1"),
        ("UINT8", [0], 1, "data", "takes 0"),
        ("UINT8", [2**32, 2**32], 0, "data", "takes 18,446,744,073,709,551,616"),  # 0 modulo 2^64
        ("UINT8", [2**62, 4, 1], 0, "data", "0 bytes"),
        ("FP64", [2**61], 0, "data", "0 bytes"),
        ("UINT8", [-1], 1, "shape", "[-1]"),
        ("UINT8", [-2, -3], 6, "shape", "[-2, -3]"),
        ("UINT8", [1] * (MAX_DIMENSIONS + 1), 1, "shape", "33 dimensions"),
        ("", [1], 1, "dtype", "''"),
        ("uint8", [1], 1, "dtype", "'uint8'"),
        ("object", [1], 8, "dtype", "known are BOOL, UINT8"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(dtype, shape, size, field, said):
    with pytest.raises(InvalidInput) as caught:
        read(Tensor(dtype=dtype, shape=shape, data=bytes(size)), "image.tensor")
    assert caught.value.field == f"image.tensor.{field}"
    assert said in str(caught.value)


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [2**63 - 1, 2**63 - 1, 0]])
def test_an_empty_array_with_huge_sides_is_refused(shape):
    with pytest.raises(InvalidInput) as caught:
        read(Tensor(dtype="FP32", shape=shape), "image.tensor")
    assert caught.value.field == "image.tensor.shape"


def test_a_tensor_without_content_has_no_bytes():
    with pytest.raises(InvalidInput, match=r"t\.data has 0 bytes"):
        read(Tensor(dtype="UINT8", shape=[1]), "t")
