"""Every preset can be asked for, and the marketplace's is what shops want."""

import pytest

from tensorhop.values.finish_presets import FINISH_PRESETS


@pytest.mark.parametrize("name", FINISH_PRESETS)
def test_it_is_allowed(name: str) -> None:
    FINISH_PRESETS[name]["finish"].check()
    FINISH_PRESETS[name]["output"].check()


def test_marketplace() -> None:
    finish, output = FINISH_PRESETS["marketplace"]["finish"], FINISH_PRESETS["marketplace"]["output"]
    assert output.colour == (255, 255, 255)
    assert finish.canvas.width == finish.canvas.height
    assert (finish.center, finish.fill, finish.shadow) == (True, 0.85, "none")
