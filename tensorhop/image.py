"""Where an image comes from: a tensor, an encoded file, or an allowed path. All become upright sRGB, uint8, RGB."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from tensorhop.errors import InvalidInput
from tensorhop.payloads import Payloads
from tensorhop.settings import limits
from tensorhop.tensor import to_array
from tensorhop.v1 import image_pb2 as pb

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # check_size has its own limit
SRGB = ImageCms.createProfile("sRGB")


def read_image(image: pb.Image, payloads: Payloads, field: str = "image") -> np.ndarray:
    """The pixels of a message: uint8, height x width x 3, sRGB.

    Raises:
        InvalidInput: no source, a tensor that is not such an array, a file that cannot be decoded, too many pixels, a
            path that is not allowed.
    """
    source = image.WhichOneof("source")
    if source is None:
        raise InvalidInput(field, "is missing; give tensor, encoded or path")
    if source == "encoded":
        return decode_image(payloads.get(image.encoded), f"{field}.encoded")
    if source == "path":
        return decode_image(read_path(image.path, f"{field}.path"), f"{field}.path")
    array = to_array(image.tensor, payloads, f"{field}.tensor")
    if array.dtype != np.uint8:
        raise InvalidInput(f"{field}.tensor.dtype", f"is {image.tensor.dtype}; an image is UINT8")
    if array.ndim != 3 or array.shape[2] != 3:
        raise InvalidInput(
            f"{field}.tensor.shape", f"is {list(array.shape)}; an image is [height, width, 3], its channels R, G, B"
        )
    check_size(array.shape[1], array.shape[0], f"{field}.tensor.shape")
    return array


def read_path(path: str, field: str) -> bytes:
    """The bytes of a file under the allowed root (TENSORHOP_ALLOW_PATH), wherever symbolic links and `..` lead.

    Raises:
        InvalidInput: paths are off, the path leaves the root, or no file can be read there.
    """
    if not limits().allow_path:
        raise InvalidInput(field, "is given, but paths are off; start the service with --allow-path, or send encoded")
    root = Path(limits().allow_path).resolve()
    try:
        if not (root / path).resolve().is_relative_to(root):
            raise InvalidInput(field, "leaves the allowed folder")
        found = (root / path).resolve(strict=True)
        most = limits().max_message_bytes
        if found.stat().st_size > most or not found.is_file():
            raise InvalidInput(field, f"must name a file of at most {most:,} bytes")
        with found.open("rb") as file:
            return file.read(most)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, InvalidInput):
            raise
        reason = getattr(error, "strerror", None) or "it is no path"  # without the folders of this machine
        raise InvalidInput(field, f"cannot be read: {reason}") from error


def decode_image(data: bytes | memoryview, field: str = "image") -> np.ndarray:
    """Decode an image file: uint8, height x width x 3, sRGB, upright.

    The size is read from the header and refused before decoding. EXIF orientation and ICC profile are applied, 16 bits
    become 8, transparent pixels are laid on white, and of an animation the first frame is taken.

    Raises:
        InvalidInput: not an image, a truncated one, or one with too many pixels.
    """
    return np.asarray(to_srgb(open_image(data, field), field))


def decode_mask(data: bytes | memoryview, field: str = "mask") -> np.ndarray:
    """Decode a picture as a mask: uint8, height x width. Its alpha if any pixel is transparent, else its brightness.

    Raises:
        InvalidInput: as `decode_image` does.
    """
    image = open_image(data, field)
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() < 255:
            return alpha
    return np.asarray(to_eight_bits(image, field).convert("L"))


def open_image(data: bytes | memoryview, field: str) -> Image.Image:
    """The decoded, upright image in whatever mode its file has. Raises InvalidInput."""
    if len(data) == 0:
        raise InvalidInput(field, "is empty; give the bytes of an image file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            check_size(*file.size, field)
            upright = ImageOps.exif_transpose(file)
            upright.load()
            return upright
    except InvalidInput:
        raise
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # Pillow refuses before it tells the size
        raise InvalidInput(field, f"has {pixels:,} pixels; at most {limits().max_pixels:,} are allowed") from error
    except Image.UnidentifiedImageError as error:
        raise InvalidInput(field, f"is not an image file; known formats are {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise InvalidInput(field, f"is a broken image file: {error}") from error


def to_eight_bits(image: Image.Image, field: str) -> Image.Image:
    """16-bit grey as 8-bit grey, which Pillow would clip instead of scale; other images as they are."""
    if image.mode == "F":
        raise InvalidInput(field, "holds floating-point samples; 8 or 16 bits are supported")
    if not image.mode.startswith("I"):
        return image
    samples = np.asarray(image).clip(0, 65535).astype(np.uint32)
    return Image.fromarray(((samples + 128) // 257).astype(np.uint8))


def to_srgb(image: Image.Image, field: str) -> Image.Image:
    """Convert any of Pillow's modes and any embedded profile to RGB in sRGB; transparent pixels become white."""
    profile = image.info.get("icc_profile")
    image = to_eight_bits(image, field)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    image = (apply_profile(image, profile) if profile else image).convert("RGB")
    if alpha is None:
        return image
    on_white = Image.new("RGB", image.size, "white")
    on_white.paste(image, mask=alpha)
    return on_white


def apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert from an ICC profile to sRGB. A broken profile, or one for other channels, is left out, as browsers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        return image
    return image if converted is None else converted


def check_size(width: int, height: int, field: str) -> None:
    """Refuse a size that is empty or over the limits."""
    most = limits()
    if width < 1 or height < 1:
        raise InvalidInput(field, f"is {width} x {height} pixels; at least 1 x 1 is needed")
    if width * height > most.max_pixels:
        raise InvalidInput(
            field, f"is {width} x {height} = {width * height:,} pixels; at most {most.max_pixels:,} are allowed"
        )
    if max(width, height) > most.max_side:
        raise InvalidInput(field, f"is {width} x {height} pixels; a side may have at most {most.max_side:,}")
