"""Image files of every kind as pixels, alpha and masks."""

from tensorhop.values.images.decoding import Photo, check_size, decode_image, decode_mask, decode_photo, image_size

__all__ = ["Photo", "check_size", "decode_image", "decode_mask", "decode_photo", "image_size"]
