"""Detections: what the service answers is what transformers answers when it is called by hand."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from PIL import Image
from support import Serve, out_of_memory
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from tensorhop.errors import InvalidInput
from tensorhop.rpc.status import from_error
from tensorhop.services.detect.families import prompt
from tensorhop.services.detect.families.grounding_dino import LONGEST, padded
from tensorhop.services.detect.service import SERVICE
from tensorhop.v1 import detect_pb2, detect_pb2_grpc, fault_pb2
from tensorhop.values.geometry import Box
from tensorhop.values.results import Detection
from tensorhop.wire.messages import corners

NAME = "grounding-dino"
PHRASES = ["Red cup", "cat", "wooden table"]
ALL = {"score_threshold": 0.0, "iou_threshold": 1.0}  # nothing is left out


def ask(address: str, image: np.ndarray, phrases: list[str], **options: float) -> detect_pb2.DetectResponse:
    """A call as any client makes it, with the stock stub."""
    message = detect_pb2.DetectRequest(phrases=phrases, options=detect_pb2.DetectOptions(**options))
    message.image.tensor.dtype = "UINT8"
    message.image.tensor.shape.extend(image.shape)
    message.image.tensor.data = image.tobytes()
    with grpc.insecure_channel(address) as channel:
        return detect_pb2_grpc.DetectServiceStub(channel).Detect(message, timeout=60)


def by_hand(path: Path, image: np.ndarray, phrases: list[str]) -> tuple[dict, np.ndarray, list[list[int]]]:
    """Their post-processing of all boxes, the probability of each token for each box, and each phrase's tokens."""
    processor = AutoProcessor.from_pretrained(path, backend="pil")
    network = AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    inputs = processor(images=Image.fromarray(image), text=[phrases], return_tensors="pt")
    with torch.no_grad():
        answer = network(**inputs)
    (found,) = processor.post_process_grounded_object_detection(
        answer, threshold=-1, text_threshold=0.25, target_sizes=[image.shape[:2]]
    )
    ids = inputs["input_ids"][0].tolist()
    dots = [index for index, token in enumerate(ids) if token == 1012]
    places = [list(range(start + 1, end)) for start, end in zip([0, *dots], dots, strict=False)]
    return found, answer.logits[0].sigmoid().numpy(), places


def test_the_service_finds_what_transformers_finds(serve: Serve, checkpoints: dict, photos: list) -> None:
    address, _ = serve(SERVICE, checkpoints[NAME])
    for photo in photos[:2]:
        found, tokens, places = by_hand(checkpoints[NAME], photo, PHRASES)
        scores = np.stack([tokens[:, place].max(axis=1) for place in places], axis=1)
        boxes = np.clip(found["boxes"].numpy(), 0, [photo.shape[1], photo.shape[0]] * 2)
        order = np.argsort(-scores.max(axis=1), kind="stable")
        answer = ask(address, photo, PHRASES, **ALL)
        assert len(answer.detections) == len(order) == 30
        labels = set()
        for rank, (one, expected) in enumerate(zip(answer.detections, order, strict=True)):
            assert one.index == rank
            assert one.phrase_index == scores[expected].argmax()
            assert one.label == PHRASES[one.phrase_index]
            assert one.score == pytest.approx(scores[expected].max(), abs=1e-4)
            np.testing.assert_allclose(corners(one.box), boxes[expected], atol=1e-4)
            labels.add(one.label)
        assert labels == set(PHRASES)
        assert any(text.strip(". ") not in PHRASES for text in found["text_labels"])  # theirs are pieces and mixtures


def test_thresholds(serve: Serve, checkpoints: dict, photos: list) -> None:
    _, model = serve(SERVICE, checkpoints[NAME])
    everything = detected(model, photos[0], PHRASES, **ALL)
    middle = everything[len(everything) // 2].score
    some = detected(model, photos[0], PHRASES, score_threshold=middle, iou_threshold=1.0)
    assert some == [one for one in everything if one.score >= middle]
    apart = detected(model, photos[0], PHRASES, score_threshold=0.0, iou_threshold=0.1)
    assert 0 < len(apart) < len(everything)
    assert [one.index for one in apart] == list(range(len(apart)))
    assert all(one.box.iou(other.box) <= 0.1 for one in apart for other in apart[: one.index])
    kept = [(one.label, one.score, one.box) for one in apart]
    for one in everything:
        better = [Box(*box) for _, score, box in kept if score >= one.score]
        assert (one.label, one.score, one.box) in kept or any(one.box.iou(box) > 0.1 for box in better)
    assert detected(model, photos[0], PHRASES, score_threshold=1.0) == []


def test_a_batch_finds_what_each_alone_finds(
    serve: Serve, checkpoints: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos of several sizes and shapes, and texts of several lengths."""
    _, model = serve(SERVICE, checkpoints[NAME])
    images = [*photos, np.ascontiguousarray(photos[0][:, ::-1]), photos[0]]
    phrases = [PHRASES, ["cat"], ["a dog"], ["dog", "red kite"], ["blue kite", "bird", "red dog"], ["bird"]]
    alone = [detected(model, image, asked, **ALL) for image, asked in zip(images, phrases, strict=True)]
    monkeypatch.setattr(model, "largest_batch", 4)
    run, together = model._run, []
    monkeypatch.setattr(model, "_run", lambda batch, least: together.append(len(batch)) or run(batch, least))
    for (found, _), expected in zip(model.predict(images, phrases, **ALL), alone, strict=True):
        assert [one.label for one in found] == [one.label for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            np.testing.assert_allclose(one.box, other.box, atol=1e-4)
    assert sorted(together) == [1, 1, 2, 2]  # some ran together


def test_the_same_call_gives_the_same_answer(serve: Serve, checkpoints: dict, photos: list) -> None:
    address, _ = serve(SERVICE, checkpoints[NAME])
    answers = [ask(address, photos[2], PHRASES) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].detections


def test_phrases_read_by_us_are_read_as_by_transformers(checkpoints: dict) -> None:
    processor = AutoProcessor.from_pretrained(checkpoints[NAME], backend="pil")
    phrases = ["Red CUP", " a cat ", "unheard-of thing", "dog/horse, lying"]
    read = prompt.read(processor.tokenizer, phrases, [101, 102, 1012, 1029], 256)
    theirs = processor(images=Image.new("RGB", (64, 64)), text=[phrases], return_tensors="pt")["input_ids"][0].tolist()
    assert list(read.ids) == theirs
    assert processor.tokenizer.decode(read.ids[read.spans[1]]) == "a cat"
    assert (read.left_out, read.warnings) == (0, [])


@pytest.mark.parametrize(
    ("phrase", "plain"),
    [
        ("red. cup.", "red cup"),
        ("red? cup", "red cup"),
        ("red [SEP] cup [CLS]", "red [sep] cup [cls]"),
        ("red\ncup\0", "red cup"),
        (". . red cup . .", "red cup"),
    ],
)
def test_a_phrase_stays_one_phrase(serve: Serve, checkpoints: dict, photos: list, phrase: str, plain: str) -> None:
    """It is read as if what would divide it were not there, and the phrases beside it are what they are without it."""
    _, model = serve(SERVICE, checkpoints[NAME])
    hostile, tame = (detected(model, photos[1], ["cat", one, "table"], **ALL) for one in (phrase, plain))
    assert [(one.phrase_index, one.score, one.box) for one in hostile] == [
        (one.phrase_index, one.score, one.box) for one in tame
    ]
    assert {one.label for one in hostile} == {"cat", phrase, "table"}


@pytest.mark.parametrize("phrase", [".", "??", " . "])
def test_a_phrase_of_which_nothing_is_read(serve: Serve, checkpoints: dict, photos: list, phrase: str) -> None:
    address, _ = serve(SERVICE, checkpoints[NAME])
    fault = fault_in(address, photos[0], ["cat", phrase])
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, "phrases[1]")


def test_too_many_phrases_are_cut_between_two(serve: Serve, checkpoints: dict, photos: list) -> None:
    """100 phrases of 4 tokens and a dot: 254 tokens are 50 phrases."""
    address, _ = serve(SERVICE, checkpoints[NAME])
    phrases = [f"red cup {color} {thing}" for color in ("blue", "green") for thing in ["dog"] * 50]
    answer = ask(address, photos[0], phrases, **ALL)
    assert len(answer.warnings) == 1
    assert answer.warnings[0].startswith("50 of 100 phrases were left out, from phrases[50] on")
    assert all(one.phrase_index < 50 for one in answer.detections)
    assert answer.detections[0].box == ask(address, photos[0], phrases[:50], **ALL).detections[0].box
    assert ask(address, photos[0], phrases[:50]).warnings == []


def test_a_phrase_that_is_too_long_alone(serve: Serve, checkpoints: dict, photos: list) -> None:
    _, model = serve(SERVICE, checkpoints[NAME])
    with pytest.raises(InvalidInput, match=r"phrases\[0\] has 254 tokens; the model reads at most 253"):
        detected(model, photos[0], ["cat " * 254])
    assert detected(model, photos[0], ["cat " * 253], **ALL)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 1000), (1000, 3), (1, 5000), (5000, 1), (40, 2000)])
def test_odd_sizes(serve: Serve, checkpoints: dict, shape: tuple[int, int]) -> None:
    _, model = serve(SERVICE, checkpoints[NAME])
    rng = np.random.default_rng(3)
    found = detected(model, rng.integers(0, 256, (*shape, 3), np.uint8), ["cat"], **ALL)
    height, width = shape
    for one in found:
        assert 0 <= one.box.x0 < one.box.x1 <= width
        assert 0 <= one.box.y0 < one.box.y1 <= height
        assert 0 <= one.score <= 1
        assert all(np.float32(value) == value for value in (*one.box, one.score))


@pytest.mark.parametrize("shape", [(10, 2000), (2000, 10)])
def test_long_and_narrow_photos_are_padded(
    serve: Serve, checkpoints: dict, shape: tuple[int, int], photos: list
) -> None:
    """The boxes are those of the padded photo, at its scale, without what lies in the padding."""
    _, model = serve(SERVICE, checkpoints[NAME])
    photo = np.resize(photos[0], (*shape, 3))
    whole = padded(photo)
    assert max(whole.shape) == LONGEST * min(whole.shape[:2])
    assert (whole[: shape[0], : shape[1]] == photo).all()
    assert padded(whole) is whole
    every = detected(model, whole, ["cat", "dog"], **ALL)
    middle = [((one.box.x0 + one.box.x1) / 2, (one.box.y0 + one.box.y1) / 2) for one in every]
    inside = [one for one, (x, y) in zip(every, middle, strict=True) if x <= shape[1] and y <= shape[0]]
    found = detected(model, photo, ["cat", "dog"], **ALL)
    assert [one.score for one in found] == [one.score for one in inside]


def test_padding_is_for_long_and_narrow_photos_only(photos: list) -> None:
    for photo in photos:
        assert padded(photo) is photo


def test_bfloat16_is_near_float32(serve: Serve, checkpoints: dict, photos: list) -> None:
    _, model = serve(SERVICE, checkpoints[NAME], dtype="bfloat16")
    found = detected(model, photos[0], PHRASES, **ALL)
    assert found
    assert {one.label for one in found} <= set(PHRASES)


def test_out_of_memory_fails_one_request(
    serve: Serve, checkpoints: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, model = serve(SERVICE, checkpoints[NAME])
    with monkeypatch.context() as patch:
        patch.setattr(model._checkpoint.network, "forward", out_of_memory)
        fault = fault_in(address, photos[0], PHRASES)
    assert (fault.code, fault.retryable) == (fault_pb2.CODE_RESOURCE_EXHAUSTED, True)
    assert "out of memory" in fault.message
    assert ask(address, photos[0], PHRASES, **ALL).detections


def detected(model: Any, image: np.ndarray, phrases: list[str], **thresholds: float) -> list[Detection]:
    ((found, _),) = model.predict([image], [phrases], **thresholds)
    return found


def fault_in(address: str, image: np.ndarray, phrases: list[str]) -> fault_pb2.Fault:
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, image, phrases)
    return from_error(caught.value).fault
