"""Files with all their pixels are decoded, whatever lies beside those; files without are refused, in our own words."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tensorhop.errors import InvalidInput
from tensorhop.values.images import decode_image, decode_photo

Y, X = np.mgrid[:47, :61]
SMOOTH = np.stack([4 * X, 5 * Y, 255 - 2 * X - 2 * Y], -1).astype(np.uint8)
RGBA = np.dstack([SMOOTH, (4 * X).astype(np.uint8)])
INTERNALS = re.compile(
    r"PIL|Pillow|Plugin|MAX_|decoder|codec|libtiff|libjpeg|zlib|errno|Traceback|Error|bytes not processed|0x|-\d|_",
    re.I,
)


def file_of(kind, pixels=SMOOTH, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def frames(kind):
    return file_of(kind, save_all=True, append_images=[Image.fromarray(SMOOTH[::-1].copy())])


FILES = {
    "png": file_of("PNG"),
    "png-palette": file_of("PNG", Image.fromarray(SMOOTH).quantize(16)),
    "png-16": file_of("PNG", (X * 1000).astype(np.uint16)),
    "png-alpha": file_of("PNG", RGBA),
    "png-animated": frames("PNG"),
    "jpeg": file_of("JPEG"),
    "jpeg-progressive": file_of("JPEG", progressive=True),
    "jpeg-restarts": file_of("JPEG", subsampling=0, restart_marker_blocks=2),
    "jpeg-grey": file_of("JPEG", SMOOTH[..., 0]),
    "jpeg-cmyk": file_of("JPEG", Image.fromarray(SMOOTH).convert("CMYK")),
    "mpo": frames("MPO"),
    "webp": file_of("WEBP"),
    "webp-lossless": file_of("WEBP", lossless=True),
    "webp-alpha": file_of("WEBP", RGBA),
    "webp-animated": frames("WEBP"),
    "gif": file_of("GIF"),
    "gif-animated": frames("GIF"),
    "bmp": file_of("BMP"),
    "bmp-grey": file_of("BMP", SMOOTH[..., 0]),
    "tiff": file_of("TIFF"),
    "tiff-lzw": file_of("TIFF", compression="tiff_lzw"),
    "tiff-deflate": file_of("TIFF", compression="tiff_adobe_deflate"),
    "tiff-jpeg": file_of("TIFF", compression="jpeg"),
}
PIXELS = {name: decode_image(data) for name, data in FILES.items()}
each_file = pytest.mark.parametrize("name", FILES)


def test_internals_are_recognized():
    assert INTERNALS.search("Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK")
    assert INTERNALS.search("image file is truncated (41 bytes not processed)")


@each_file
def test_a_file_that_is_cut_shows_all_its_pixels_or_is_refused(name):
    """Wherever it is cut; and no message is a library's."""
    data, refused = FILES[name], []
    for length in {*range(1, len(data), 1 + len(data) // 60), *range(max(1, len(data) - 30), len(data))}:
        try:
            np.testing.assert_array_equal(decode_image(data[:length]), PIXELS[name], f"cut to {length}")
        except InvalidInput as error:
            refused.append(str(error))
    assert len(refused) >= 20
    assert not [said for said in refused if INTERNALS.search(said) or not said.startswith("image is ")]


@each_file
@pytest.mark.parametrize("tail", [b"\0", b"garbage" * 99, b"\xff\xd8\xff\xe0", bytes(5000)])
def test_what_follows_the_file_does_not_matter(name, tail):
    np.testing.assert_array_equal(decode_image(FILES[name] + tail), PIXELS[name])


@each_file
def test_no_message_is_a_library_s(name):
    data, random, refused = FILES[name], np.random.default_rng(0), []
    for place in (*range(min(len(data), 60)), *random.integers(0, len(data), 40)):
        broken = bytearray(data)
        broken[place] ^= int(random.integers(1, 256))
        try:
            decode_image(bytes(broken))
        except InvalidInput as error:
            refused.append(str(error))
    assert refused
    assert not [said for said in refused if INTERNALS.search(said)]


# PNG.


def chunk(kind, body, checksum=None):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum or zlib.crc32(kind + body))


def with_chunk(data, added):
    """The chunk stands behind the header."""
    return data[:33] + added + data[33:]


WRONG = 12345
ANCILLARY = {
    "large text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(40_000_000))),
    "many texts": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(15_000_000))) * 6,
    "large profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(3_000_000))),
    "huge profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(40_000_000))),
    "broken profile": chunk(b"iCCP", b"icc\0\0junk"),
    "profile without name": chunk(b"iCCP", b"junk"),
    "profile without end": chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(999))[:-8]),
    "wrong checksum": chunk(b"tEXt", b"Comment\0hello", WRONG),
    "wrong checksum of a profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"x"), WRONG),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short resolution": chunk(b"pHYs", b"\0\0"),
    "short chromaticities": chunk(b"cHRM", b"\1\2\3"),
    "short time": chunk(b"tIME", b""),
    "short intent": chunk(b"sRGB", b""),
    "broken EXIF": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "no EXIF": chunk(b"eXIf", b"\0"),
    "unknown": chunk(b"prVt", b"\xff" * 99),
    "animation": chunk(b"acTL", b"\0"),
    "animation of many frames": chunk(b"acTL", struct.pack(">II", 2**31, 0)),
    "international text": chunk(b"iTXt", b"\xff\xff\0\1\1junk"),
}


@pytest.mark.parametrize("added", ANCILLARY.values(), ids=ANCILLARY)
def test_what_lies_beside_the_pixels_of_a_png(added):
    np.testing.assert_array_equal(decode_image(with_chunk(FILES["png"], added)), SMOOTH)


def test_a_large_profile_is_applied():
    """It has red and green the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")
    padded = struct.pack(">I", 3_000_000) + profile[4:].ljust(3_000_000 - 4, b"\0")
    small, large = (file_of("PNG", icc_profile=one) for one in (profile, padded))
    broken = with_chunk(large, chunk(b"tEXt", b"Comment\0hello", WRONG))
    assert (decode_image(small) != SMOOTH).any()
    np.testing.assert_array_equal(decode_image(large), decode_image(small))
    np.testing.assert_array_equal(decode_image(broken), decode_image(small))


@pytest.mark.parametrize("kind", [b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_pixels_that_are_whole(kind):
    data = FILES["png"]
    place = data.index(kind)
    end = place + 4 + struct.unpack(">I", data[place - 4 : place])[0]
    broken = data[:end] + struct.pack(">I", WRONG) + data[end + 4 :]
    np.testing.assert_array_equal(decode_image(broken), SMOOTH)


def test_orientation_survives_the_repair():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = with_chunk(file_of("PNG", np.rot90(SMOOTH).copy(), exif=exif), ANCILLARY["wrong checksum"])
    np.testing.assert_array_equal(decode_image(data), SMOOTH)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_rows_of_every_width_are_counted(depth, interlaced):
    """A damaged PNG of few bits; the interlaced one has seven passes, some of them without a row."""
    width, height = 3, 2
    passes = [(1, 1), (1, 1), (1, 1), (2, 1), (1, 1)] if interlaced else [(width, height)]
    if interlaced:  # Adam7 of 3 x 2: passes 1, 4, 5 (none), 6 and 7
        passes = [(1, 1), (1, 1), (1, 1), (3, 1)]
    rows = b"".join(bytes(1 + (columns * depth + 7) // 8) * count for columns, count in passes)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlaced))
    start = b"\x89PNG\r\n\x1a\n" + header + ANCILLARY["wrong checksum"]
    assert not decode_image(start + chunk(b"IDAT", zlib.compress(rows))).any()
    with pytest.raises(InvalidInput, match="not all pixels of this PNG"):
        decode_image(start + chunk(b"IDAT", zlib.compress(rows[:-1])))


# JPEG.


def segment(marker, body):
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(body)) + body


APPLICATION = {
    "broken EXIF": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
    "broken XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmp"),
    "broken profile": segment(0xE2, b"ICC_PROFILE\0\1\1junk"),
    "a part of a profile": segment(0xE2, b"ICC_PROFILE\0\1\5junk"),
    "short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "broken MPF": segment(0xE2, b"MPF\0junk"),
    "empty MPF": segment(0xE2, b"MPF\0"),
    "broken Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\x00\x00\xff\xff\xff\xff"),
    "short Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x03"),
    "short JFIF": segment(0xE0, b"JFIF"),
    "short Adobe": segment(0xEE, b"Adobe\0"),
    "comment": segment(0xFE, b"\xff" * 65533),
    "unknown": segment(0xEB, b"JP" + bytes(range(256)) * 9),
    "fill bytes": b"\xff" * 9,
}


@pytest.mark.parametrize("added", APPLICATION.values(), ids=APPLICATION)
@pytest.mark.parametrize("name", ["jpeg", "jpeg-progressive", "jpeg-grey"])
@pytest.mark.parametrize("ends", [True, False])
def test_what_lies_beside_the_pixels_of_a_jpeg(name, added, ends):
    data = FILES[name][:20] + added + FILES[name][20:]
    np.testing.assert_array_equal(decode_image(data if ends else data[:-2]), PIXELS[name])


@pytest.mark.parametrize("name", ["jpeg", "jpeg-restarts", "jpeg-cmyk", "jpeg-progressive"])
def test_a_jpeg_without_its_end(name):
    """Of one byte or two; or with something else instead."""
    for data in (FILES[name][:-1], FILES[name][:-2], FILES[name][:-2] + b"\0\0", FILES[name][:-2] + bytes(99)):
        np.testing.assert_array_equal(decode_image(data), PIXELS[name])


def test_a_progressive_jpeg_without_its_last_scans_is_refused():
    """Its picture would be coarse, not grey: no end tells."""
    data = FILES["jpeg-progressive"]
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for place in scans[1:]:
        with pytest.raises(InvalidInput, match="not all pixels of this JPEG"):
            decode_image(data[:place])


# WebP, TIFF and animations.


@pytest.mark.parametrize("name", ["webp", "webp-lossless", "webp-alpha"])
def test_a_cut_chunk_behind_a_webp_s_pixels(name):
    exif = Image.Exif()
    exif[0x010E] = "a description" * 20
    data = file_of("WEBP", RGBA if "alpha" in name else SMOOTH, lossless="lossless" in name, exif=exif)
    whole = decode_image(data)
    for cut in (1, 2, 50, 200):
        np.testing.assert_array_equal(decode_image(data[:-cut]), whole)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_broken_tags_of_a_tiff(compression):
    """A description that lies beyond the file, and a next page that does."""
    data = bytearray(file_of("TIFF", compression=compression, description="hello" * 30, icc_profile=b"junk" * 30))
    whole = decode_image(bytes(data))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    broken = 0
    for index in range(count):
        place = start + 2 + 12 * index
        if struct.unpack_from("<H", data, place)[0] in (270, 34675):
            struct.pack_into("<I", data, place + 8, 2**31)
            broken += 1
    struct.pack_into("<I", data, start + 2 + 12 * count, 2**31)
    assert broken == 2
    np.testing.assert_array_equal(decode_image(bytes(data)), whole)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("first", [(0, 0, 0, 0), (255, 255, 255, 255)])
def test_an_animation_whose_first_frame_is_empty_is_told(kind, first):
    empty, thing = Image.new("RGBA", (61, 47), first), Image.fromarray(RGBA)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = file_of(kind, empty, save_all=True, append_images=[thing, thing.rotate(180)], **options)
    (warning,) = decode_photo(data).warnings
    assert "animation of 3 frames" in warning
    assert not decode_photo(file_of(kind, thing, save_all=True, append_images=[empty], **options)).warnings
    assert not decode_photo(file_of(kind, empty, **options)).warnings, "a picture may be plain"
