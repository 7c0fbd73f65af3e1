"""A pair of views, side by side."""

import numpy as np

from tensorhop.values.geometry import Size
from tensorhop.values.panoramas import CameraPair, Panorama


def crop_pair(panorama: Panorama, cameras: CameraPair, view: Size) -> np.ndarray:
    """The left view beside the right one: uint8, height x 2 width x 3.

    Args:
        cameras: within their ranges.
        view: the size of one of them.
    """
    return np.hstack([panorama.view(camera, view) for camera in cameras])
