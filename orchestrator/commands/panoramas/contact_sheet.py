"""A contact sheet: pictures side by side in rows, small."""

from collections.abc import Sequence

import cv2
import numpy as np

HEIGHT = 160  # pixels of a picture
GAP = 8  # pixels around each
WIDEST = 2048  # pixels of a picture, however long it is


def draw_sheet(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The sheet: uint8, height x width x 3, on white.

    Args:
        rows: at least one picture (uint8, height x width x 3) in all; rows may differ in length.
    """
    small = [[shrunk(picture) for picture in row] for row in rows if row]
    width = max(sum(one.shape[1] + GAP for one in row) for row in small) + GAP
    sheet = np.full((len(small) * (HEIGHT + GAP) + GAP, width, 3), 255, np.uint8)
    for number, row in enumerate(small):
        y, x = GAP + number * (HEIGHT + GAP), GAP
        for one in row:
            sheet[y : y + HEIGHT, x : x + one.shape[1]] = one
            x += one.shape[1] + GAP
    return sheet


def shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture at the height of the sheet's: uint8, HEIGHT x width x 3."""
    height, width = picture.shape[:2]
    small = min(WIDEST, max(1, round(width * HEIGHT / height)))
    return cv2.resize(picture, (small, HEIGHT), interpolation=cv2.INTER_AREA)
