"""The embedded detector looks for what was asked."""

import cv2
import numpy as np
import pytest

from tensorhop.errors import InvalidInput
from tensorhop.services.detect.embedded import SCORE_THRESHOLD, UNKNOWN_SCORE, EmbeddedDetector
from tensorhop.values.geometry import Box, size_of
from tensorhop.values.results import Detection


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector()


def found(detector: EmbeddedDetector, photo: np.ndarray, *phrases: str, **options: float) -> list[Detection]:
    ((detections, _),) = detector.predict([photo], [phrases], **options)
    assert [one.index for one in detections] == list(range(len(detections)))
    assert [one.label for one in detections] == [phrases[one.phrase_index] for one in detections]
    for one in detections:
        assert all(np.float32(value) == value for value in (one.score, *one.box))
        assert one.box == one.box.clipped(size_of(photo))
    return detections


def tile(photo: np.ndarray) -> np.ndarray:
    return cv2.resize(photo, (450, 300), interpolation=cv2.INTER_AREA)


def middle(one: Detection) -> tuple[float, float]:
    return (one.box.x0 + one.box.x1) / 2, (one.box.y0 + one.box.y1) / 2


@pytest.mark.parametrize(
    ("cat_first", "phrases"),
    [
        (True, ("cat",)),
        (True, ("coffee mug",)),
        (True, ("coffee mug", "cat")),
        (False, ("cat",)),
        (False, ("cup", "cat")),
    ],
)
def test_side_by_side_the_phrase_chooses_the_box(
    detector: EmbeddedDetector, cat: np.ndarray, coffee: np.ndarray, cat_first: bool, phrases: tuple[str, ...]
) -> None:
    photo = np.hstack([tile(cat), tile(coffee)] if cat_first else [tile(coffee), tile(cat)])
    detections = found(detector, photo, *phrases)
    assert sorted(one.label for one in detections) == sorted(phrases)
    for one in detections:
        assert (middle(one)[0] < 450) == ((one.label == "cat") == cat_first)
        assert one.box.x1 < 460 or one.box.x0 > 440
        assert one.score > 0.8


def test_one_above_the_other(detector: EmbeddedDetector, cat: np.ndarray, coffee: np.ndarray) -> None:
    photo = np.vstack([tile(coffee), tile(cat)])
    (one,) = found(detector, photo, "cat")
    assert middle(one)[1] > 300


def test_on_a_plain_background_and_three(detector: EmbeddedDetector, cat: np.ndarray, coffee: np.ndarray) -> None:
    photo = np.full((500, 1600, 3), (230, 232, 235), np.uint8)  # cat, cup, cat
    for index, piece in enumerate((cat, coffee, cat[:, ::-1])):
        photo[100:400, 60 + 520 * index : 510 + 520 * index] = tile(piece)
    cats = found(detector, photo, "cat")
    assert sorted(round(middle(one)[0]) // 520 for one in cats) == [0, 2]


def test_what_is_not_there_is_not_found(detector: EmbeddedDetector, coffee: np.ndarray, cat: np.ndarray) -> None:
    assert found(detector, coffee, "dog", "car", "person", "bicycle", "flower") == []
    assert found(detector, cat, "dog") == []


def test_an_unknown_word_gets_what_stands_out_at_a_low_score(detector: EmbeddedDetector, coffee: np.ndarray) -> None:
    ((detections, warnings),) = detector.predict([coffee], [["gizmotron"]])
    assert detections[0].box.iou(Box(77, 18, 480, 390)) > 0.8
    assert all(SCORE_THRESHOLD <= one.score <= UNKNOWN_SCORE for one in detections)
    assert all(one.unknown_phrase for one in detections)
    assert len(warnings) == 1
    assert "gizmotron" in warnings[0]


def test_a_known_word_beside_an_unknown_one_keeps_its_object(detector: EmbeddedDetector, coffee: np.ndarray) -> None:
    ((detections, warnings),) = detector.predict([coffee], [["gizmotron", "cup"]])
    assert detections[0].label == "cup"
    assert detections[0].phrase_index == 1
    assert not detections[0].unknown_phrase
    assert detections[0].score > 0.8
    assert len(warnings) == 1


@pytest.mark.parametrize("kind", ["plain", "noise"])
def test_where_nothing_is_the_answer_is_empty(detector: EmbeddedDetector, kind: str) -> None:
    photo = np.full((200, 300, 3), 120, np.uint8)
    if kind == "noise":
        photo = np.random.default_rng(3).integers(0, 256, photo.shape, np.uint8)
    assert found(detector, photo, "cat", "object", "person") == []


def test_thresholds(detector: EmbeddedDetector, coffee: np.ndarray) -> None:
    assert found(detector, coffee, "cup", score_threshold=0.9)
    assert found(detector, coffee, "object", score_threshold=0.5) == []
    more = found(detector, coffee, "dog", score_threshold=0.0)
    assert more
    assert more[0].score < SCORE_THRESHOLD


@pytest.mark.parametrize(("phrases", "field"), [([], "phrases"), (["cat", " "], r"phrases\[1\]")])
def test_no_phrase_and_an_empty_one_are_refused(
    detector: EmbeddedDetector, coffee: np.ndarray, phrases: list[str], field: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{field} is empty"):
        detector.predict([coffee], [phrases])


def test_the_same_call_gives_the_same_answer(detector: EmbeddedDetector, cat: np.ndarray) -> None:
    assert detector.predict([cat], [["cat"]]) == detector.predict([cat], [["cat"]])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000)])
def test_odd_sizes(detector: EmbeddedDetector, shape: tuple[int, int]) -> None:
    found(detector, np.full((*shape, 3), 40, np.uint8), "cat", "object")
