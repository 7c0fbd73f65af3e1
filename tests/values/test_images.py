"""Images of every kind become upright sRGB; what cannot be is refused by name."""

import io
import os
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.settings import Settings, current_settings
from tensorhop.v1.image_pb2 import Image as Message
from tensorhop.v1.tensor_pb2 import Tensor
from tensorhop.values.images import check_size, decode_image, decode_mask
from tensorhop.wire.codec import Packet, decode, encode
from tensorhop.wire.image_source import read_image
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def file_of(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode, color, size=(8, 6)):
    return Image.new(mode, size, color)


def smooth():
    """A picture that JPEG keeps to a few levels."""
    y, x = np.mgrid[:48, :64]
    return np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y], -1).astype(np.uint8)


def display_p3():
    """A Display P3 profile: its primaries (adapted to D50) and sRGB's transfer curve."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    values = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    curve = b"para\0\0\0\0\0\3\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    text = b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", 4, 28) + "P3".encode("utf-16-be")
    tags = {
        b"desc": text,
        b"cprt": text,
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data
    white = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(">III4s4s4s12x4s", 0, 0, 0x04000000, b"mntr", b"RGB ", b"XYZ ", b"acsp").ljust(68, b"\0") + white
    profile = head.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def header_only_png(width, height):
    """A PNG file of that size, by its own word, with next to no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def refused(data, field="image"):
    """What the refusal says."""
    with pytest.raises(InvalidInput) as caught:
        decode_image(data, field)
    assert caught.value.field == field
    return str(caught.value)


# What a file may be.


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_rgb_comes_out_to_the_bit(kind):
    array = decode_image(file_of(PIXELS, kind))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, PIXELS)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("MPO", {})])
def test_lossy_formats(kind, options):
    array = decode_image(file_of(smooth(), kind, **options))
    assert np.abs(array.astype(int) - smooth()).mean() < 4


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_sizes(size):
    array = decode_image(file_of(plain("RGB", (1, 2, 3), size)))
    assert array.shape == (size[1], size[0], 3)
    assert (array == (1, 2, 3)).all()


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (plain("L", 77), (77, 77, 77)),
        (plain("1", 1), (255, 255, 255)),
        (plain("LA", (0, 102)), (153, 153, 153)),
        (plain("RGBA", (200, 0, 100, 255)), (200, 0, 100)),
        (plain("RGBA", (200, 0, 100, 0)), (255, 255, 255)),
        (plain("RGBA", (255, 0, 0, 51)), (255, 204, 204)),
        (plain("RGB", (9, 8, 7)).quantize(4), (9, 8, 7)),
    ],
    ids=["grey", "bilevel", "grey-alpha", "opaque", "transparent", "partly", "palette"],
)
def test_modes_become_rgb_and_transparency_white(image, pixel):
    array = decode_image(file_of(image))
    assert array.shape == (6, 8, 3)
    assert np.abs(array.astype(int) - pixel).max() <= 1


@pytest.mark.parametrize(
    ("mode", "colors", "transparency"),
    [("P", (0, 1), 1), ("L", (0, 90), 90), ("RGB", ((10, 20, 30), (1, 1, 1)), (1, 1, 1))],
)
def test_a_transparent_colour_is_laid_on_white(mode, colors, transparency):
    image = plain(mode, colors[0])
    if mode == "P":
        image.putpalette([10, 20, 30, 1, 1, 1])
    image.putpixel((3, 2), colors[1])
    array = decode_image(file_of(image, transparency=transparency))
    assert tuple(array[2, 3]) == (255, 255, 255)
    assert tuple(array[0, 0]) == ((0, 0, 0) if mode == "L" else (10, 20, 30))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled(kind):
    samples = np.uint16([[0, 1 * 257, 100 * 257], [200 * 257, 65535, 32896]])
    expected = np.uint8([[0, 1, 100], [200, 255, 128]])
    array = decode_image(file_of(samples, kind))
    np.testing.assert_array_equal(array, np.repeat(expected[..., None], 3, axis=2))
    np.testing.assert_array_equal(decode_mask(file_of(samples, kind)), expected)


def test_rgb_of_16_bits_is_scaled():
    samples = PIXELS.astype(np.uint16) * 257
    data = cv2.imencode(".png", samples[..., ::-1])[1].tobytes()
    assert data[24] == 16, "bits, by the header"
    np.testing.assert_array_equal(decode_image(data), PIXELS)


@pytest.mark.parametrize(("kind", "slack"), [("TIFF", 0), ("JPEG", 3)])
@pytest.mark.parametrize(
    ("ink", "pixel"), [((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))]
)
def test_cmyk(kind, slack, ink, pixel):
    array = decode_image(file_of(plain("CMYK", ink, (32, 32)), kind))
    assert np.abs(array.astype(int) - pixel).max() <= slack


def test_lab_is_converted():
    """L 50, a 0, b 0 is the middle grey of sRGB, 119."""
    data = file_of(plain("LAB", (128, 128, 128)), "TIFF")
    assert np.abs(decode_image(data).astype(int) - 119).max() <= 4


def test_floating_point_samples_are_refused():
    assert "floating-point" in refused(file_of(np.zeros((2, 2), np.float32), "TIFF"))


# Stored pixels of each EXIF orientation, made from the upright ones.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_exif_orientation(kind, orientation):
    upright = smooth()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    array = decode_image(file_of(stored, kind, exif=exif))
    assert array.shape == upright.shape
    assert np.abs(array.astype(int) - upright).mean() < (4 if kind == "JPEG" else 0.01)


def test_a_mask_is_turned_upright_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = PIXELS[..., 0]
    np.testing.assert_array_equal(decode_mask(file_of(np.rot90(upright), exif=exif)), upright)


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_an_unknown_orientation_is_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode_image(file_of(PIXELS, exif=exif)), PIXELS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0", b"Exif\0\0MM\0*"])
def test_broken_exif_is_no_broken_image(exif):
    assert decode_image(file_of(smooth(), "JPEG", exif=exif)).shape == smooth().shape


# Colour.

# The same colours in Display P3 and in sRGB, by the matrices of CSS Color 4.
P3_COLORS = [
    ((200, 100, 50), (215, 93, 31)),
    ((60, 120, 180), (30, 122, 185)),
    ((128, 128, 128), (128, 128, 128)),
    ((0, 255, 0), (0, 255, 0)),  # outside of sRGB: clipped
]


@pytest.mark.parametrize(("p3", "srgb"), P3_COLORS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_display_p3_becomes_srgb(mode, p3, srgb):
    image = plain("RGB", p3)
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    array = decode_image(file_of(image, icc_profile=display_p3()))
    assert np.abs(array.astype(int) - srgb).max() <= 3


def test_a_profile_and_transparency_together():
    """White stays white, whatever the profile."""
    data = file_of(plain("RGBA", (200, 100, 50, 0)), icc_profile=display_p3())
    assert (decode_image(data) == 255).all()


@pytest.mark.parametrize(
    "profile", [b"junk" * 50, b"\0" * 128, display_p3()[:140], display_p3()[:300]], ids=["junk", "zero", "head", "cut"]
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_broken_profile_is_left_out(kind, profile):
    array = decode_image(file_of(plain("RGB", (200, 100, 50)), kind, icc_profile=profile))
    assert np.abs(array.astype(int) - (200, 100, 50)).max() <= 2


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_for_other_channels_is_left_out(mode):
    image = plain("RGB", (90, 90, 90)).convert(mode)
    with_profile = decode_image(file_of(image, "TIFF", icc_profile=display_p3()))
    np.testing.assert_array_equal(with_profile, decode_image(file_of(image, "TIFF")))


# Animations.


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_the_first_frame_of_an_animation(kind, options):
    first, *others = (plain("RGB", color) for color in ("red", "blue", "lime"))
    data = file_of(first, kind, save_all=True, append_images=others, **options)
    with Image.open(io.BytesIO(data)) as file:
        assert getattr(file, "n_frames", 1) == 3
    assert (decode_image(data) == (255, 0, 0)).all()


def test_the_first_page_of_a_tiff():
    data = file_of(plain("RGB", "red"), "TIFF", save_all=True, append_images=[plain("RGB", "blue", (3, 3))])
    assert decode_image(data).shape == (6, 8, 3)


# What is refused.


def test_empty():
    assert refused(b"", "image.encoded").startswith("image.encoded is empty")


@pytest.mark.parametrize(
    "data",
    [b"x", b"hello, I am a text" * 99, b"\0" * 4096, b"%PDF-1.7\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_not_an_image(data):
    assert "is not an image file; known formats are JPEG, PNG" in refused(data)


def test_a_format_that_is_not_ours():
    """Pillow reads many more, some of them by starting programs."""
    assert "is not an image file" in refused(file_of(plain("RGB", "red"), "PPM"))
    assert "is not an image file" in refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated(kind, part):
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    data = file_of(noise, kind)
    assert "image file" in refused(data[: int(len(data) * part)], "image.encoded")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_noise_in_a_file_is_refused_or_decoded_but_never_a_crash(kind):
    data = bytearray(file_of(np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8), kind))
    positions = np.random.default_rng(2).integers(0, len(data), 40)
    for position in (*range(min(64, len(data))), *positions):
        broken = bytes(data[:position]) + bytes([data[position] ^ 0xFF]) + bytes(data[position + 1 :])
        try:
            assert decode_image(broken).ndim == 3
        except InvalidInput as error:
            assert error.field == "image"  # noqa: PT017  (either way is right)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (12_000, 12_000), (20_000, 5_001)])
def test_too_many_pixels_are_refused_by_the_header(width, height):
    """The file has no pixels: only the header can have told."""
    message = refused(header_only_png(width, height), "image.encoded")
    assert f"at most {current_settings().max_pixels:,}" in message
    assert f"{width * height}" in message.replace(",", ""), "what came"


@pytest.mark.parametrize("size", [(40_000, 10), (10, 40_000)])
def test_a_side_too_long_is_refused_by_the_header(size):
    message = refused(header_only_png(*size))
    assert f"{size[0]} x {size[1]}" in message
    assert f"{current_settings().max_side:,}" in message


@pytest.mark.parametrize("data", [b"", b"nothing", header_only_png(30_000, 30_000)])
def test_a_mask_is_refused_in_the_same_way(data):
    with pytest.raises(InvalidInput) as caught:
        decode_mask(data, "masks[1]")
    assert caught.value.field == "masks[1]"


def test_check_size_allows_the_limits_themselves():
    most = current_settings()
    check_size(1, 1, "photo")
    check_size(most.max_side, 1, "photo")
    check_size(most.max_pixels // 10_000, 10_000, "photo")


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, -1)])
def test_check_size_refuses_nothing(size):
    with pytest.raises(InvalidInput, match="at least 1 x 1"):
        check_size(size[0], size[1], "photo")


# Masks.


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_decode_mask(mode):
    values = PIXELS[..., 0]
    image = Image.fromarray(values).convert("RGB")
    if mode in ("RGBA", "LA"):
        image = plain("RGB", "white", image.size).convert(mode)
        image.putalpha(Image.fromarray(values))
    array = decode_mask(file_of(image.convert(mode)))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, values)


def test_decode_mask_of_a_palette():
    image = plain("P", 0)
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.putpixel((3, 2), 1)
    expected = np.zeros((6, 8), np.uint8)
    expected[2, 3] = 255
    np.testing.assert_array_equal(decode_mask(file_of(image)), expected)
    np.testing.assert_array_equal(decode_mask(file_of(image, transparency=0)), expected)


# Messages.


def test_read_image_from_a_tensor_and_from_a_file():
    np.testing.assert_array_equal(sent(tensor(PIXELS)), PIXELS)
    np.testing.assert_array_equal(sent(Message(encoded=file_of(PIXELS))), PIXELS)


def tensor(array):
    """The message as a stock client would make it."""
    payloads = Payloads()
    return Message.FromString(encode(Packet(Message(tensor=to_tensor(array, payloads)), payloads)))


def sent(message, field="image"):
    """What the other end reads of a message made by the generated class."""
    return read_image(*decode(Message, message.SerializeToString()), field)


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        (Message(), "crop", "missing"),
        (Message(encoded=b""), "crop.encoded", "empty"),
        (Message(encoded=b"?"), "crop.encoded", "not an image file"),
        (tensor(np.zeros((4, 5, 3), np.float32)), "crop.tensor.dtype", "is FP32; an image is UINT8"),
        (tensor(np.zeros((4, 5, 3), np.int8)), "crop.tensor.dtype", "INT8"),
        (tensor(np.zeros((4, 5, 3), np.bool_)), "crop.tensor.dtype", "BOOL"),
        (tensor(np.zeros((4, 5), np.uint8)), "crop.tensor.shape", "[4, 5]"),
        (tensor(np.zeros((4, 5, 4), np.uint8)), "crop.tensor.shape", "[4, 5, 4]"),
        (tensor(np.zeros((3, 4, 5), np.uint8)), "crop.tensor.shape", "[3, 4, 5]"),
        (tensor(np.zeros((1, 4, 5, 3), np.uint8)), "crop.tensor.shape", "[1, 4, 5, 3]"),
        (tensor(np.zeros((0, 5, 3), np.uint8)), "crop.tensor.shape", "5 x 0"),
        (tensor(np.zeros((40_000, 1, 3), np.uint8)), "crop.tensor.shape", "1 x 40000"),
        (Message(tensor=Tensor(dtype="UINT8", shape=[4, 5, 3], data=bytes(59))), "crop.tensor.data", "59 bytes"),
        (Message(tensor=Tensor(shape=[4, 5, 3], data=bytes(60))), "crop.tensor.dtype", "''"),
        (Message(tensor=Tensor()), "crop.tensor.dtype", "''"),
    ],
)
def test_read_image_refuses(message, field, said):
    with pytest.raises(InvalidInput) as caught:
        sent(message, "crop")
    assert caught.value.field == field
    assert said in str(caught.value)


# Paths.


@pytest.fixture
def root(tmp_path, limit, monkeypatch):
    """A folder that is allowed, with a picture, a folder, links and what is no file; beside it a secret picture."""
    folder = tmp_path / "allowed"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "allowed-too").mkdir()
    for file in ("allowed/a.png", "allowed/sub/b.png", "secret.png", "allowed-too/c.png"):
        (tmp_path / file).write_bytes(file_of(PIXELS))
    (folder / "in.png").symlink_to("sub/b.png")
    (folder / "sub" / "up").symlink_to("..")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "away").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").touch()
    os.mkfifo(folder / "fifo")
    limit(allow_path=str(folder))
    monkeypatch.chdir(tmp_path)  # what a relative path is not relative to
    return folder


def path_refused(path):
    """What the refusal of a path says."""
    with pytest.raises(InvalidInput) as caught:
        sent(Message(path=str(path)), "crop")
    assert caught.value.field == "crop.path"
    return str(caught.value)


def test_paths_are_off_by_default(tmp_path, limit, monkeypatch):
    assert Settings.model_fields["allow_path"].default == ""
    limit(allow_path="")
    (tmp_path / "a.png").write_bytes(file_of(PIXELS))
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "a.png", "a.png", "missing.png", ""):
        assert "paths are off" in path_refused(path), "whether there is a file or not"


@pytest.mark.parametrize("path", ["a.png", "sub/b.png", "./sub//b.png", "sub/../a.png", "in.png", "sub/up/a.png"])
def test_all_three_sources_give_the_same_array(root, path):
    expected = sent(Message(encoded=file_of(PIXELS)))
    np.testing.assert_array_equal(sent(tensor(PIXELS)), expected)
    for name in (path, root / path):
        array = sent(Message(path=str(name)))
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, expected)


def test_a_file_is_turned_upright_as_encoded_bytes_are(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = file_of(np.rot90(PIXELS), exif=exif)
    (root / "turned.png").write_bytes(data)
    np.testing.assert_array_equal(sent(Message(path="turned.png")), sent(Message(encoded=data)))


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "sub/../../secret.png",
        "../allowed-too/c.png",
        "out.png",
        "away/secret.png",
        "sub/up/away/secret.png",
        "sub/up/../secret.png",
        "/",
        "/etc/hostname",
        "../no-such.png",
        "/no/such.png",
        "..",
    ],
)
def test_what_leaves_the_allowed_folder_is_refused(root, path):
    """The answer is the same whether there is such a file or not."""
    said = path_refused(path)
    assert "leaves the allowed folder" in said
    assert str(root.parent) not in said, "nothing is told about the machine's folders"


def test_an_absolute_path_beside_the_folder_is_refused(root):
    for name in ("secret.png", "allowed-too/c.png", "allowed/../secret.png", "no-such.png"):
        assert "leaves the allowed folder" in path_refused(root.parent / name)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.png", "cannot be read"),
        ("missing/../a.png", "cannot be read"),
        ("dangling", "cannot be read"),
        ("loop", "cannot be read"),
        ("a.png/b.png", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("a.png\0", "cannot be read"),
        ("sub", "must name a file"),
        (".", "must name a file"),
        ("", "must name a file"),
        ("text.png", "is not an image file"),
        ("empty.png", "is empty"),
    ],
)
def test_what_is_no_picture_is_refused(root, path, said):
    message = path_refused(path)
    assert said in message
    assert str(root) not in message, "nothing is told about the machine's folders"


def test_a_fifo_does_not_hang(root):
    said = []
    reader = threading.Thread(target=lambda: said.append(path_refused("fifo")), daemon=True)
    reader.start()
    reader.join(10)
    assert said
    assert "must name a file" in said[0]


def test_a_file_over_the_limit_of_a_message_is_refused_unread(root, limit):
    limit(allow_path=str(root), max_message_bytes=4 * 1024 * 1024)
    with (root / "huge.png").open("wb") as file:
        file.truncate(2**40)  # sparse: it takes no room, but reading it would
    assert "must name a file of at most 4,194,304 bytes" in path_refused("huge.png")


def test_the_root_may_itself_be_a_link(root, limit):
    (root.parent / "link").symlink_to(root)
    limit(allow_path=str(root.parent / "link"))
    np.testing.assert_array_equal(sent(Message(path="a.png")), PIXELS)
    np.testing.assert_array_equal(sent(Message(path=str(root / "a.png"))), PIXELS)
    assert "leaves the allowed folder" in path_refused("../secret.png")
