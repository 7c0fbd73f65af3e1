"""The photos on which the embedded upscaler is trained and judged, and how small ones are made of them.

They come from Debian's package lomiri-wallpapers-16.04 (`apt-get download lomiri-wallpapers-16.04`, then
`dpkg-deb -x FILE FOLDER`), scikit-learn and scikit-image. The network is trained on photos whose licence asks for
attribution at most: CC0, public domain or CC BY, all named in services/embedded/weights/NOTICE. Those under CC BY-SA
are among the photos that it never sees.
"""

import importlib.util
import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# Name: the sizes in pixels of the longer side to which it is reduced for training, 0 for as it is.
TRAINED = {
    "aitzgorri_by_Aitzol_Berasategi.jpg": (1600, 900),
    "friends_by_Aitzol_Berasategi.jpg": (1600, 900),
    "life_by_Aitzol_Berasategi.jpg": (1600, 900),
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": (1600, 900),
    "sunset_by_Aitzol_Berasategi.jpg": (1600,),
    "Picture_0B_by_freespace.jpg": (1280, 800),
    "Picture_1A_by_freespace.jpg": (680,),
    "seeding_by_Clements_Engelhardt.jpg": (1600, 900),
    "umang_by_Abhishek_Mudgal.jpg": (1600, 900),
    "Wine_by_Jakkub_Mede.jpg": (1600, 900),
    "sklearn:china.jpg": (0,),
    "skimage:astronaut.png": (0,),
    "skimage:brick.png": (0,),
    "skimage:camera.png": (0,),
    "skimage:grass.png": (0,),
    "skimage:gravel.png": (0,),
}
HELD_OUT = {
    "analogpattern_by_Peter_Nerlich.jpg": 1200,
    "Bridge_by_Sander_Klootwijk.jpg": 1200,
    "Dragonfly_by_Bolly.jpg": 1200,
    "free_by_Peter_Nerlich.jpg": 1200,
    "greentock_by_Peter_Nerlich.jpg": 1200,
    "sklearn:flower.jpg": 0,
    "skimage:chelsea.png": 0,
    "skimage:coffee.png": 0,
    "skimage:rocket.jpg": 0,
}
FOLDERS = {"sklearn": "datasets/images", "skimage": "data"}  # in the packages
REDUCTIONS = ("area", "bicubic")


def photo(name: str, side: int, wallpapers: Path) -> np.ndarray:
    """One of the photos: uint8, height x width x 3, sRGB, its sides even and the longer one `side` pixels if not 0."""
    package, _, file = name.rpartition(":")
    if package:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{name} needs the package {package}")
        path = Path(spec.origin).parent / FOLDERS[package] / file
    else:
        path = next(wallpapers.rglob(file), wallpapers / file)
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    if side:
        scale = side / max(pixels.shape[:2])
        size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])


def reduced(pixels: np.ndarray, how: str, scale: int = 2) -> np.ndarray:
    """A photo at 1 / scale of its size, uint8: by means of blocks ("area"), or by Pillow's anti-aliased bicubic."""
    size = pixels.shape[1] // scale, pixels.shape[0] // scale
    if how == "area":
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """A photo after Pillow's JPEG of a quality, with its chroma at half the size."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.array(image)


def luma(pixels: np.ndarray) -> np.ndarray:
    """Y of ITU-R BT.601, float32, 0 to 255, of RGB of any dtype."""
    return pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
