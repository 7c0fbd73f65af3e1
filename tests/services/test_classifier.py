"""EfficientNet-Lite0 on real photos: what they show, and where."""

import numpy as np
import pytest

from tensorhop.services.embedded.classifier import CLASSES, Classifier
from tensorhop.values.geometry import Box

ESPRESSO = 967
CATS = slice(281, 286)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def test_names_photos_of_different_sizes_in_one_call(
    classifier: Classifier, coffee: np.ndarray, cat: np.ndarray
) -> None:
    found = classifier.probabilities([coffee, cat, coffee[::3, ::2]])
    assert found.shape == (3, CLASSES)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found[0].argmax() == found[2].argmax() == ESPRESSO
    assert found[1, CATS].sum() > 0.9


def test_more_pictures_than_a_batch_and_none(classifier: Classifier, coffee: np.ndarray, cat: np.ndarray) -> None:
    found = classifier.probabilities([cat] * 9 + [coffee])
    assert found[9].argmax() == ESPRESSO
    assert np.allclose(found[0], found[8], atol=1e-4)
    assert classifier.probabilities([]).shape == (0, CLASSES)


def test_evidence_lies_where_the_thing_is(classifier: Classifier, coffee: np.ndarray, cat: np.ndarray) -> None:
    both = np.hstack([cat[:300, :450], coffee[:300, :450]])
    evidence = classifier.evidence(both, 448)
    assert np.allclose(evidence.sum(axis=0), 1, atol=1e-4)
    middle = evidence.shape[2] // 2
    assert evidence[CATS, :, :middle].sum(axis=0).mean() > 5 * evidence[CATS, :, middle:].sum(axis=0).mean()
    assert evidence[ESPRESSO, :, middle:].mean() > 5 * evidence[ESPRESSO, :, :middle].mean()


def test_objects_do_not_see_their_neighbours(classifier: Classifier, coffee: np.ndarray, cat: np.ndarray) -> None:
    both = np.hstack([cat[:300, :450], coffee[:300, :450]])
    found = classifier.objects(both, [Box(0, 0, 440, 300), Box(520, 15, 900, 300)])
    assert found[0, CATS].sum() > 0.9
    assert found[1, CATS].sum() < 0.01
    assert found[1].argmax() == ESPRESSO


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_sizes(classifier: Classifier, shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 90, np.uint8)
    assert np.isfinite(classifier.evidence(photo, 448)).all()
    assert np.isfinite(classifier.objects(photo, [Box(0, 0, shape[1], shape[0])])).all()
