"""Image files of every kind as pixels, alpha and masks."""

from tensorhop.values.images.decoding import (
    Photo,
    check_size,
    decode_image,
    decode_mask,
    decode_photo,
    image_size,
    to_srgb,
    upright,
)
from tensorhop.values.images.ground import CLEAR, OBJECT, is_cut_out

__all__ = [
    "CLEAR",
    "OBJECT",
    "Photo",
    "check_size",
    "decode_image",
    "decode_mask",
    "decode_photo",
    "image_size",
    "is_cut_out",
    "to_srgb",
    "upright",
]
