"""From an object's pixels and mask to a finished cut-out: refine, decontaminate, center, shadow."""

from dataclasses import replace

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.services.postprocess.backdrop import backdrop_reach, draw_backdrop
from tensorhop.services.postprocess.center import centered, in_place, resampled, room, trimmed_layer, visible_box
from tensorhop.services.postprocess.decontaminate import estimate_foreground
from tensorhop.services.postprocess.refine import refine_edges
from tensorhop.services.postprocess.shadow import draw, fitting_length, reach
from tensorhop.services.postprocess.solid import Solid
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import SOLID, Cutout, Layer, Mask, Placement

NOT_SOLID = "The object has no pixel with an alpha of 0.5 or more, so it casts no shadow on the backdrop."
MARGIN = 16  # pixels of background kept around the object; decontaminate learns the background's colour from them


def finish(crop: np.ndarray, mask: Mask, photo: Size, options: Finish) -> Cutout:
    """Finish one object.

    Args:
        crop: uint8, height x width x 3, sRGB: the photo's pixels of mask.region.
        mask: the object's; alpha uint8 0 to 255 or float32 0 to 1.
        photo: size of the whole photo.

    Raises:
        InvalidInput: the sizes do not fit, alpha is outside its range or nowhere above 0.05, the kind of shadow is
            unknown, or another choice is out of its range.
    """
    alpha = checked(crop, mask, photo, options)
    box = visible_box(alpha)
    if box.empty:
        raise InvalidInput("mask.alpha", "is empty: nothing in it is above 0.05; a mask must cover an object")
    own = visible_box(alpha, 0.5 / 255)
    around = Region(own.x0 - MARGIN, own.y0 - MARGIN, own.x1 + MARGIN, own.y1 + MARGIN).intersect(
        Region.of(size_of(alpha))
    )
    crop, alpha = crop[around.slices], alpha[around.slices]
    alpha = refine_edges(crop, alpha) if options.refine else alpha
    color = estimate_foreground(crop, alpha) if options.decontaminate else crop
    opacity = np.rint(alpha * 255).astype(np.uint8)
    rgba = np.dstack([color, opacity])
    rgba[opacity == 0] = 0

    kind, length, softness = options.shadow, options.lamp_length, options.lamp_softness
    region = around.moved(mask.region.x0, mask.region.y0)
    box = box.moved(mask.region.x0, mask.region.y0)
    solid = None if kind in ("none", "backdrop") else Solid.of(alpha, region, photo)
    placement = in_place(photo)
    if options.center:
        widest = room(box, options.canvas, options.fill, options.max_scale)
        reached = None
        if solid:
            length = fitting_length(solid, kind, options.rot, widest, length, softness)
            reached = reach(solid, kind, options.rot, length, softness)
        elif kind == "backdrop":
            wanted = backdrop_reach(box, options)  # what leaves the canvas is cut off, as in a photo of a backdrop
            reached = Box(
                *(max(pair) for pair in zip(wanted[:2], widest[:2], strict=True)),
                *(min(pair) for pair in zip(wanted[2:], widest[2:], strict=True)),
            )
        placement = centered(box, reached, options.canvas, options.fill, options.max_scale)
    cutout = resampled(rgba, region, placement)
    if options.center:
        cutout, placement = nudged(cutout, placement)
    cutout = trimmed_layer(cutout)
    if kind == "backdrop":
        shadow = draw_backdrop(cutout, placement.canvas, options) if alpha.max() >= SOLID else None
        warnings = [] if shadow else [NOT_SOLID]
        return Cutout(cutout, trimmed_layer(shadow) if shadow else None, placement, warnings)
    shadow = draw(solid, placement, kind, options.rot, length, softness, options.opacity) if solid else None
    return Cutout(cutout, trimmed_layer(shadow) if shadow else None, placement)


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


def checked(crop: np.ndarray, mask: Mask, photo: Size, options: Finish) -> np.ndarray:
    """The mask's alpha as float32, height x width, 0 to 1, once all inputs are checked. Parameters as for `finish`.

    Raises:
        InvalidInput: as `finish` does, except for alpha that is nowhere above 0.05.
    """
    options.check()
    mask.check(photo)
    if mask.region.empty:
        raise InvalidInput("mask.region", f"is {tuple(mask.region)}, which is empty; it must hold the object's pixels")
    if size_of(crop) != mask.region.size:
        raise InvalidInput("crop", f"is {size_of(crop)}; it must have the mask's size, {mask.region.size}")
    return mask.alpha.astype(np.float32) / 255 if mask.alpha.dtype == np.uint8 else mask.alpha
