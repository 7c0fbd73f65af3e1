"""PNG files, as three readers that share no code see them: OpenCV, Pillow, and the one below."""

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from tensorhop.values import png
from tensorhop.values.output_options import PNG_LEVELS
from tensorhop.values.png import encode_png

SHAPES = [(1, 1), (1, 7), (7, 1, 3), (1, 1, 4), (33, 17), (20, 31, 3), (301, 999, 4), (1, 70_001, 4), (70_001, 1)]


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk, by the specification (W3C, third edition), with every checksum checked."""
    assert file[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    at = 8
    while at < len(file):
        (length,) = struct.unpack(">I", file[at : at + 4])
        kind, data, check = (
            file[at + 4 : at + 8],
            file[at + 8 : at + 8 + length],
            file[at + 8 + length : at + 12 + length],
        )
        assert zlib.crc32(kind + data) == int.from_bytes(check, "big")
        yield kind, data
        at += 12 + length


def by_the_specification(file: bytes) -> np.ndarray:
    """The pixels of a file that has the filters None and Up only, as the fastest level writes."""
    found = list(chunks(file))
    (header,) = (data for kind, data in found if kind == b"IHDR")
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    assert (depth, header[10:]) == (8, bytes(3))
    channels = {0: 1, 2: 3, 6: 4}[colour]
    data = zlib.decompress(b"".join(data for kind, data in found if kind == b"IDAT"))
    rows = np.frombuffer(data, np.uint8).reshape(height, 1 + width * channels)
    assert (rows[:, 0] == 2).all()
    pixels = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8)
    return pixels.reshape((height, width) if channels == 1 else (height, width, channels))


def by_pillow(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


def by_opencv(file: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    order = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(pixels, order[pixels.shape[2]]) if pixels.ndim == 3 else pixels


def pictures(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Noise, a slope and one value, in the usual order of memory and in others."""
    noise = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    slope = np.arange(noise.size, dtype=np.uint32).reshape(shape).astype(np.uint8)
    for pixels in (noise, slope, np.full(shape, 255, np.uint8)):
        yield from (pixels, np.asfortranarray(pixels), pixels[::-1], pixels[:, ::-1])


@pytest.mark.parametrize("compressor", ["isal", "zlib"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_reader_gets_the_pixels_back(
    shape: tuple[int, ...], compressor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compressor == "zlib":  # as on a platform without isal
        monkeypatch.setattr(png, "isal_zlib", None)
    for pixels in pictures(shape):
        file = encode_png(pixels)
        for read in (by_the_specification, by_pillow, by_opencv):
            np.testing.assert_array_equal(read(file), pixels)


@pytest.mark.parametrize("level", PNG_LEVELS)
@pytest.mark.parametrize("shape", [(40, 31), (40, 31, 3), (40, 31, 4), (40, 31, 1)], ids=str)
def test_every_level_is_lossless_and_states_srgb(shape: tuple[int, ...], level: int) -> None:
    for pixels in pictures(shape):
        file = encode_png(pixels, level)
        for read in (by_pillow, by_opencv):
            np.testing.assert_array_equal(read(file), pixels.reshape(shape[:2]) if shape[-1] == 1 else pixels)
        kinds = [kind for kind, _ in chunks(file)]
        assert kinds[0] == b"IHDR"
        assert kinds[-1] == b"IEND"
        assert kinds.index(b"sRGB") < kinds.index(b"IDAT")
        assert dict(chunks(file))[b"sRGB"] == bytes(1)


def test_higher_levels_are_smaller() -> None:
    y, x = np.mgrid[:300, :400]
    pixels = np.dstack([x // 2 + y // 3, x * y // 500, (x // 9 + y // 7) * 11]).astype(np.uint8)
    sizes = [len(encode_png(pixels, level)) for level in (1, 6, 9)]
    assert sizes == sorted(sizes, reverse=True)


def test_long_data_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "CHUNK_BYTES", 1000)
    pixels = np.random.default_rng(4).integers(0, 256, (60, 70, 4), np.uint8)
    file = encode_png(pixels)
    assert max(len(data) for _, data in chunks(file)) <= 1000
    for read in (by_the_specification, by_pillow, by_opencv):
        np.testing.assert_array_equal(read(file), pixels)


@pytest.mark.parametrize("pixels", [np.zeros(shape, np.uint8) for shape in ((0, 3), (3, 0, 4), (3, 3, 2), (3,))])
def test_what_is_no_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot be encoded as PNG"):
        encode_png(pixels)
    with pytest.raises(ValueError, match="float32"):
        encode_png(np.zeros((3, 3), np.float32))
