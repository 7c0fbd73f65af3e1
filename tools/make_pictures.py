"""Make the README's row of pictures from the sample photo: photo, boxes, cut-out, edge at 4x before and after.

python tools/make_pictures.py
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from orchestrator.local import one_process
from orchestrator.overlay import draw_overlay
from tensorhop.client import PipelineClient
from tensorhop.composite import compose
from tensorhop.finish import Finish
from tensorhop.geometry import Region
from tensorhop.image import decode_image
from tensorhop.results import Detections, Layer, ObjectResult
from tensorhop.settings import PORTS

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples" / "photos" / "coffee.jpg"
HEIGHT = 300  # pixels of the row
GAP = 8
ZOOM = 4
WHITE = np.full(3, 255, np.float32)


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + WHITE * (1 - alpha)).astype(np.uint8)


def busiest(difference: np.ndarray, side: int) -> tuple[int, int]:
    """Top left corner of the square in which two pictures differ most."""
    sums = cv2.boxFilter(difference.astype(np.float32).sum(axis=2), -1, (side, side), normalize=False)
    half = side // 2
    inside = sums[half : sums.shape[0] - half, half : sums.shape[1] - half]
    y, x = np.unravel_index(inside.argmax(), inside.shape)
    return int(y), int(x)


def main() -> None:
    photo = decode_image(PHOTO.read_bytes())
    with (
        one_process(dict.fromkeys(PORTS, "127.0.0.1:0")) as servers,
        PipelineClient(servers["pipeline"].address) as client,
    ):

        def cut_out(**options: object) -> tuple[Detections, ObjectResult]:
            events = list(client.process(photo, max_objects=1, return_masks=True, return_layers=True, **options))
            return (
                next(event for event in events if isinstance(event, Detections)),
                next(event for event in events if isinstance(event, ObjectResult)),
            )

        found, result = cut_out()
        _, before = cut_out(finish=Finish(center=False, decontaminate=False, shadow="none"))
        _, after = cut_out(finish=Finish(center=False, decontaminate=True, shadow="none"))

    canvas = Region.of(result.placement.canvas)
    edges = [on_white(compose([cut.picture], Region(0, 0, *photo.shape[1::-1]))) for cut in (before, after)]
    side = HEIGHT // ZOOM
    y, x = busiest(np.abs(edges[0].astype(int) - edges[1]), side)
    pictures = [
        photo,
        draw_overlay(photo, found.detections, {0: result.mask}),
        on_white(compose([Layer(result.picture.pixels, result.picture.region)], canvas)),
        *(np.kron(edge[y : y + side, x : x + side], np.ones((ZOOM, ZOOM, 1), np.uint8)) for edge in edges),
    ]
    row = []
    for picture in pictures:
        width = round(picture.shape[1] * HEIGHT / picture.shape[0])
        row += [cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.full((HEIGHT, GAP, 3), 255)]
    target = ROOT / "docs" / "pictures" / "row.jpg"
    target.parent.mkdir(exist_ok=True)
    Image.fromarray(np.hstack(row[:-1]).astype(np.uint8)).save(target, quality=90)
    print(f"{target.relative_to(ROOT)}; the cut-out took {result.seconds:.1f} s")


if __name__ == "__main__":
    main()
