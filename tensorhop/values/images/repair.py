"""What is left of a damaged image file if only its pixels count: metadata is dropped, an end that is missing is added.

A decoder that is told to go on past the end of a file paints the missing part grey. So an end is not believed: the file
is given several different ends, and its pixels count as complete only if all of them give the same picture.
"""

import random
import re
import struct
import zlib
from collections.abc import Iterator

Variants = tuple[bytes, ...]  # files that show the same picture if all pixels of the damaged one are there

MAX_PROFILE = 16 * 1024 * 1024  # bytes of a PNG's colour profile; a larger one is left out
# Without 255, which begins JPEG's markers; 0xD9 after one ends a JPEG, in a TIFF too.
_NOISE = b"\xd9" + bytes(random.Random(0).choices(range(255), k=63))
_ENDS = (bytes(64), _NOISE)


def repaired(data: bytes, kind: str) -> Iterator[Variants]:
    """Other ways to read a file of that kind (as Pillow names it) that cannot be decoded as it is, the best first."""
    try:
        match kind:
            case "PNG":
                yield (_png(data),)
            case "JPEG":
                for kept in (_KEPT, _BARE):
                    if file := _jpeg(data, kept):
                        yield tuple(file + end + b"\xff\xd9" for end in (b"", *_blocks(file)))
            case "WEBP":
                yield (_webp(data),)
            case "TIFF":
                yield tuple(_tiff(data, end) for end in _ENDS)
        if kind in ("GIF", "BMP", "TIFF"):
            yield tuple(data + end for end in _ENDS)
    except (ValueError, IndexError, KeyError, struct.error, zlib.error):  # its structure is damaged too
        return


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(data: bytes) -> bytes:
    """The file from its critical chunks alone, with new checksums; and orientation and profile, if they can be read.

    Raises ValueError, or what unpacking raises: a row is missing, or the header's checksum is wrong.
    """
    found: dict[bytes, bytes] = {}
    pixels, place = [], 8
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + size]
        if kind == b"IDAT":
            pixels.append(body)
        elif len(body) < size or kind == b"IEND":
            break
        elif kind in (b"IHDR", b"PLTE") and data[place + 8 + size : place + 12 + size] != _chunk(kind, body)[-4:]:
            raise ValueError("the checksum is wrong")
        else:
            found.setdefault(kind, body)
        place += 12 + size
    rows = _png_rows(found[b"IHDR"])
    raw = zlib.decompressobj().decompress(b"".join(pixels), rows)
    if len(raw) < rows:
        raise ValueError("rows are missing")
    if b"iCCP" in found:
        name, _, packed = found[b"iCCP"].partition(b"\0")
        found[b"iCCP"] = name + b"\0\0" + zlib.compress(_inflated(packed[1:]), 1)
    kept = [_chunk(kind, found[kind]) for kind in (b"IHDR", b"iCCP", b"eXIf", b"PLTE", b"tRNS") if found.get(kind)]
    return data[:8] + b"".join(kept) + _chunk(b"IDAT", zlib.compress(raw, 1)) + _chunk(b"IEND", b"")


def _inflated(packed: bytes) -> bytes:
    """A colour profile; empty if it is broken or over MAX_PROFILE."""
    reader = zlib.decompressobj()
    try:
        profile = reader.decompress(packed, MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if reader.eof else b""


def _png_rows(header: bytes) -> int:
    """Bytes of all rows, each with its filter's byte, by the header."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]  # first column and row, and steps: of Adam7 for each pass
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    sizes = [(-(-(width - x) // step_x), -(-(height - y) // step_y)) for x, y, step_x, step_y in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_SCAN_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)  # in a scan, restarts are a part of it
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # baseline, extended and progressive, by Huffman and arithmetic codes
_KEPT = (b"JFIF", b"Adobe", b"Exif", b"ICC_PROFILE")
_BARE = (b"Adobe",)  # which says what the channels mean


def _jpeg(data: bytes, kept: tuple[bytes, ...]) -> bytes:
    """The file up to its end marker, of the application's segments those that begin so; b"" if a scan is missing.

    Raises IndexError or struct.error: it ends within a segment.
    """
    parts, place = [data[:2]], 2
    left: dict[int, list[int]] = {}  # bits that are still to come, by component and coefficient
    while found := _MARKER.search(data, place):
        marker, start = found[1][0], found.end() - 2
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # alone, without a segment
            place = found.end()
            continue
        body = data[start + 4 : start + 2 + struct.unpack_from(">H", data, start + 2)[0]]
        place = start + 4 + len(body)
        if marker in _FRAMES:
            left = {body[6 + 3 * index]: [99] * 64 for index in range(body[5])}
        elif marker == 0xDA:
            first, last, low = body[-3], body[-2], body[-1] & 15
            for index in range(body[0]):
                left[body[1 + 2 * index]][first : last + 1] = [low] * (last + 1 - first)
            after = _SCAN_MARKER.search(data, place)
            place = after.start() if after else len(data)
        application = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not application or (body.startswith(kept) and (marker != 0xEE or len(body) >= 12)):
            parts.append(data[start:place])
    complete = left and not any(bits for component in left.values() for bits in component)
    return b"".join(parts).rstrip(b"\xff") if complete else b""


def _blocks(data: bytes) -> Iterator[bytes]:
    """What could follow the data of a scan: bits at random, or ones, and so on after each restart."""
    last = max(reversed(range(8)), key=lambda number: data.rfind(bytes((0xFF, 0xD0 + number))))
    for bits in (_NOISE, b"\xff\0" * 64):
        yield bits + b"".join(bytes((0xFF, 0xD0 + (last + 1 + count) % 8)) + bits for count in range(8))


_WEBP_FLAGS = {b"ICCP": 0x20, b"ALPH": 0x10, b"EXIF": 0x08, b"ANIM": 0x02}


def _webp(data: bytes) -> bytes:
    """The file from its whole chunks, without text. Raises struct.error."""
    parts, kinds, place = [], set(), 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + size]
        if len(body) == size and kind in (b"VP8X", b"VP8 ", b"VP8L", b"ANMF", *_WEBP_FLAGS):
            kinds.add(kind)
            parts.append([kind, body])
        place += 8 + size + size % 2
    for part in parts:
        if part[0] == b"VP8X":
            alpha = part[1][0] & 0x10
            part[1] = bytes([alpha | sum(_WEBP_FLAGS[kind] for kind in kinds & {*_WEBP_FLAGS})]) + part[1][1:]
    chunks = b"".join(kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


# Of TIFF, the tags that decoding needs: sizes, samples, compression, strips and tiles, palette, CMYK, extra samples,
# JPEG tables, YCbCr, orientation and profile.
_TIFF_TAGS = {
    *(256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338),
    *(339, 347, 529, 530, 531, 532, 34675),
}


_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # of a value, by type


def _tiff(data: bytes, end: bytes) -> bytes:
    """The file, its end, and a new directory that has only the tags of the first image that decoding needs.

    Raises ValueError or struct.error: it has no directory that can be read.
    """
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", data, 2)[0] != 42:
        raise ValueError("is a BigTIFF")
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    kept = []
    for index in range(count):
        tag, kind, values, offset = struct.unpack_from(f"{order}HHII", data, start + 2 + 12 * index)
        size = values * _TIFF_BYTES.get(kind, len(data))
        if tag in _TIFF_TAGS and (size <= 4 or offset + size <= len(data)):
            kept.append(data[start + 2 + 12 * index : start + 14 + 12 * index])
    content = data[8:] + end + bytes(len(data + end) % 2)
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    return data[:4] + struct.pack(f"{order}I", 8 + len(content)) + content + directory
