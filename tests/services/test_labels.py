"""Phrases find the labels of a network with a fixed list."""

import pytest

from tensorhop.services.detect.families.labels import Labels

COCO = """
    person, bicycle, car, motorbike, aeroplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, bench,
    bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, kite,
    skis, sports ball, baseball bat, skateboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl,
    banana, apple, orange, broccoli, hot dog, pizza, cake, chair, sofa, pottedplant, bed, diningtable, toilet, laptop,
    mouse, keyboard, cell phone, oven, sink, book, clock, vase, teddy bear, N/A
"""
NAMES = [name.strip() for name in COCO.split(",")]
LABELS = Labels(dict(enumerate(NAMES)))


def names(phrase: str, labels: Labels = LABELS) -> set[str]:
    return {NAMES[index] for index in labels.find(phrase)}


@pytest.mark.parametrize(
    ("phrase", "label"),
    [
        ("cat", "cat"),
        ("The cats", "cat"),
        ("Fire Hydrant", "fire hydrant"),
        ("dining table", "diningtable"),
        ("a red car", "car"),
        ("two dogs running", "dog"),
        ("a black and white cat", "cat"),
        ("a cup of coffee on a table", "cup"),
        ("red teddy bears", "teddy bear"),
        ("hotdog", "hot dog"),
        ("man", "person"),
        ("people", "person"),
        ("mug", "cup"),
        ("couch", "sofa"),
        ("kitten", "cat"),
        ("airplane", "aeroplane"),
        ("plant", "pottedplant"),
    ],
)
def test_phrases(phrase: str, label: str) -> None:
    assert names(phrase) == {label}


@pytest.mark.parametrize("phrase", ["unicorn", "pillow", "sunglasses", "N/A", "", "?!", "hamster", "bagel"])
def test_what_is_outside_of_the_list(phrase: str) -> None:
    assert names(phrase) == set()


def test_a_known_word_is_not_taken_for_its_end() -> None:
    assert Labels({0: "bear", 1: "dog"}).find("teddy bear") == frozenset()
    assert Labels({0: "bear", 1: "dog"}).find("hot dog") == frozenset()


def test_numbers_without_a_label_do_not_count() -> None:
    assert len(LABELS) == len(NAMES) - 1


def test_a_label_of_several_words_is_each_of_them() -> None:
    labels = Labels({3: "Cabinet/shelf", 7: "Monitor_TV", 9: "cabinet"})
    assert labels.find("cabinets") == {3, 9}
    assert labels.find("a shelf") == {3}
    assert labels.find("monitor tv") == {7}
