"""Every preset can be asked for, and the marketplace's is what shops want."""

import pytest

from tensorhop.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_it_is_allowed(name: str) -> None:
    PRESETS[name]["finish"].check()
    PRESETS[name]["output"].check()


def test_marketplace() -> None:
    finish, output = PRESETS["marketplace"]["finish"], PRESETS["marketplace"]["output"]
    assert output.colour == (255, 255, 255)
    assert finish.canvas.width == finish.canvas.height
    assert (finish.center, finish.fill, finish.shadow) == (True, 0.85, "none")
