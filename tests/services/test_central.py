"""The central object is found in real photos, and the middle counts."""

import numpy as np
import pytest

from tensorhop.services.embedded.central import CentralObject


@pytest.fixture(scope="module")
def central() -> CentralObject:
    return CentralObject()


def test_the_coffee_cup(central: CentralObject, coffee: np.ndarray) -> None:
    box, strength = central.find(coffee)
    assert box.x0 < 120
    assert 440 < box.x1 < 520
    assert strength > 0.9


def test_a_plain_photo_is_its_own_object(central: CentralObject) -> None:
    box, strength = central.find(np.full((40, 60, 3), 128, np.uint8))
    assert box == (0, 0, 60, 40)
    assert strength < 0.5


def test_of_two_discs_the_one_in_the_middle(central: CentralObject) -> None:
    y, x = np.mgrid[:300, :600]
    photo = np.full((300, 600, 3), 230, np.uint8)
    for centre in ((300, 150), (70, 60)):
        photo[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 40**2] = (200, 20, 20)
    box, _ = central.find(photo)
    assert abs((box.x0 + box.x1) / 2 - 300) < 20
