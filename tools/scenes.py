"""Composites whose foreground, background and alpha are known, for the tools that compare."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pymatting
import skimage.data
import sklearn.datasets

from tensorhop.services.embedded.saliency import Saliency
from tensorhop.values.geometry import Size, size_of


@dataclass(frozen=True)
class Scene:
    """An object photo seen through alpha in front of a background photo."""

    name: str
    foreground: np.ndarray  # uint8, height x width x 3
    background: np.ndarray
    alpha: np.ndarray  # float32, height x width, 0 to 1 in steps of 1/255

    @property
    def image(self) -> np.ndarray:
        return over(self.foreground, self.background, self.alpha)


def over(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The foreground in front of the background: uint8."""
    return np.rint(background + alpha[..., None] * (foreground.astype(np.float32) - background)).astype(np.uint8)


@cache
def photo(name: str) -> np.ndarray:
    """A photo that scikit-image or scikit-learn brings, uint8, height x width x 3."""
    if name in ("flower.jpg", "china.jpg"):
        return sklearn.datasets.load_sample_image(name)
    if name == "motorcycle":
        return skimage.data.stereo_motorcycle()[0]
    return getattr(skimage.data, name)()


def covering(picture: np.ndarray, size: Size) -> np.ndarray:
    """The middle of a picture, as large as it can be in a size's shape, at that size."""
    height, width = picture.shape[:2]
    scale = min(width / size.width, height / size.height)
    across, down = round(size.width * scale), round(size.height * scale)
    y, x = (height - down) // 2, (width - across) // 2
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return cv2.resize(picture[y : y + down, x : x + across], size, interpolation=method)


def stepped(alpha: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.float32) / np.float32(255)


@cache
def matte(name: str) -> np.ndarray:
    """The matte of a photo's object, by closed-form matting (Levin et al. 2008) between what U2-Net-p is sure of."""
    picture = photo(name)
    seen = Saliency().predict(picture)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    trimap = np.full(seen.shape, 0.5)
    trimap[cv2.erode((seen > 0.9).astype(np.uint8), kernel) > 0] = 1
    trimap[cv2.dilate((seen > 0.1).astype(np.uint8), kernel) == 0] = 0
    alpha = pymatting.estimate_alpha_cf(picture / 255, trimap)
    return np.clip((alpha.astype(np.float32) - 0.04) / 0.92, 0, 1)  # closed-form matting leaves a haze


@cache
def motorcycle() -> np.ndarray:
    """What is near in the stereo pair: a motorcycle with its spokes, binary."""
    disparity = skimage.data.stereo_motorcycle()[2]
    near = (np.where(np.isfinite(disparity), disparity, 0) > 36).astype(np.float32)
    near[376:] = 0  # the floor
    return cv2.morphologyEx(near, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))  # pixels without a disparity


def hairs(side: int) -> np.ndarray:
    """A head with fine hairs around it, drawn."""
    random, shift = np.random.default_rng(7), 4
    mask = np.zeros((side, side), np.uint8)
    cv2.ellipse(mask, (side // 2, side * 6 // 11), (side // 5, side // 4), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for angle in np.linspace(0, 2 * np.pi, 150, endpoint=False):
        bend, long = random.normal(0, 0.5), random.uniform(0.28, 0.42)
        t = np.linspace(0.15, long, 24)
        turn = angle + bend * (t - 0.15) * 3
        x, y = side * (0.5 + t * np.cos(turn)), side * (0.54 + t * np.sin(turn))
        points = np.rint(np.stack([x, y], 1) * 2**shift).astype(np.int32)
        strand = np.zeros_like(mask)
        cv2.polylines(strand, [points], False, int(random.uniform(70, 255)), 1, cv2.LINE_AA, shift)
        mask = np.maximum(mask, strand)
    return mask.astype(np.float32) / 255


def fur(side: int) -> np.ndarray:
    """A ball with dense short hairs, drawn."""
    random = np.random.default_rng(3)
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (side // 2, side // 2), side * 3 // 10, 255, -1, cv2.LINE_AA)
    for angle in np.linspace(0, 2 * np.pi, 900, endpoint=False):
        turn, long = angle + random.normal(0, 0.06), random.uniform(0.31, 0.37)
        start = (side * (0.5 + 0.28 * np.cos(angle)), side * (0.5 + 0.28 * np.sin(angle)))
        stop = (side * (0.5 + long * np.cos(turn)), side * (0.5 + long * np.sin(turn)))
        cv2.line(mask, tuple(map(round, start)), tuple(map(round, stop)), int(random.uniform(90, 255)), 1, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def wheel(side: int) -> np.ndarray:
    """A wheel with spokes, drawn."""
    mask, middle = np.zeros((side, side), np.uint8), (side // 2, side // 2)
    cv2.circle(mask, middle, round(0.36 * side), 255, max(2, side // 24), cv2.LINE_AA)
    cv2.circle(mask, middle, round(0.05 * side), 255, -1, cv2.LINE_AA)
    for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        stop = (round(side * (0.5 + 0.36 * np.cos(angle))), round(side * (0.5 + 0.36 * np.sin(angle))))
        cv2.line(mask, middle, stop, 255, max(1, side // 400), cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def defocused(side: int) -> np.ndarray:
    """A disc, sharp on the left and out of focus on the right."""
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (side // 2, side // 2), side // 3, 255, -1, cv2.LINE_AA)
    alpha = mask.astype(np.float32) / 255
    blurred = cv2.GaussianBlur(alpha, (0, 0), side / 50)
    alpha[:, side // 2 :] = blurred[:, side // 2 :]
    return alpha


PAIRS = (  # the alpha, the photo that the object's colours are of, the background
    ("astronaut", "astronaut", "china.jpg"),
    ("chelsea", "chelsea", "flower.jpg"),
    ("coffee", "coffee", "chelsea"),
    ("rocket", "rocket", "coffee"),
    ("flower.jpg", "flower.jpg", "china.jpg"),
    ("motorcycle", "motorcycle", "rocket"),
    ("hairs", "astronaut", "motorcycle"),
    ("fur", "chelsea", "china.jpg"),
    ("wheel", "rocket", "coffee"),
    ("defocused", "flower.jpg", "astronaut"),
)


def alpha_of(name: str, side: int) -> np.ndarray:
    """A matte whose longer side is `side`."""
    drawn = {"hairs": hairs, "fur": fur, "wheel": wheel, "defocused": defocused}
    if name in drawn:
        return stepped(drawn[name](side))
    whole = motorcycle() if name == "motorcycle" else matte(name)
    height, width = whole.shape
    scale = side / max(whole.shape)
    return stepped(covering(whole, Size(round(width * scale), round(height * scale))))


def scenes(side: int) -> list[Scene]:
    """All pairs at a size."""
    made = []
    for name, foreground, background in PAIRS:
        alpha = alpha_of(name, side)
        size = size_of(alpha)
        title = f"{name} over {background}".replace(".jpg", "")
        made.append(Scene(title, covering(photo(foreground), size), covering(photo(background), size), alpha))
    return made
