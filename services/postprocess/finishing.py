"""From an object's pixels and mask to a finished cut-out: refine, decontaminate, center, shadow."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.services.postprocess.backdrop import backdrop_reach, draw_backdrop
from tensorhop.services.postprocess.center import (
    centered,
    in_place,
    resampled,
    room,
    trimmed,
    trimmed_layer,
    visible_box,
)
from tensorhop.services.postprocess.decontaminate import estimate_foreground
from tensorhop.services.postprocess.learned.drawing import Draw, draw_learned
from tensorhop.services.postprocess.reduction import Piece
from tensorhop.services.postprocess.refiners.embedded import EMBEDDED
from tensorhop.services.postprocess.refiners.refiner import Refiner
from tensorhop.services.postprocess.shadow import draw, fitting_length, reach
from tensorhop.services.postprocess.solid import Solid
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import SOLID, Cutout, Layer, Mask, Placement

NOT_SOLID = "The object has no pixel with an alpha of 0.5 or more, so it casts no shadow."
NO_NETWORK = "is SHADOW_KIND_LEARNED, but there is no network here; start postprocess with --shadow-model FILE.onnx"


def finish(
    crop: np.ndarray,
    mask: Mask,
    photo: Size,
    options: Finish,
    learned: Draw | None = None,
    refiner: Refiner = EMBEDDED,
) -> Cutout:
    """Finish one object.

    Args:
        crop: uint8, height x width x 3, sRGB: the photo's pixels of mask.region.
        mask: the object's; alpha uint8 0 to 255 or float32 0 to 1.
        photo: size of the whole photo.
        learned: the network that draws shadows of the kind "learned".
        refiner: what refines the mask.

    Raises:
        InvalidInput: the sizes do not fit, alpha is outside its range or nowhere above 0.05, the kind of shadow is
            unknown or needs a network that is not there, or another choice is out of its range.
    """
    check(crop, mask, photo, options)
    if options.shadow == "learned" and learned is None:
        raise InvalidInput("finish.shadow.kind", NO_NETWORK)
    piece = Piece.of(crop, mask, photo, partial(largest_scale, options))
    if options.refine and piece.wanted > 1 and refiner.in_blocks(piece.opacity, piece.wanted):
        piece = piece.in_blocks(weighted=False)
    alpha = piece.opacity
    refined = refiner.refine(piece.crop, alpha) if options.refine else alpha
    color = estimate_foreground(piece.crop, refined) if options.decontaminate else piece.crop
    kept = refined is alpha and piece.alpha.dtype == np.uint8
    opacity = piece.alpha if kept else cv2.convertScaleAbs(refined, alpha=255)
    if piece.side != piece.wanted:
        piece = replace(piece, crop=color, alpha=opacity).in_blocks(weighted=True)
        color, opacity, refined = piece.crop, piece.alpha, piece.opacity

    kind, length, softness = options.shadow, options.lamp_length, options.lamp_softness
    solid = None if kind in ("none", "backdrop", "learned") else Solid.of(refined, piece.region, piece.photo)
    if not options.center:
        placement = in_place(photo)
        own = trimmed(opacity)
        pixels = with_alpha(color[own.slices], opacity[own.slices])
        cutout = Layer(pixels, own.moved(piece.region.x0, piece.region.y0))
    else:
        most = options.max_scale * piece.side
        widest = room(piece.box, options.canvas, options.fill, most)
        reached = None
        if solid:
            length = fitting_length(solid, kind, options.rot, widest, length, softness)
            reached = reach(solid, kind, options.rot, length, softness)
        elif kind == "backdrop":
            wanted = backdrop_reach(
                piece.box, options
            )  # what leaves the canvas is cut off, as in a photo of a backdrop
            reached = Box(
                *(max(pair) for pair in zip(wanted[:2], widest[:2], strict=True)),
                *(min(pair) for pair in zip(wanted[2:], widest[2:], strict=True)),
            )
        elif kind == "learned":
            reached = widest  # where the network will draw is not known
        placement = centered(piece.box, reached, options.canvas, options.fill, most)
        cutout, placement = nudged(resampled(with_alpha(color, opacity), piece.region, placement), placement)
        cutout = trimmed_layer(cutout)
    if kind in ("backdrop", "learned"):
        shadow = None
        if refined.max() >= SOLID:
            if learned and kind == "learned":
                shadow = draw_learned(cutout, placement.canvas, options.rot, learned)
            else:
                shadow = draw_backdrop(cutout, placement.canvas, options)
        warnings = [] if shadow else [NOT_SOLID]
        return Cutout(cutout, trimmed_layer(shadow) if shadow else None, piece.of_photo(placement), warnings)
    shadow = draw(solid, placement, kind, options.rot, length, softness, options.opacity) if solid else None
    return Cutout(cutout, shadow, piece.of_photo(placement))


def largest_scale(options: Finish, box: Region) -> float:
    """The factor by which an object without a shadow is resampled; with one it is at most that.

    Args:
        box: the object's, in pixels of the photo.
    """
    return centered(box, None, options.canvas, options.fill, options.max_scale).scale if options.center else 1


def nudged(cutout: Layer, placement: Placement) -> tuple[Layer, Placement]:
    """The layer and its placement, moved by whole pixels so that the visible box is in the middle after resampling."""
    box = visible_box(cutout.pixels[..., 3], 0.05 * 255)
    if box.empty:
        return cutout, placement
    box = box.moved(cutout.region.x0, cutout.region.y0)
    x = (placement.canvas.width - box.x0 - box.x1) // 2
    y = (placement.canvas.height - box.y0 - box.y1) // 2
    moved, placement = cutout.region.moved(x, y), replace(placement, x=placement.x + x, y=placement.y + y)
    kept = moved.intersect(Region.of(placement.canvas))
    return Layer(cutout.pixels[kept.moved(-moved.x0, -moved.y0).slices], kept), placement


def with_alpha(color: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """RGBA whose transparent pixels are all 0.

    Args:
        color: uint8, height x width x 3.
        opacity: uint8, height x width.

    Returns:
        Straight-alpha RGBA, uint8, height x width x 4.
    """
    rgba = cv2.cvtColor(color, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(opacity, rgba, 3)
    np.copyto(rgba.view(np.uint32)[..., 0], 0, where=opacity == 0)
    return rgba


def check(crop: np.ndarray, mask: Mask, photo: Size, options: Finish) -> None:
    """Check all inputs. Parameters and errors as for `finish`, except for alpha that is nowhere above 0.05."""
    options.check()
    mask.check(photo)
    if mask.region.empty:
        raise InvalidInput("mask.region", f"is {tuple(mask.region)}, which is empty; it must hold the object's pixels")
    if size_of(crop) != mask.region.size:
        raise InvalidInput("crop", f"is {size_of(crop)}; it must have the mask's size, {mask.region.size}")
