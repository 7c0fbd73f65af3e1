"""Cameras between two cameras."""

from tensorhop.values.panoramas import Camera, CameraPair


def mixed(cameras: CameraPair, share: float) -> Camera:
    """The camera between two: (1 - share) of the left one, and share of the right one.

    Yaw and roll go the short way round; of two that are 180 degrees apart, to the left. Pitch does not go round: beyond
    the pole, it would look backwards.

    Args:
        share: 0 to 1.

    Returns:
        A camera whose yaw and roll are from -180 to below 180.
    """
    left, right = cameras

    def round_(start: float, end: float) -> float:
        return wrapped(start + share * wrapped(end - start))

    def straight(start: float, end: float) -> float:
        return (1 - share) * start + share * end

    return Camera(
        yaw=round_(left.yaw, right.yaw),
        pitch=straight(left.pitch, right.pitch),
        roll=round_(left.roll, right.roll),
        vfov=straight(left.vfov, right.vfov),
        xi=straight(left.xi, right.xi),
    )


def wrapped(angle: float) -> float:
    """An angle in degrees, from -180 to below 180."""
    return (angle + 180) % 360 - 180
