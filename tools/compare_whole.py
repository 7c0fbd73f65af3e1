"""Compares cut-outs of mildly changed photos with those of the unchanged ones, and looks for straight cuts.

`make compare-whole` runs it. The photos are those of examples/photos, scikit-image and scikit-learn; --photos adds
files. Each is made smaller or larger, recompressed as JPEG, made grey, and sent through CMYK. The embedded describe,
detect and segment run one after another in this process. An area is the number of opaque pixels of all objects over
that of the unchanged photo's. A cut is a side of a mask that is straight for more than a quarter of the mask's width or
height, and is not at the photo's frame.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image

from tensorhop.services.describe.embedded import EmbeddedDescriber
from tensorhop.services.detect.embedded import EmbeddedDetector
from tensorhop.services.embedded.network import Network
from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.values.geometry import Box
from tensorhop.values.results import Mask

EXAMPLES = Path(__file__).parent.parent / "examples" / "photos"


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def read_example(name: str) -> np.ndarray:
    return read(EXAMPLES / f"{name}.jpg")


PHOTOS: dict[str, Callable[[], np.ndarray]] = {
    **{name: partial(read_example, name) for name in ("coffee", "cat", "astronaut", "rocket")},
    "flower": lambda: sklearn.datasets.load_sample_image("flower.jpg"),
    "pagoda": lambda: sklearn.datasets.load_sample_image("china.jpg"),
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
}
SCALES, QUALITIES = (0.25, 0.35, 0.5, 0.75, 1.5), (90, 75, 50, 30)
STRAIGHT = 0.25  # of a mask's side: a longer straight edge is a cut
LEAST = 0.8  # of the unchanged photo's area
MOST_OBJECTS = 4


class Cut(NamedTuple):
    """The objects of one photo: their masks, and what they cost."""

    label: str
    masks: list[Mask]
    runs: int
    seconds: float  # of processor


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def changes(photo: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The photo changed in each of the ways, with its name."""
    picture = Image.fromarray(photo)
    scaled = {
        scale: picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
        for scale in SCALES
    }
    yield from ((f"x{scale}", np.asarray(each)) for scale, each in scaled.items())
    yield from ((f"q{quality}", np.asarray(jpeg(picture, quality))) for quality in QUALITIES)
    yield "x0.5 q75", np.asarray(jpeg(scaled[0.5], 75))
    yield "grey", np.asarray(picture.convert("L").convert("RGB"))
    yield "x0.5 grey", np.asarray(scaled[0.5].convert("L").convert("RGB"))
    yield "cmyk", np.asarray(jpeg(picture.convert("CMYK"), 90).convert("RGB"))


class Chain:
    """The embedded models, one after another."""

    def __init__(self) -> None:
        self.describer, self.detector, self.segmenter = EmbeddedDescriber(), EmbeddedDetector(), EmbeddedSegmenter()

    def cut(self, photo: np.ndarray) -> Cut:
        counted, own = [0], Network.run

        def run(network: Network, tensor: np.ndarray) -> np.ndarray:
            counted[0] += 1
            return own(network, tensor)

        Network.run = run  # type: ignore[method-assign,assignment]
        start = time.process_time()
        try:
            (description,) = self.describer.predict([photo])
            ((found, _),) = self.detector.predict([photo], [[description.text]])
            boxes = [one.box for one in found[:MOST_OBJECTS]]
            masks = self.segment(photo, boxes)
        finally:
            Network.run = own  # type: ignore[method-assign]
        return Cut(description.text, masks, counted[0], time.process_time() - start)

    def segment(self, photo: np.ndarray, boxes: list[Box]) -> list[Mask]:
        others = [[other for other in boxes if other != box] for box in boxes]
        return self.segmenter.predict_grown([photo] * len(boxes), boxes, others)


def opaque(masks: list[Mask], photo: np.ndarray) -> np.ndarray:
    """The pixels of all objects: height x width, bool."""
    result = np.zeros(photo.shape[:2], bool)
    for mask in masks:
        result[mask.region.slices] |= mask.alpha > 127
    return result


def cuts(mask: Mask, photo: np.ndarray) -> list[str]:
    """The sides of a mask that are straight inside the photo, with the part of the side that is."""
    alpha = opaque([mask], photo)
    if not alpha.any():
        return []
    found = []
    for side, turned in {"top": alpha, "bottom": alpha[::-1], "left": alpha.T, "right": alpha.T[::-1]}.items():
        first = int(turned.any(axis=1).argmax())
        part = turned[first].sum() / (np.ptp(np.flatnonzero(turned.any(axis=0))) + 1)
        if first > 1 and part > STRAIGHT:
            found.append(f"{side} {part:.2f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", nargs="+", default=[], help="names of photos, or files; all if not given")
    parser.add_argument("--save", type=Path, help="folder in which to save the cut-outs, on green")
    options = parser.parse_args()
    chain, below, straight, total = Chain(), 0, 0, 0
    print("| photo | change | label | objects | area | IoU | cuts | runs | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.photos or PHOTOS:
        photo = PHOTOS[name]() if name in PHOTOS else read(Path(name))
        cases = [("", photo), *changes(photo)]
        usual: np.ndarray | None = None
        for change, changed in cases:
            cut = chain.cut(changed)
            seen = opaque(cut.masks, changed)
            size = photo.shape[1::-1]
            seen = np.asarray(Image.fromarray(seen.view(np.uint8) * 255).resize(size, Image.Resampling.BOX)) > 127
            usual = seen if usual is None else usual
            area, both = seen.sum() / max(1, usual.sum()), (seen & usual).sum() / max(1, (seen | usual).sum())
            found = [each for mask in cut.masks for each in cuts(mask, changed)]
            total += bool(change)
            below += area < LEAST
            straight += bool(found)
            print(
                f"| {Path(name).stem} | {change} | {cut.label} | {len(cut.masks)} | {area:.2f} | {both:.2f} | "
                f"{', '.join(found)} | {cut.runs} | {cut.seconds:.2f} |",
                flush=True,
            )
            if options.save:
                options.save.mkdir(parents=True, exist_ok=True)
                whole = opaque(cut.masks, changed)
                shown = np.where(whole[..., None], changed, (changed * 0.25 + (0, 120, 0)).astype(np.uint8))
                file = f"{Path(name).stem}-{change or 'unchanged'}.png".replace(" ", "-")
                Image.fromarray(shown).save(options.save / file)
    print(f"\n{total} changes: {below} below {LEAST:.0%} of the area; {straight} photos with a straight cut")


if __name__ == "__main__":
    main()
