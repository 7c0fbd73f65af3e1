"""Which places of an outline are feet, and where the ground is below them."""

import numpy as np

from tensorhop.services.postprocess.ground import ground_line, span

TALL, DEEPEST = 200, np.full(200, 100.0)


def outline(*points: tuple[int, int]) -> np.ndarray:
    """The lower outline through some points, column and row, of an object 200 cells wide."""
    columns, rows = np.array(points).T
    return np.rint(np.interp(np.arange(200), columns, rows)).astype(int)


def ground(bottom: np.ndarray) -> np.ndarray:
    return ground_line(bottom, TALL, DEEPEST)[0]


def legs(*feet: tuple[int, int]) -> np.ndarray:
    """A seat, whose underside is row 100, with legs 10 cells wide that end at some columns and rows."""
    bottom = np.full(200, 100)
    for column, row in feet:
        bottom[column : column + 10] = row
    return bottom


def test_every_leg_stands_on_its_own_row() -> None:
    line, _, apart = ground_line(legs((0, 200), (40, 160), (150, 160), (190, 200)), TALL, DEEPEST)
    assert np.abs(line[[5, 45, 155, 195]] - (200, 160, 160, 200)).max() <= 3
    assert line[40] < line[20] < line[9]
    assert apart > 80


def test_a_handle_is_no_foot() -> None:
    """It hangs beside a mug: its outline rises from its lowest place, but not on the way to the mug's foot."""
    bottom = np.where(np.arange(200) < 140, 200, 170 - (np.arange(200) - 140) // 2)
    line = ground(bottom)
    assert line[139] > 185
    assert np.ptp(line[139:]) < 1


def test_a_frame_between_wheels_is_no_foot() -> None:
    columns = np.arange(200)
    wheels = [200 - 50 + np.sqrt(np.maximum(50**2 - (columns - middle) ** 2, 0)) for middle in (50, 150)]
    bottom = np.maximum(np.maximum(*wheels), 160).astype(int)
    thin = ground_line(bottom, TALL, np.full(200, 4.0))[0]
    assert ground(bottom)[100] == ground(bottom)[50] < thin[100]
    assert 198 < thin.min() <= thin.max() < 200


def test_the_base_of_a_box_follows_both_edges() -> None:
    """One face recedes faster than RECESSION, but straight."""
    assert span(outline((0, 150), (120, 200), (199, 140)), 120, 4) == (0, 200)


def test_a_ball_stands_on_its_middle() -> None:
    columns = np.arange(200)
    bottom = np.rint(100 + np.sqrt(100**2 - (columns - 99.5) ** 2)).astype(int)
    left, right = span(bottom, 99, 4)
    assert 10 < left < 60
    assert 140 < right < 190
    _, upright, _ = ground_line(bottom, TALL, DEEPEST)
    assert not upright.any()


def test_a_sudden_step_ends_a_foot() -> None:
    bottom = np.where(np.arange(200) < 150, 200, 185)
    assert span(bottom, 100, 4) == (0, 150)
