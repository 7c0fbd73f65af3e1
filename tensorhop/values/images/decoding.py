"""Decoding of image files to upright sRGB pixels and their alpha, or to masks."""

import io
import re
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from tensorhop.errors import InvalidInput
from tensorhop.settings import current_settings
from tensorhop.values.images.formats import readable_formats
from tensorhop.values.images.ground import ground_of
from tensorhop.values.images.repair import MAX_PROFILE, repaired

FORMATS = readable_formats()
ANIMATED = ("GIF", "WEBP", "PNG")
MAGIC = {
    "JPEG": rb"\xff\xd8",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*",
    "BMP": rb"BM",
    "GIF": rb"GIF8[79]a",
}
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # check_size has its own limit
warnings.filterwarnings("ignore", module=r"PIL\.")  # what lies beside the pixels does not matter
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE  # of colour profiles too
SRGB = ImageCms.createProfile("sRGB")
ORIENTATION = 0x0112  # of EXIF
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BAND = 1024  # rows that are copied at once


@dataclass(frozen=True)
class Photo:
    """A decoded image."""

    pixels: np.ndarray  # height x width x 3, uint8, sRGB, upright; over a plain ground where it is transparent
    alpha: np.ndarray | None = None  # height x width, uint8; None if all of it is opaque
    warnings: tuple[str, ...] = ()  # what the caller should know, a sentence each


def decode_photo(data: bytes | memoryview, field: str = "image") -> Photo:
    """An image file's pixels, its alpha, and what the caller should know about it.

    A picture over the limits is refused by its header, before decoding. EXIF orientation and ICC profile are applied.
    16 bits become 8. Transparent pixels are composited on white, or on grey or black if the object's edge is white. Of
    an animation, the first frame is taken. A file is decoded if all its pixels can be, whatever else in it is damaged.

    Raises:
        InvalidInput: it is not an image file, pixels are missing, or it has too many pixels.
    """
    image = open_image(data, field)
    colours, alpha = to_srgb(image, field)
    pixels = pixels_of(colours)
    warned = empty_frame_warning(data, pixels, alpha)
    if alpha is not None:
        pixels = on_ground(pixels, alpha)
    return Photo(pixels, alpha, (warned,) if warned else ())


def decode_image(data: bytes | memoryview, field: str = "image") -> np.ndarray:
    """The pixels of an image file: uint8, height x width x 3, sRGB, upright. As in `decode_photo`."""
    return decode_photo(data, field).pixels


def decode_mask(data: bytes | memoryview, field: str = "mask") -> np.ndarray:
    """An image file as a mask: uint8, height x width.

    The mask is the picture's alpha if any pixel is transparent, otherwise its brightness.

    Raises:
        InvalidInput: as `decode_photo` does.
    """
    image = open_image(data, field)
    alpha = alpha_of(image)
    return np.asarray(to_eight_bits(image, field).convert("L")) if alpha is None else alpha


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height by the file's header, not yet upright; 0 x 0 where it cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            return file.size
    except Exception:  # decoding says what is wrong
        return 0, 0


def open_image(data: bytes | memoryview, field: str) -> Image.Image:
    """The decoded, upright image in the mode of its file. Raises InvalidInput as `decode_photo` does."""
    if len(data) == 0:
        raise InvalidInput(field, "is empty; give the bytes of an image file")
    try:
        return upright(load(data, field))
    except InvalidInput:
        raise
    except Exception as error:  # Pillow's decoders can raise anything on a broken file
        kind = kind_of(data)
        if kind is None and isinstance(error, UnidentifiedImageError):
            known = ", ".join(FORMATS)
            raise InvalidInput(field, f"is not an image file; known formats are {known}") from error
    for variants in repaired(bytes(data), kind) if kind else ():
        if (image := same_picture(variants, field)) is not None:
            return upright(image)
    raise InvalidInput(field, f"is a broken image file: not all pixels of this {kind or 'file'} can be decoded")


def load(data: bytes | memoryview, field: str) -> Image.Image:
    """The image with all its pixels. Raises InvalidInput: it has too many; or anything else that Pillow raises."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            check_size(*image.size, field)
            image.load()
            if image.mode.startswith("P") and image.palette is None:
                raise ValueError("a palette is missing")
            return image
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # Pillow raises before it gives the size
        most = current_settings().max_pixels
        raise InvalidInput(field, f"has {pixels:,} pixels; at most {most:,} are allowed") from error


def kind_of(data: bytes | memoryview) -> str | None:
    """The format that the first bytes tell."""
    start = bytes(data[:12])
    return next((kind for kind, magic in MAGIC.items() if re.match(magic, start, re.DOTALL)), None)


def same_picture(variants: tuple[bytes, ...], field: str) -> Image.Image | None:
    """The picture that all of these files show; None if one of them cannot be decoded or shows another."""
    try:
        images = [load(variant, field) for variant in variants]
    except InvalidInput:
        raise
    except Exception:  # as above
        return None
    first = images[0]
    same = all(image.size == first.size and image.tobytes() == first.tobytes() for image in images[1:])
    return first if same and first.size[0] else None


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation says it is to be seen; as it is where that cannot be read."""
    try:
        method = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # what lies beside the pixels does not matter
        method = None
    return image if method is None else with_info(image.transpose(method), image)


def with_info(image: Image.Image, source: Image.Image) -> Image.Image:
    image.info = dict(source.info)
    return image


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


def alpha_of(image: Image.Image) -> np.ndarray | None:
    """Height x width, uint8; None where all of it is opaque."""
    if not image.has_transparency_data:
        return None
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return alpha if alpha.min() < 255 else None


def to_srgb(image: Image.Image, field: str) -> tuple[Image.Image, np.ndarray | None]:
    """An image of any of Pillow's modes and any embedded profile as RGB in sRGB; and its alpha, as in `alpha_of`."""
    profile, alpha = image.info.get("icc_profile"), alpha_of(image)
    image = to_eight_bits(image, field)
    if image.has_transparency_data:
        image = image.convert("RGBA").convert("RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    if profile:
        image = apply_profile(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB"), alpha


def apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """An image converted from an ICC profile to sRGB. A broken or unfitting profile is ignored, as browsers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return image
    return image if converted is None else converted


def pixels_of(image: Image.Image) -> np.ndarray:
    """Height x width x 3 of an RGB image, by bands: as one, Pillow would hold it three times meanwhile."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):
        rows = pixels[top : top + BAND]
        rows[:] = np.asarray(image.crop((0, top, image.width, top + len(rows))))
    return pixels


def on_ground(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Pixels laid on a plain ground, from which the object differs."""
    ground = Image.new("RGB", (pixels.shape[1], pixels.shape[0]), ground_of(pixels, alpha))
    ground.paste(Image.fromarray(pixels), mask=Image.fromarray(alpha))
    return pixels_of(ground)


def empty_frame_warning(data: bytes | memoryview, pixels: np.ndarray, alpha: np.ndarray | None) -> str:
    """What to say of an animation whose first frame shows nothing; "" of all else."""
    if not ((alpha is not None and not alpha.any()) or (pixels == pixels[0, 0]).all()):
        return ""
    try:
        with Image.open(io.BytesIO(data), formats=ANIMATED) as file:
            frames = getattr(file, "n_frames", 1)
    except Exception:  # it is another format, or a later frame is broken
        return ""
    if frames == 1:
        return ""
    return (
        f"The photo is an animation of {frames} frames; only the first is looked at, and it is empty: "
        "send the frame that shows the object."
    )


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
