"""Compare the embedded quality score with the strength of distortions, and with OpenCV's own BRISQUE if it is there.

python tools/compare_quality.py [--opencv PYTHON --model FOLDER]

Twelve photos of scikit-image and scikit-learn, each distorted in four ways and five strengths. SRCC is Spearman's rank
correlation of the score with the strength, 0 for the photo itself: over all pictures of a kind, so that differences
between the photos count against it. PYTHON is of an environment with opencv-contrib-python-headless, whose values are
printed beside ours; FOLDER is where Debian's package opencv-doc was unpacked.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
from upscale_photos import jpeg, photo

from tensorhop.services.quality.brisque import Brisque

PHOTOS = (
    *(f"skimage:{name}" for name in ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png")),
    *(f"skimage:{name}" for name in ("brick.png", "grass.png", "gravel.png", "moon.png", "rocket.jpg")),
    *("sklearn:china.jpg", "sklearn:flower.jpg"),
)
STRENGTHS = {
    "blur": (0.6, 1, 1.6, 2.5, 4),  # standard deviation of a Gaussian in pixels
    "noise": (4, 8, 16, 32, 64),  # standard deviation of 255
    "JPEG": (60, 35, 20, 10, 5),  # quality
    "downscaling": (1.5, 2, 3, 4, 6),  # and bicubic enlargement to the size before
}
THEIRS = """
import json, sys, cv2
model, limits, *files = sys.argv[1:]
print(json.dumps([cv2.quality.QualityBRISQUE_compute(cv2.imread(file), model, limits)[0] for file in files]))
"""


def distorted(pixels: np.ndarray, kind: str, strength: float) -> np.ndarray:
    """A photo, uint8, height x width x 3, after one distortion."""
    if kind == "blur":
        return cv2.GaussianBlur(pixels, (0, 0), strength)
    if kind == "noise":
        noise = np.random.default_rng(1).normal(scale=strength, size=pixels.shape)
        return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    if kind == "JPEG":
        return jpeg(pixels, int(strength))
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (round(width / strength), round(height / strength)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def ranks(values: list[float]) -> np.ndarray:
    """The rank of each value; equal ones share the mean of theirs."""
    array = np.array(values)
    return np.array([(array < one).sum() + (array == one).sum() / 2 for one in array])


def srcc(one: list[float], other: list[float]) -> float:
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def main() -> None:
    model = Brisque()
    photos = [photo(name, 0, Path()) for name in PHOTOS]
    clean, seconds = [], 0.0
    for pixels in photos:
        luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        started = time.process_time()
        clean.append(model.distortion(luma))
        seconds += time.process_time() - started
    every: tuple[list[float], list[float]] = ([0.0] * len(photos), list(clean))
    for kind, strengths in STRENGTHS.items():
        levels, values = [0.0] * len(photos), list(clean)
        for level, strength in enumerate(strengths, 1):
            for pixels in photos:
                values.append(model.distortion(cv2.cvtColor(distorted(pixels, kind, strength), cv2.COLOR_RGB2GRAY)))
                levels.append(level)
        means = " ".join(f"{1 - np.mean(np.array(values)[np.array(levels) == level]) / 100:.2f}" for level in range(6))
        print(f"{kind:12} SRCC {srcc(levels, values):.2f}   mean score by strength: {means}")
        every[0].extend(levels[len(photos) :])
        every[1].extend(values[len(photos) :])
    print(f"{'all':12} SRCC {srcc(*every):.2f}")
    megapixels = sum(one.shape[0] * one.shape[1] for one in photos) / 1e6
    print(f"{1000 * seconds / len(photos):.0f} ms of processor a photo, of {megapixels / len(photos):.2f} megapixels")


def beside_opencv(python: str, folder: Path) -> None:
    """Print ours and OpenCV's value of each example photo."""
    examples = sorted((Path(__file__).parent.parent / "examples/photos").glob("*.jpg"))
    files = [str(next(folder.rglob(f"brisque_{name}_live.yml"))) for name in ("model", "range")]
    done = subprocess.run([python, "-c", THEIRS, *files, *map(str, examples)], check=True, capture_output=True)
    for file, theirs in zip(examples, json.loads(done.stdout), strict=True):
        luma = cv2.imread(str(file))
        assert luma is not None
        ours = Brisque().distortion(cv2.cvtColor(luma, cv2.COLOR_BGR2GRAY))
        print(f"{file.stem:12} ours {ours:.4f}, OpenCV {theirs:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opencv", help="a Python with opencv-contrib-python-headless")
    parser.add_argument("--model", type=Path, help="where opencv-doc was unpacked")
    options = parser.parse_args()
    main()
    if options.opencv and options.model:
        beside_opencv(options.opencv, options.model)
