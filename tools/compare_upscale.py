"""Compare the embedded upscaler with bicubic enlargement: python tools/compare_upscale.py --wallpapers FOLDER

On photos that it was not trained on (tools/upscale_photos.py), reduced in two ways, as they are and as JPEG. Numbers
are the PSNR of luma in dB, without the outermost 8 pixels, mean over the photos.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from upscale_photos import HELD_OUT, REDUCTIONS, jpeg, luma, photo, reduced

from tensorhop.services.upscale.embedded import EmbeddedUpscaler
from tensorhop.services.upscale.options import UpscaleOptions

BORDER = 8
QUALITIES = (None, 90, 75, 60)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    inner = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
    return float(10 * np.log10(255**2 / np.mean((luma(one)[inner] - luma(other)[inner]) ** 2)))


def main(wallpapers: Path, scales: list[int]) -> None:
    model = EmbeddedUpscaler()
    photos = [photo(name, side, wallpapers) for name, side in HELD_OUT.items()]
    seconds = megapixels = 0.0
    for scale in scales:
        whole = [one[: one.shape[0] // scale * scale, : one.shape[1] // scale * scale] for one in photos]
        for how in REDUCTIONS:
            for quality in QUALITIES:
                ours, bicubic = [], []
                for large in whole:
                    small = reduced(large, how, scale)
                    small = small if quality is None else jpeg(small, quality)
                    started = time.process_time()
                    (made,) = model.predict([small], UpscaleOptions(scale))
                    seconds += time.process_time() - started
                    megapixels += made.shape[0] * made.shape[1] / 1e6
                    ours.append(psnr(made, large))
                    bicubic.append(psnr(cv2.resize(small, large.shape[1::-1], interpolation=cv2.INTER_CUBIC), large))
                gain = np.subtract(ours, bicubic)
                kind = "clean" if quality is None else f"JPEG {quality}"
                print(
                    f"x{scale} {how:8} {kind:8} bicubic {np.mean(bicubic):.2f}, ours {np.mean(ours):.2f}, "
                    f"gain {gain.mean():+.2f} ({gain.min():+.2f} to {gain.max():+.2f})",
                    flush=True,
                )
    print(f"{seconds / megapixels:.2f} s of processor a megapixel of output")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wallpapers", type=Path, required=True, help="where lomiri-wallpapers-16.04 was unpacked")
    parser.add_argument("--scale", type=int, action="append", choices=(2, 4), help="default: both")
    options = parser.parse_args()
    main(options.wallpapers, options.scale or [2, 4])
