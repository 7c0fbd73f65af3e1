"""Every preset can be asked for, and the marketplace's is what shops want."""

import pytest

from tensorhop.values.finish_presets import FINISH_PRESETS


@pytest.mark.parametrize("name", FINISH_PRESETS)
def test_it_is_allowed(name: str) -> None:
    FINISH_PRESETS[name]["finish"].check()
    FINISH_PRESETS[name]["output"].check()


def test_flask() -> None:
    finish, output = FINISH_PRESETS["flask"]["finish"], FINISH_PRESETS["flask"]["output"]
    assert (output.encoding, output.colour) == ("jpeg", (255, 255, 255))
    assert (tuple(finish.canvas), finish.fill, finish.shadow) == ((512, 512), 0.8, "backdrop")


def test_marketplace() -> None:
    finish, output = FINISH_PRESETS["marketplace"]["finish"], FINISH_PRESETS["marketplace"]["output"]
    assert output.colour == (255, 255, 255)
    assert finish.canvas.width == finish.canvas.height
    assert (finish.center, finish.fill, finish.shadow) == (True, 0.85, "none")
