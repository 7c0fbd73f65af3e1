"""What a white background costs in a JPEG: ours beside Pillow's own, both without chroma subsampling.

python tools/compare_jpeg.py PHOTO...
"""

import io
import sys

import numpy as np
from PIL import Image

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.encoding import encode_picture
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Region
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult


def usual(pixels: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    return file.getvalue()


def measured(file: bytes, pixels: np.ndarray, background: np.ndarray) -> str:
    with Image.open(io.BytesIO(file)) as image:
        decoded = np.asarray(image).astype(int)
    error = ((decoded - pixels)[~background] ** 2).mean()
    grey = (decoded[background] < 255).any(axis=1).sum()
    return f"{len(file) / 1024:6.0f} KiB  {10 * np.log10(255**2 / error):5.1f} dB  {grey:6,} not white"


def main(photos: list[str]) -> None:
    servers = one_process(dict.fromkeys(ports(), "127.0.0.1:0"))
    with servers as running, PipelineClient(running["pipeline"].address) as client:
        for photo in photos:
            for event in client.process(photo, max_objects=1, finish=FINISH_PRESETS["marketplace"]["finish"]):
                if not isinstance(event, ObjectResult) or event.picture is None:
                    continue
                canvas = compose([event.picture], Region.of(event.placement.canvas))
                white, background = flatten(canvas, (255, 255, 255))[..., :3], canvas[..., 3] == 0
                print(f"{photo}: {background.sum():,} of {background.size:,} pixels are background")
                for quality in (60, 80, 90, 95, 100):
                    for name, file in (
                        ("tensorhop", encode_picture(canvas, Output("jpeg", quality))),
                        ("Pillow", usual(white, quality)),
                    ):
                        print(f"  quality {quality:3}  {name:<9}  {measured(file, white, background)}")


if __name__ == "__main__":
    main(sys.argv[1:])
