"""Brings the edges of a soft, low-resolution mask onto the object's edges in the photo.

Around each soft pixel two colour distributions are learned. The object's samples are weighted by a power of the mask m,
the background's by the same power of 1 - m. Fisher's linear discriminant (R. A. Fisher, "The use of multiple
measurements in taxonomic problems", 1936) gives s, the position of a pixel's colour between the two means: 0 at the
background's, 1 at the object's. The result weighs s and m by their precisions:

    alpha = (T s + P m) / (T + P)

T is the squared distance of the two means over the variance within them, so texture lowers it. It is lower where s,
averaged over a window, contradicts the mask, which is coarse but not wrong. It is 0 where the mask has no step, hair or
hole at the limit of its own resolution, such as across a defocused edge: there the mask is as sharp as the object. P is
least where m is 0.5, and grows without limit towards 0 and 1. So where the photo says nothing, the mask is unchanged.

A mask that has the photo's resolution, such as a binary one or a full-sized matte with hairs, is unchanged too; see
`detail`.
"""

import cv2
import numpy as np

from tensorhop.services.embedded.edge_alignment import relief

CRISP = 0.2  # from this `detail` on, a mask has the photo's resolution
STEP = 0.004  # differences below that are 8-bit rounding
CELLS = 4  # samples across a ramp from which colours are learned
FEW = 640  # pixels: up to this longer side every pixel may be a sample, above it every other one, to bound the time
REACH = 2.5  # ramps: half a window's side
SOFTENING = 0.5  # ramps: standard deviation of the Gaussian by which a mask's edge may be off
SURE = 0.02  # the softened mask is sure where it is nearer to 0 or 1 than this
POWER = 3  # of m and 1 - m in the samples' weights
NOISE = 16.0  # the least variance of each distribution, of colours from 0 to 255
PRIOR = 6.0  # P where the mask is 0.5
CONTRADICTION = 16.0  # weight of the squared contradiction in 1 / T
RELIEF = 0.06  # from this `relief` on a mask is sharpened in full; below half of it, not at all
SMALLEST = 8  # pixels: masks with a shorter side are left alone


def refine_edges(crop: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A mask with its soft edges moved onto the photo's edges.

    Args:
        crop: uint8, height x width x 3, sRGB: the photo.
        alpha: float32, height x width, 0 to 1.

    Returns:
        float32, height x width, 0 to 1; `alpha` itself if it has the photo's resolution.
    """
    if min(alpha.shape) < SMALLEST or detail(alpha) >= CRISP:
        return alpha
    height, width = alpha.shape
    across = ramp(alpha)
    step = max(1 if max(alpha.shape) <= FEW else 2, round(across / CELLS))
    size = (max(1, width // step), max(1, height // step))
    cells = across / step
    mask = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    image = cv2.resize(crop, size, interpolation=cv2.INTER_NEAREST)  # averages would lose the texture
    softened = cv2.GaussianBlur(mask, (0, 0), SOFTENING * cells)
    near = cv2.dilate(unsure(softened).view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    line, trust = discriminants(image.astype(np.float32), mask, near, cells)

    softened = cv2.resize(softened, (width, height))
    at = np.flatnonzero(unsure(softened))
    rows, columns = np.divmod(at, width)
    x = (columns.astype(np.float32) + 0.5) * (size[0] / width) - 0.5
    y = (rows.astype(np.float32) + 0.5) * (size[1] / height) - 0.5
    line, trust = sampled(line, x, y), sampled(trust, x, y)[:, 0]
    color, m = crop.reshape(-1, 3)[at], alpha.reshape(-1)[at]
    s = np.clip(np.einsum("nc,nc->n", line[:, :3], color) + line[:, 3], 0, 1)
    u = (softened.reshape(-1)[at] - SURE) / (1 - 2 * SURE)
    weight = 4 * u * (1 - u) * trust
    result = alpha.copy()
    result.reshape(-1)[at] = (weight * s + PRIOR * m) / (weight + PRIOR)
    return result


def unsure(softened: np.ndarray) -> np.ndarray:
    """Where a softened mask (float32, 0 to 1) is sure neither of the object nor of the background: bool, same shape."""
    return (softened > SURE) & (softened < 1 - SURE)


def detail(alpha: np.ndarray) -> float:
    """How much of a mask only its full resolution can hold: what it loses when halved, over its total variation.

    It is about 0.5 for a binary mask, 0.23 or more for mattes of the photo's resolution, with or without hairs, and 0.1
    for a mask that was enlarged three times. A matte that is out of focus everywhere looks like an enlarged one.

    Args:
        alpha: float32, height x width, 0 to 1.

    Returns:
        0 or more; 1 for a mask that is the same everywhere.
    """
    height, width = alpha.shape
    half = cv2.resize(alpha, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
    lost = cv2.absdiff(alpha, cv2.resize(half, (width, height)))
    lost = cv2.threshold(lost, STEP, 0, cv2.THRESH_TOZERO)[1]
    variation = cv2.norm(alpha[1:], alpha[:-1], cv2.NORM_L1) + cv2.norm(alpha[:, 1:], alpha[:, :-1], cv2.NORM_L1)
    return float(cv2.sumElems(lost)[0] / variation) if variation else 1.0


def is_coarse(alpha: np.ndarray, side: int) -> bool:
    """Whether a mask will be refined, and as well if it is brought down by blocks of side x side pixels before.

    Args:
        alpha: float32, height x width, 0 to 1.
    """
    return min(alpha.shape) >= SMALLEST * side and detail(alpha) < CRISP and ramp(alpha) >= CELLS * side


def ramp(alpha: np.ndarray) -> float:
    """The width in pixels over which a mask's sharper edges go from 0 to 1; one edge in ten is sharper still.

    An edge's width is one over the difference of the two neighbours between which it crosses 0.5.

    Args:
        alpha: float32, height x width, 0 to 1.
    """
    inside = (alpha >= 0.5).view(np.uint8)
    beside, below = np.nonzero(inside[:, 1:] != inside[:, :-1]), np.nonzero(inside[1:] != inside[:-1])
    steps = np.concatenate(
        [alpha[:, 1:][beside] - alpha[:, :-1][beside], alpha[1:][below] - alpha[:-1][below]],
    )
    return 1 / float(np.quantile(np.abs(steps), 0.9)) if steps.size else 1.0


def discriminants(image: np.ndarray, mask: np.ndarray, near: np.ndarray, cells: float) -> tuple[np.ndarray, np.ndarray]:
    """Fisher's linear discriminant, and its precision T, for the colours around each cell.

    Args:
        image: float32, height x width x 3, 0 to 255.
        mask: float32, height x width, 0 to 1.
        near: bool, height x width: the cells for which an answer is needed.
        cells: the width of the mask's ramps, in cells.

    Returns:
        The discriminant, float32, height x width x 4: s is the first three times the colour, plus the fourth. And T,
        float32, height x width. Both are 0 outside of `near`.
    """
    kernel = (2 * max(1, round(REACH * cells)) + 1,) * 2
    cell = np.nonzero(near)
    of_object, of_ground = mask**POWER, (1 - mask) ** POWER

    def summed(picture: np.ndarray) -> np.ndarray:
        """A picture's means over the windows of the cells."""
        return cv2.blur(picture, kernel)[cell]

    objects, grounds = summed(of_object) + 1e-6, summed(of_ground) + 1e-6
    mean = summed(of_object[..., None] * image) / objects[:, None]
    ground = summed(of_ground[..., None] * image) / grounds[:, None]
    both = of_object + of_ground

    def within(i: int, j: int) -> np.ndarray:
        """The covariance of two channels within the two distributions."""
        between = objects * mean[:, i] * mean[:, j] + grounds * ground[:, i] * ground[:, j]
        return (summed(both * image[..., i] * image[..., j]) - between) / (objects + grounds)

    rr, gg, bb = (within(i, i) + NOISE for i in range(3))
    rg, rb, gb = within(0, 1), within(0, 2), within(1, 2)
    r, g, b = (mean - ground).T
    # Solve the symmetric 3 x 3 system by Cramer's rule.
    c0, c1, c2 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c3, c4, c5 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    direction = np.stack([c0 * r + c1 * g + c2 * b, c1 * r + c3 * g + c4 * b, c2 * r + c4 * g + c5 * b], axis=1)
    direction /= (rr * c0 + rg * c1 + rb * c2)[:, None]
    distance = np.maximum((direction * (mean - ground)).sum(axis=1), 1e-6)

    line = np.zeros((*mask.shape, 4), np.float32)
    slope = direction / distance[:, None]
    offset = -(slope * ground).sum(axis=1)
    line[cell] = np.column_stack([slope, offset])
    said = mask.copy()
    said[cell] = np.clip((slope * image[cell]).sum(axis=1) + offset, 0, 1)
    contradiction = summed(said - mask)
    sharpenable = np.clip(2 * relief(mask, cells)[cell] / RELIEF - 1, 0, 1)
    trust = np.zeros_like(mask)
    trust[cell] = sharpenable / (1 / distance + CONTRADICTION * contradiction**2)
    return line, trust


def sampled(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Maps at points between their pixels, interpolated linearly.

    Args:
        maps: float32, height x width or height x width x channels.
        x, y: float32, shape points: columns and rows.

    Returns:
        float32, points x channels.
    """
    row = 16384  # OpenCV's pictures have at most 32767 columns
    count = -(-x.size // row) * row
    grid = [np.resize(values, count).reshape(-1, row) for values in (x, y)]
    found = cv2.remap(maps, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(count, -1)[: x.size]
