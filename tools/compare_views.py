"""Compares masks of the embedded segmenter from one view, from two, and from two where the first is unsure.

`make compare-views` runs it. Objects of known alpha (scenes.py) are placed at random on other photos: small and large,
stretched, on sharp and on blurred grounds, every third one beside another object. Half of the objects are those that
the level was chosen with; the others were held out. An error is 1 - the masks' intersection over their union, soft.
"""

import argparse
from collections.abc import Callable

import cv2
import numpy as np
from scenes import PAIRS, alpha_of, covering, over, photo

from tensorhop.models.answers import shared_answers
from tensorhop.services.postprocess.center import visible_box
from tensorhop.services.segment import embedded
from tensorhop.values.geometry import Box, Size, size_of

SIZES = (Size(600, 400), Size(640, 640), Size(400, 600))
SIDE = 512  # pixels: an object's longer side before it is placed
JITTER = 0.02  # of a box's sides: how far a detector's box is from the object's
Rule = Callable[[np.ndarray], bool]  # whether the second view is taken, from the saliency of the first
RULES: dict[str, Rule] = {"one view": lambda _: False, "two views": lambda _: True, "where unsure": embedded.is_unsure}
Scene = tuple[np.ndarray, np.ndarray, Box]  # the picture, the object's alpha, its box


def place(picture: np.ndarray, pair: tuple[str, str, str], part: slice, random: np.random.Generator) -> np.ndarray:
    """Put an object into some of a picture's columns; returns its alpha, height x width."""
    name, foreground, _ = pair
    alpha = alpha_of(name, SIDE)
    colours = covering(photo(foreground), size_of(alpha))
    cut = visible_box(alpha).slices
    alpha, colours = alpha[cut], colours[cut]
    room = picture[:, part]
    stretch, share = float(np.exp(random.uniform(-1, 1))) ** 0.5, random.uniform(0.4, 0.95)
    width, height = alpha.shape[1] * stretch, alpha.shape[0] / stretch
    scale = share * min(room.shape[1] / width, room.shape[0] / height)
    size = Size(max(8, int(width * scale)), max(8, int(height * scale)))
    alpha, colours = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (alpha, colours))
    x, y = (int(random.integers(0, each + 1)) for each in (room.shape[1] - size.width, room.shape[0] - size.height))
    where = np.s_[y : y + size.height, x : x + size.width]
    room[where] = over(colours, room[where], alpha)
    whole = np.zeros(picture.shape[:2], np.float32)
    whole[:, part][where] = alpha
    return whole


def scene(pairs: list[tuple[str, str, str]], random: np.random.Generator) -> Scene:
    """One of the objects on the background of another."""
    pair, other = (pairs[index] for index in random.choice(len(pairs), 2, replace=False))
    picture = covering(photo(other[2]), SIZES[random.integers(len(SIZES))]).copy()
    if random.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), float(random.uniform(1, 6)))
    part = slice(None)
    if random.random() < 1 / 3:
        half = picture.shape[1] // 2
        part = slice(0, half)
        place(picture, other, slice(half, None), random)
    alpha = place(picture, pair, part, random)
    box = np.array(visible_box(alpha), float)
    box += random.normal(0, JITTER, 4) * np.tile(box[2:] - box[:2], 2)
    return picture, alpha, Box(*map(float, box))


def error(segmenter: embedded.EmbeddedSegmenter, made: Scene) -> float:
    picture, alpha, box = made
    (mask,) = segmenter.predict([picture], [box])
    found = np.zeros_like(alpha)
    found[mask.region.slices] = mask.alpha / np.float32(255)
    return 1 - float(np.minimum(found, alpha).sum() / np.maximum(found, alpha).sum())


def noted(unsure: Rule, asked: list[bool]) -> Rule:
    """A rule whose answers are noted."""

    def ask(look: np.ndarray) -> bool:
        asked.append(unsure(look))
        return asked[-1]

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="scenes of each half")
    count, segmenter = parser.parse_args().count, embedded.EmbeddedSegmenter()
    print("| objects | rule | mean error | largest loss against two views | views a mask |\n|---|---|---|---|---|")
    for half, title in enumerate(("chosen with", "held out")):
        random = np.random.default_rng(half)
        errors: dict[str, list[float]] = {rule: [] for rule in RULES}
        asked: list[bool] = []
        taken = []
        for _ in range(count):
            made = scene(list(PAIRS[half::2]), random)
            with shared_answers():
                for rule, unsure in RULES.items():
                    embedded.is_unsure = noted(unsure, asked)  # type: ignore[assignment]
                    errors[rule].append(error(segmenter, made))
            taken.append(asked[-1])
        for rule, found in errors.items():
            loss = max(np.subtract(found, errors["two views"]))
            views = {"one view": 1.0, "two views": 2.0}.get(rule, 1 + float(np.mean(taken)))
            print(f"| {title} | {rule} | {np.mean(found):.4f} | {loss:.3f} | {views:.2f} |", flush=True)


if __name__ == "__main__":
    main()
