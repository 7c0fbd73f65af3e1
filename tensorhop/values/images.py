"""Decoding of image files to upright sRGB pixels or to masks."""

import io
import re
import warnings

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tensorhop.errors import InvalidInput
from tensorhop.settings import current_settings
from tensorhop.values.image_formats import readable_formats

FORMATS = readable_formats()
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # check_size has its own limit
SRGB = ImageCms.createProfile("sRGB")


def decode_image(data: bytes | memoryview, field: str = "image") -> np.ndarray:
    """The pixels of an image file: uint8, height x width x 3, sRGB, upright.

    A picture over the limits is refused by its header, before decoding. EXIF orientation and ICC profile are applied.
    16 bits become 8. Transparent pixels are composited on white. Of an animation, the first frame is taken.

    Raises:
        InvalidInput: it is not an image file, it is broken, or it has too many pixels.
    """
    return np.asarray(to_srgb(open_image(data, field), field))


def decode_mask(data: bytes | memoryview, field: str = "mask") -> np.ndarray:
    """An image file as a mask: uint8, height x width.

    The mask is the picture's alpha if any pixel is transparent, otherwise its brightness.

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
    """The decoded, upright image in the mode of its file. Raises InvalidInput as `decode_image` does."""
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
        pixels = int(re.findall(r"\d+", str(error))[0])  # Pillow raises before it gives the size
        most = current_settings().max_pixels
        raise InvalidInput(field, f"has {pixels:,} pixels; at most {most:,} are allowed") from error
    except UnidentifiedImageError as error:
        raise InvalidInput(field, f"is not an image file; known formats are {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow's decoders can raise anything on a broken file
        raise InvalidInput(field, f"is a broken image file: {error}") from error


def to_eight_bits(image: Image.Image, field: str) -> Image.Image:
    """An image with 16-bit grey scaled to 8-bit grey, which Pillow would clip. Other images are unchanged.

    Raises:
        InvalidInput: the samples are floating-point numbers.
    """
    if image.mode == "F":
        raise InvalidInput(field, "holds floating-point samples; 8 or 16 bits are supported")
    if not image.mode.startswith("I"):
        return image
    samples = np.asarray(image).clip(0, 65535).astype(np.uint32)
    return Image.fromarray(((samples + 128) // 257).astype(np.uint8))


def to_srgb(image: Image.Image, field: str) -> Image.Image:
    """An image of any of Pillow's modes and any embedded profile as RGB in sRGB, composited on white."""
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
    """An image converted from an ICC profile to sRGB. A broken or unfitting profile is ignored, as browsers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        return image
    return image if converted is None else converted


def check_size(width: int, height: int, field: str) -> None:
    """Raises InvalidInput: the size is empty or over the limits."""
    most = current_settings()
    if width < 1 or height < 1:
        raise InvalidInput(field, f"is {width} x {height} pixels; at least 1 x 1 is needed")
    if width * height > most.max_pixels:
        raise InvalidInput(
            field, f"is {width} x {height} = {width * height:,} pixels; at most {most.max_pixels:,} are allowed"
        )
    if max(width, height) > most.max_side:
        raise InvalidInput(field, f"is {width} x {height} pixels; a side may have at most {most.max_side:,}")
