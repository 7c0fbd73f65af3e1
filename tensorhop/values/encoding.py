"""Encoding of pixels as image files: PNG, WebP and JPEG, in sRGB and tagged as sRGB."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageCms

from tensorhop.values.colours import Colour
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.geometry import Region
from tensorhop.values.images.png import encode_png, fast_png, strips_of
from tensorhop.values.output_options import PNG_LEVEL, QUALITY, Output
from tensorhop.values.results import Layer

# ImageCms writes the current time into a profile. With a fixed time, the same pixels give the same file.
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SRGB = SRGB[:24] + bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]) + SRGB[36:]  # 1 January 2000
OVERSHOOTS = (12, 24, 60)  # levels beyond 0 to 255 at which the background is drawn; the next if one is not enough
HEADROOM = (2, 3)  # the contrast, as a fraction, at which a JPEG is encoded: leaves room for 63 levels beyond 0 to 255
QUANTIZATION = 0xDB  # the marker of a JPEG segment that holds a quantization table
BETTER = 10  # added to the quality as long as the background does not decode exactly


def encode_layers(layers: Sequence[Layer], canvas: Region, output: Output, lossless: bool = True) -> bytes:
    """The picture that `compose` makes of a canvas, as an image file.

    A PNG of the fastest level is composited and compressed strip by strip, so its canvas is never whole in memory.

    Args:
        layers: straight-alpha RGBA, uint8; the bottom layer first.
        canvas: the pixels that the file holds; not empty.
        output, lossless: as for `encode_picture`.
    """
    colour = output.colour
    if output.encoding != "png" or (output.png_level or PNG_LEVEL) != PNG_LEVEL:
        return encode_picture(compose(layers, canvas), output, lossless)

    def strip(first: int, last: int) -> np.ndarray:
        pixels = compose(layers, Region(canvas.x0, canvas.y0 + first, canvas.x1, canvas.y0 + last))
        return flatten(pixels, colour)[..., :3] if colour else pixels

    channels = 3 if colour else 4
    strips = (strip(first, last) for first, last in strips_of(canvas.size, channels))
    return fast_png(strips, canvas.size, channels)


def encode_picture(pixels: np.ndarray, output: Output, lossless: bool = True) -> bytes:
    """A picture as an image file.

    Args:
        pixels: straight-alpha RGBA, uint8, height x width x 4.
        output: already checked; its encoding is not "tensor". Where alpha is 0, PNG and WebP hold exactly its
            background. For JPEG, see `encode_jpeg`.
        lossless: whether a WebP over a background is; its background is a plain colour.
    """
    colour, quality = output.colour, output.quality or QUALITY
    if output.encoding == "jpeg":
        assert colour is not None
        return encode_jpeg(flatten(pixels, colour)[..., :3], pixels[..., 3] == 0, colour, quality)
    if colour is not None:
        pixels = flatten(pixels, colour)[..., :3]
    if output.encoding == "png":
        return encode_png(pixels, output.png_level or PNG_LEVEL)
    return encode_webp(pixels, quality, lossless)


def encode_opaque(pixels: np.ndarray, output: Output) -> bytes:
    """An opaque picture as an image file.

    Args:
        pixels: uint8, height x width x 3, RGB.
        output: already checked; its encoding is not "tensor". WebP is lossy.
    """
    if output.encoding == "png":
        return encode_png(pixels, output.png_level or PNG_LEVEL)
    quality = output.quality or QUALITY
    return jpeg(pixels, quality, (1, 1)) if output.encoding == "jpeg" else encode_webp(pixels, quality, lossless=False)


def encode_webp(pixels: np.ndarray, quality: int = QUALITY, lossless: bool = True) -> bytes:
    """A WebP file of pixels.

    A lossy WebP halves the resolution of colours, so a plain background around an object would change. Therefore opaque
    pictures are encoded without loss, unless their background is a picture itself.

    Args:
        pixels: uint8, height x width x 3 (RGB) or height x width x 4 (RGBA: lossy colours, lossless alpha).
        quality: 1 to 100, of lossy colours.
        lossless: of RGB.
    """
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if lossless and pixels.shape[2] == 3:
        image.save(file, "WEBP", lossless=True, quality=50, method=2, icc_profile=SRGB)  # here, the effort
    else:
        image.save(file, "WEBP", quality=quality, alpha_quality=100, method=4, icc_profile=SRGB)
    return file.getvalue()


def encode_jpeg(pixels: np.ndarray, background: np.ndarray, colour: Colour, quality: int = QUALITY) -> bytes:
    """A JPEG file whose background keeps its exact colour beside the object.

    Usually, an object's edges ring into the background. A decoder clips red, green and blue at 0 and 255. So if the
    background's colour is made of 0 and 255 only, such as white, it is drawn beyond that range, and the ringing is
    clipped off. To make room, the picture is encoded at 2/3 of its contrast, and the quantization tables state 3/2 of
    the steps that were used. Red, green and blue are stored without conversion (Adobe's transform 0). The file is
    decoded to check the result. If the background is not exact, first the overshoot is raised, then the quality.

    Args:
        pixels: uint8, height x width x 3, composited on the background.
        background: bool, height x width: the pixels that show only background.
        colour: of the background: sRGB, 0 to 255.
        quality: 1 to 100, on libjpeg's scale.

    Returns:
        The file. If the colour is made of 0 and 255 only, every background pixel decodes to it. Otherwise, those do
        that lie in a block of 8 x 8 pixels without the object.
    """
    extreme = all(channel in (0, 255) for channel in colour)
    if not extreme or not background.any():
        return jpeg(pixels, quality, (1, 1))
    outwards = np.where(np.array(colour) == 255, 1, -1)
    picture = cv2.LUT(pixels, narrowed(np.arange(256)))
    while True:
        for overshoot in OVERSHOOTS:
            np.copyto(picture, narrowed(np.array(colour) + overshoot * outwards), where=background[..., None])
            file = jpeg(picture, quality, HEADROOM)
            with Image.open(io.BytesIO(file)) as image:
                kept = cv2.inRange(np.asarray(image), np.array(colour), np.array(colour)).view(bool)
            if (kept | ~background).all():
                return file
        if quality == 100:
            return file
        quality = min(quality + BETTER, 100)


def narrowed(values: np.ndarray) -> np.ndarray:
    """Levels of any shape with the contrast of HEADROOM around 128, rounded and clipped to uint8."""
    small, large = HEADROOM
    return np.rint(128 + (values - 128) * (small / large)).clip(0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int, contrast: tuple[int, int]) -> bytes:
    """A JPEG file of pixels whose contrast a decoder divides by a fraction.

    Args:
        pixels: uint8, height x width x 3, RGB.
        quality: 1 to 100.
        contrast: numerator and denominator of the fraction.
    """
    small, large = contrast
    steps = [min(max(1, round(step / large)), 255 // large) for step in luminance_steps(quality)]
    steps[0] = min(steps[0], 8 // large)  # up to a step of 8, a block of one colour keeps it exactly
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    table = [small * step for step in steps]
    image.save(file, "JPEG", qtables=[table], keep_rgb=True, optimize=True, icc_profile=SRGB)
    data = file.getvalue()
    at = 2
    while data[at + 1] != QUANTIZATION:  # each segment starts with 255, its marker, and two bytes of length
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    first, last = at + 5, at + 5 + 64
    return data[:first] + bytes(step // small * large for step in data[first:last]) + data[last:]


def luminance_steps(quality: int) -> list[int]:
    """libjpeg's 64 quantization steps of luminance for a quality from 1 to 100."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return list(image.quantization[0])  # type: ignore[attr-defined]
