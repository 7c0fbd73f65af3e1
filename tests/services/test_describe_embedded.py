"""The embedded describer names the central object of real photos, and hedges."""

import numpy as np
import pytest

from tensorhop.errors import InvalidInput
from tensorhop.services.describe.embedded import CONFIDENCE, UNSURE, EmbeddedDescriber
from tensorhop.services.embedded import vocabulary
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.geometry import Region, size_of

WORDS = vocabulary.load()


@pytest.fixture(scope="module")
def describer() -> EmbeddedDescriber:
    return EmbeddedDescriber()


def probabilities(**classes: float) -> np.ndarray:
    """Probabilities of the classes of those names (spaces as underscores); the rest is spread over all."""
    found = np.full(1000, (1 - sum(classes.values())) / 1000, np.float32)
    for name, value in classes.items():
        found[WORDS.names.index(name.replace("_", " "))] += value
    return found


def test_names_the_cat_and_the_coffee(describer: EmbeddedDescriber, cat: np.ndarray, coffee: np.ndarray) -> None:
    of_cat, of_coffee = describer.predict([cat, coffee])
    assert of_cat.text == "cat"
    assert of_cat.score > 0.9
    assert of_coffee.text == "cup of coffee"
    region = of_coffee.region
    assert region.x0 < 120
    assert region.x1 > 440
    assert region.x1 < 520
    assert region.intersect(Region.of(size_of(coffee))) == region


def test_what_it_says_can_be_detected(describer: EmbeddedDescriber) -> None:
    """Every word it can say is in the vocabulary that the detector looks phrases up in; "object" is not."""
    for concept, _ in describer._concepts:
        found = WORDS.find(concept.word)
        assert found is not None, concept.word
        assert concept.overlaps(found), concept.word
    assert WORDS.find(UNSURE) is None


def test_looks_at_the_whole_photo_if_asked_to(describer: EmbeddedDescriber, coffee: np.ndarray) -> None:
    (whole,) = describer.predict([coffee], DescribeOptions(look="whole"))
    (central,) = describer.predict([coffee], DescribeOptions(look="central_object"))
    assert whole.region == Region.of(size_of(coffee)) != central.region
    assert whole.score != central.score


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (DescribeOptions(prompt="a photo of"), "options.prompt"),
        (DescribeOptions(max_new_tokens=5), "options.generation"),
        (DescribeOptions(num_beams=1), "options.generation"),
    ],
)
def test_it_writes_no_text(describer: EmbeddedDescriber, cat: np.ndarray, options: DescribeOptions, field: str) -> None:
    with pytest.raises(InvalidInput, match="embedded model") as caught:
        describer.predict([cat], options)
    assert caught.value.field == field


@pytest.mark.parametrize("value", [0, 200])
def test_says_object_of_a_plain_picture(describer: EmbeddedDescriber, value: int) -> None:
    (found,) = describer.predict([np.full((120, 160, 3), value, np.uint8)])
    assert found.text == UNSURE
    assert found.score < CONFIDENCE
    assert found.region == (0, 0, 160, 120)


def test_says_object_of_noise(describer: EmbeddedDescriber) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (200, 200, 3), np.uint8)
    assert describer.predict([noise])[0].text == UNSURE


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (probabilities(banana=0.8), "banana"),
        (probabilities(Beagle=0.3, pug=0.3), "dog"),
        (probabilities(coffee_mug=0.6, cup=0.2), "coffee mug"),
        (probabilities(violin=0.3, trumpet=0.3), "musical instrument"),
        (probabilities(lion=0.3, Beagle=0.3), "animal"),
        (probabilities(sports_car=0.35, convertible=0.35), "car"),
        (probabilities(banana=0.3, violin=0.3), UNSURE),
        (probabilities(cowboy_hat=0.5, jeans=0.3), "person"),
        (probabilities(cowboy_hat=0.9), "hat"),
    ],
)
def test_hedges_to_the_narrowest_word_that_is_likely(describer: EmbeddedDescriber, seen: np.ndarray, said: str) -> None:
    assert describer.name_of(seen)[0] == said


@pytest.mark.parametrize("shape", [(1, 1), (5000, 1)])
def test_odd_sizes(describer: EmbeddedDescriber, shape: tuple[int, int]) -> None:
    (found,) = describer.predict([np.full((*shape, 3), 9, np.uint8)])
    assert not found.region.empty
    assert found.region.intersect(Region(0, 0, shape[1], shape[0])) == found.region
