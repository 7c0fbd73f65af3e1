"""Make the pictures of the documentation from the sample photos, with the product itself.

docs/pictures/row.jpg, the README's: photo, boxes, cut-out, edge at 4x before and after decontamination.
docs/pictures/sheet.jpg, the contact sheet: every photo's mask, cut-out on three backgrounds, edge, and eight shadows of
each of two kinds; of a third, if there is a network for it: TENSORHOP_SHADOW_MODEL=shadow.onnx.

python tools/make_pictures.py
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.orchestrator.run.overview import draw_overview
from tensorhop.rpc.registry import ports
from tensorhop.settings import current_settings
from tensorhop.values.compositing import compose
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, size_of
from tensorhop.values.images import decode_image
from tensorhop.values.results import Detection, Detections, ObjectResult

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "examples" / "photos"
PICTURES = ROOT / "docs" / "pictures"
SAMPLE = "coffee"  # the README's row
NAMES = ("coffee", "cat", "rocket", "astronaut")
ZOOM = 4
EDGE = 4  # pixels of the photo: within this of both the object and the background is its edge
WHITE, LIGHT, DARK, GREEN = (255, 255, 255), (236, 236, 232), (34, 36, 40), (0, 177, 64)
TEXT = (90, 90, 90)
ROW_HEIGHT, ROW_GAP = 300, 8
WIDTH, GAP, MARGIN, CAPTION = 1600, 12, 24, 24  # of the sheet, in pixels
BEARINGS = {0: " away", 45: "", 90: " right", 135: "", 180: " to the viewer", 225: "", 270: " left", 315: ""}


@dataclass(frozen=True)
class Example:
    """A photo and what became of its main object."""

    photo: np.ndarray
    detections: list[Detection]
    result: ObjectResult  # with the default finish
    before: np.ndarray  # RGBA on the photo's place, not decontaminated
    after: np.ndarray
    shadows: dict[int, np.ndarray]  # bearing -> RGBA of the canvas
    backdrops: dict[int, np.ndarray]
    learned: dict[int, np.ndarray]  # none without a network


def make_example(client: PipelineClient, name: str, bearings: Iterable[int] = ()) -> Example:
    photo = decode_image((PHOTOS / f"{name}.jpg").read_bytes())
    events = list(client.process(photo, max_objects=1, return_masks=True))
    found = next(event for event in events if isinstance(event, Detections))
    result = next(event for event in events if isinstance(event, ObjectResult))
    assert result.mask is not None
    masks = [result.mask]

    def finished(finish: Finish) -> np.ndarray:
        """The whole canvas; the models' work is not done again."""
        events = client.process(photo, masks=masks, finish=finish)
        cutout = next(event for event in events if isinstance(event, ObjectResult))
        return canvas_of(cutout)

    return Example(
        photo,
        found.detections,
        result,
        finished(Finish(center=False, decontaminate=False, shadow="none")),
        finished(Finish(center=False, shadow="none")),
        {rot: finished(Finish(rot=rot)) for rot in bearings},
        {rot: finished(Finish(shadow="backdrop", rot=rot)) for rot in bearings},
        {rot: finished(Finish(shadow="learned", rot=rot)) for rot in bearings if current_settings().shadow_model},
    )


def on(background: tuple[int, int, int], rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + np.asarray(background, np.float32) * (1 - alpha)).astype(np.uint8)


def busiest(difference: np.ndarray, side: int) -> tuple[slice, slice]:
    """The square in which two pictures differ most."""
    sums = cv2.boxFilter(difference.astype(np.float32).sum(axis=2), -1, (side, side), normalize=False)
    half = side // 2
    inside = sums[half : sums.shape[0] - half, half : sums.shape[1] - half]
    y, x = (int(at) for at in np.unravel_index(inside.argmax(), inside.shape))
    return slice(y, y + side), slice(x, x + side)


def zoomed(example: Example, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of the edge, `side` pixels of the photo wide, at 4x before and after decontamination.

    It lies on white, or on the dark where the photo's own background was light: there, what is left of it shows.
    """
    before, after = (on(WHITE, rgba) for rgba in (example.before, example.after))
    alpha = example.before[..., 3]
    near = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    edge = cv2.dilate(alpha, near) - cv2.erode(alpha, near) > 230  # not where the whole object is hazy
    square = busiest(np.abs(before.astype(int) - after) * edge[..., None], side)
    outside = example.photo[square][example.before[square][..., 3] < 64]
    background = WHITE if not outside.size or outside.mean() < 128 else DARK
    pixel = np.ones((ZOOM, ZOOM, 1), np.uint8)
    return (
        np.kron(on(background, example.before[square]), pixel),
        np.kron(on(background, example.after[square]), pixel),
    )


def canvas_of(result: ObjectResult) -> np.ndarray:
    assert result.picture is not None
    return compose([result.picture], Region.of(result.placement.canvas))


def make_row(example: Example) -> Image.Image:
    assert example.result.mask is not None
    pictures = [
        example.photo,
        draw_overview(example.photo, example.detections, {0: example.result.mask}),
        on(WHITE, canvas_of(example.result)),
        *zoomed(example, ROW_HEIGHT // ZOOM),
    ]
    row = []
    for picture in pictures:
        size = round(picture.shape[1] * ROW_HEIGHT / picture.shape[0]), ROW_HEIGHT
        row += [cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.full((ROW_HEIGHT, ROW_GAP, 3), 255)]
    return Image.fromarray(np.hstack(row[:-1]).astype(np.uint8))


def fitted(picture: np.ndarray, side: int) -> Image.Image:
    """The whole picture in a square, with bars of white."""
    scale = side / max(size_of(picture))
    width, height = (round(scale * length) for length in size_of(picture))
    tile = Image.new("RGB", (side, side), WHITE)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    tile.paste(Image.fromarray(small), ((side - width) // 2, (side - height) // 2))
    return tile


def middle(canvases: list[np.ndarray]) -> tuple[slice, slice]:
    """The least square around the middle of square canvases that holds all that is on them, with some room."""
    side = len(canvases[0])
    seen = np.max([canvas[..., 3] for canvas in canvases], axis=0) > 12
    at = np.flatnonzero(seen.any(axis=0) | seen.any(axis=1))
    half = min(side // 2, int(max(side // 2 - at[0], at[-1] + 1 - side // 2) * 1.04))
    return slice(side // 2 - half, side // 2 + half), slice(side // 2 - half, side // 2 + half)


def strip(tiles: dict[str, np.ndarray]) -> Image.Image:
    """Pictures side by side over the sheet's width, with captions above them."""
    side = (WIDTH - 2 * MARGIN - (len(tiles) - 1) * GAP) // len(tiles)
    picture = Image.new("RGB", (WIDTH, CAPTION + side), WHITE)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for number, (caption, tile) in enumerate(tiles.items()):
        x = MARGIN + number * (side + GAP)
        draw.text((x, 2), caption, TEXT, font)
        picture.paste(fitted(tile, side), (x, CAPTION))
        draw.rectangle((x, CAPTION, x + side - 1, CAPTION + side - 1), outline=(215, 215, 215))
    return picture


def strips(example: Example) -> list[Image.Image]:
    mask = example.result.mask
    assert mask is not None
    alpha = np.zeros(example.photo.shape[:2], np.uint8)
    alpha[mask.region.slices] = mask.alpha
    cutout = canvas_of(example.result)
    around = middle([cutout, *example.shadows.values()])
    cutout = cutout[around]
    before, after = zoomed(example, 56)
    learned = {f"learned, {rot}°": on(WHITE, picture) for rot, picture in example.learned.items()}
    return [
        strip(
            {
                "photo": example.photo,
                "mask": np.dstack([alpha] * 3),
                "on light": on(LIGHT, cutout),
                "on dark": on(DARK, cutout),
                "on green": on(GREEN, cutout),
                f"edge at {ZOOM}x, before": before,
                "and after decontamination": after,
            }
        ),
        strip({f"{rot}°{BEARINGS[rot]}": on(WHITE, shadow[around]) for rot, shadow in example.shadows.items()}),
        strip({f"backdrop, {rot}°": backdrop[..., :3] for rot, backdrop in example.backdrops.items()}),
        *([strip(learned)] if learned else []),
    ]


def make_sheet(examples: Iterable[Example]) -> Image.Image:
    groups = [strips(example) for example in examples]
    pieces = [piece for group in groups for piece in group]
    gaps = [gap for group in groups for gap in [GAP] * (len(group) - 1) + [3 * GAP]]
    sheet = Image.new("RGB", (WIDTH, 2 * GAP + sum(piece.height for piece in pieces) + sum(gaps)), WHITE)
    y = GAP
    for piece, gap in zip(pieces, gaps, strict=True):
        sheet.paste(piece, (0, y))
        y += piece.height + gap
    return sheet


def save(picture: Image.Image, name: str, quality: int) -> None:
    PICTURES.mkdir(exist_ok=True)
    target = PICTURES / name
    picture.save(target, quality=quality, optimize=True)
    print(f"{target.relative_to(ROOT)}: {picture.width} x {picture.height}, {target.stat().st_size / 1000:.0f} kB")


def main() -> None:
    with (
        one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as servers,
        PipelineClient(servers["pipeline"].address) as client,
    ):
        examples = {name: make_example(client, name, BEARINGS) for name in NAMES}
    save(make_row(examples[SAMPLE]), "row.jpg", 90)
    save(make_sheet(examples.values()), "sheet.jpg", 86)
    print(f"the first cut-out of {SAMPLE}.jpg took {examples[SAMPLE].result.seconds:.1f} s")


if __name__ == "__main__":
    main()
