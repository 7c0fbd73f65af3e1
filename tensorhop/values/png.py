"""PNG files, in sRGB and tagged as sRGB: written fast, or small."""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from tensorhop.values.geometry import Size
from tensorhop.values.output_options import PNG_LEVEL

try:
    from isal import isal_zlib
except ImportError:  # no wheel of isal for this platform; pyproject.toml lists those that have one
    isal_zlib = None  # type: ignore[assignment]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # by channels: grey, RGB, RGBA
PERCEPTUAL = b"\0"  # content of the sRGB chunk: the rendering intent for photos
UP = 2  # the filter type "Up": a byte of a row less the byte above it, modulo 256
STRIP_BYTES = 256 * 1024  # filtered and compressed at a time: stays in a core's cache; less costs compression
CHUNK_BYTES = 2**30  # the longest IDAT chunk that is written; the format allows 2**31 - 1


def encode_png(pixels: np.ndarray, level: int = PNG_LEVEL) -> bytes:
    """A PNG file of pixels.

    Args:
        pixels: uint8, height x width (grey), height x width x 3 (RGB) or height x width x 4 (RGBA); not empty.
        level: 1 is the fastest: the filter Up, compressed by ISA-L, or by zlib where isal is not installed. 2 to 9 are
            zlib's levels, with the filter that suits each row best: slower and smaller.

    Raises:
        ValueError: the shape or dtype is another one.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.ndim not in (2, 3) or channels not in COLOUR_TYPES or not pixels.size or pixels.dtype != np.uint8:
        raise ValueError(f"{pixels.dtype} pixels of shape {pixels.shape} cannot be encoded as PNG")
    height, width = pixels.shape[:2]
    if level > PNG_LEVEL:
        return small_png(pixels.reshape(height, width) if channels == 1 else pixels, level)
    strips = (pixels[first:last] for first, last in strips_of(Size(width, height), channels))
    return fast_png(strips, Size(width, height), channels)


def strips_of(size: Size, channels: int) -> Iterator[tuple[int, int]]:
    """The first row, and the one after the last, of each strip that a picture is encoded in, from top to bottom."""
    rows = max(1, STRIP_BYTES // (size.width * channels))
    for first in range(0, size.height, rows):
        yield first, min(first + rows, size.height)


def fast_png(strips: Iterable[np.ndarray], size: Size, channels: int) -> bytes:
    """A PNG file of a picture that comes in strips, so that the whole of it need not be in memory.

    Args:
        strips: uint8, rows x width x channels (one channel: also rows x width), from top to bottom. A strip is read
            before the next is asked for.
        size: of the picture.
        channels: 1, 3 or 4.
    """
    compressor = isal_zlib.compressobj(1) if isal_zlib else zlib.compressobj(1)
    header = struct.pack(">IIBBBBB", *size, 8, COLOUR_TYPES[channels], 0, 0, 0)
    file = [SIGNATURE, *chunk(b"IHDR", header), *chunk(b"sRGB", PERCEPTUAL)]
    above = np.zeros(size.width * channels, np.uint8)
    filtered = np.empty((0, 1 + above.size), np.uint8)
    for strip in strips:
        rows = strip.reshape(len(strip), -1)  # copies only what does not lie row by row
        if len(filtered) < len(rows):
            filtered = np.full((len(rows), 1 + above.size), UP, np.uint8)
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1 : len(rows), 1:])
        above = rows[-1].copy()
        file += data_chunks(compressor.compress(filtered[: len(rows)].data))
    file += data_chunks(compressor.flush())
    return b"".join([*file, *chunk(b"IEND", b"")])


def data_chunks(data: bytes) -> Iterator[bytes | memoryview]:
    """The pieces of the IDAT chunks that hold a part of the compressed data; none if there is no data."""
    for first in range(0, len(data), CHUNK_BYTES):
        yield from chunk(b"IDAT", memoryview(data)[first : first + CHUNK_BYTES])


def chunk(kind: bytes, data: bytes | memoryview) -> list[bytes | memoryview]:
    """The pieces of a chunk: its length and type, its data, its checksum."""
    return [struct.pack(">I4s", len(data), kind), data, struct.pack(">I", crc32(data, zlib.crc32(kind)))]


def crc32(data: bytes | memoryview, start: int) -> int:
    value: int = (isal_zlib or zlib).crc32(data, start)
    return value


def small_png(pixels: np.ndarray, level: int) -> bytes:
    """A PNG file by Pillow: for each row the filter with the least sum of absolute differences. See `encode_png`."""
    from PIL import Image, PngImagePlugin  # not above: the client, and most requests, need no Pillow for PNG

    file = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add(b"sRGB", PERCEPTUAL)
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=level, pnginfo=info)
    return file.getvalue()
