"""Florence-2: what describe and detect answer is what transformers answers when it is called by hand."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import Serve, out_of_memory
from test_captioner import ask as ask_describe
from test_grounding_dino import ask as ask_detect
from test_grounding_dino import detected, fault_in
from transformers import AutoModelForImageTextToText, AutoProcessor

from tensorhop.errors import InvalidInput
from tensorhop.services.describe.answers import phrase_of
from tensorhop.services.describe.captioner import CAPTIONS
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.services.detect.families.florence import BEAMS, TASK, boxes
from tensorhop.services.detect.service import SERVICE as DETECT
from tensorhop.v1 import fault_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.wire.messages import corners

NAME = "florence-2"
PHRASES = ["red cup", "a cat", "wooden table"]
SHORT = 80  # tokens; random weights never end an answer
ALL = {"score_threshold": 0.0, "iou_threshold": 1.0}  # nothing is left out


class ByHand:
    def __init__(self, path: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(path, backend="pil")
        self.network = AutoModelForImageTextToText.from_pretrained(path).eval()

    def generate(self, image: np.ndarray, text: str, tokens: int, beams: int) -> Any:
        inputs = self.processor(images=Image.fromarray(image), text=text, return_tensors="pt")
        with torch.no_grad():
            return self.network.generate(**inputs, max_new_tokens=tokens, num_beams=beams, do_sample=False)[0]

    def grounded(self, image: np.ndarray, phrase: str) -> list[list[int]]:
        """Boxes of the first phrase in whole pixels: of the text up to its last box, the last that they find."""
        row = self.generate(image, TASK + phrase, SHORT, BEAMS)
        text = re.sub("</s>|<s>|<pad>", "", self.processor.decode(row, skip_special_tokens=False))
        first = re.match(r".*?[^<>](?:<loc_\d+>){4,}", text, re.DOTALL)
        return self.boxes(first[0], image.shape)[-1] if first else []

    def boxes(self, text: str, shape: tuple[int, ...]) -> list[list[list[int]]]:
        """Of each phrase its boxes."""
        parse = self.processor.post_processor.parse_phrase_grounding_from_text_and_spans
        return [one["bbox"] for one in parse(text, (shape[1], shape[0]))]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorhop.services.detect.families.florence.LONGEST", SHORT)


@pytest.fixture(scope="module")
def hand(chatters: dict) -> ByHand:
    return ByHand(chatters[NAME])


@pytest.mark.parametrize(("task", "tokens", "beams"), [("", 20, 1), *((task, 9, 1) for task in CAPTIONS), ("", 6, 3)])
def test_describe_says_what_transformers_says(
    serve: Serve, chatters: dict, photos: list, hand: ByHand, task: str, tokens: int, beams: int
) -> None:
    address, _ = serve(DESCRIBE, chatters[NAME])
    said = set()
    for photo in photos[:2]:
        answer = ask_describe(address, photo, DescribeOptions("whole", task, tokens, beams))
        row = hand.generate(photo, task or "<CAPTION>", tokens, beams)
        assert answer.text == phrase_of(hand.processor.decode(row, skip_special_tokens=True))
        assert 0 <= answer.score <= 1
        if beams == 1:
            assert answer.score == pytest.approx(probability(hand, photo, task or "<CAPTION>", row), abs=1e-4)
        said.add(tuple(row.tolist()))
    assert len(said) == 2  # so the image matters


def probability(hand: ByHand, image: np.ndarray, task: str, row: torch.Tensor) -> float:
    """By one pass over the whole text, which starts with the decoder's own start token."""
    inputs = hand.processor(images=Image.fromarray(image), text=task, return_tensors="pt")
    with torch.no_grad():
        logits = hand.network(**inputs, decoder_input_ids=row[None]).logits
    logs = logits[0, :-1].log_softmax(-1).gather(1, row[1:, None])[:, 0]
    words = ~torch.isin(row[1:], torch.tensor(hand.processor.tokenizer.all_special_ids))
    return float(logs[words].mean().exp()) if words.any() else 0.0


@pytest.mark.parametrize("prompt", ["<OD>", "a red cup", "<CAPTION> a red cup", TASK])
def test_describe_runs_tasks_that_describe(serve: Serve, chatters: dict, photos: list, prompt: str) -> None:
    _, model = serve(DESCRIBE, chatters[NAME])
    with pytest.raises(InvalidInput, match=r"Florence-2 describes by <CAPTION>, <DETAILED_CAPTION>, <MORE_DETAILED"):
        model.predict(photos[:1], DescribeOptions(prompt=prompt))


def test_detect_finds_what_transformers_finds(serve: Serve, chatters: dict, photos: list, hand: ByHand) -> None:
    address, _ = serve(DETECT, chatters[NAME])
    count = 0
    for photo in photos:
        answer = ask_detect(address, photo, PHRASES, **ALL)
        assert [one.score for one in answer.detections] == sorted((o.score for o in answer.detections), reverse=True)
        for index, phrase in enumerate(PHRASES):
            places = hand.grounded(photo, phrase)
            expected = sorted(box for box in places if box[0] < box[2] and box[1] < box[3])
            found = [one for one in answer.detections if one.phrase_index == index]
            assert sorted([int(value) for value in corners(one.box)] for one in found) == expected
            assert {one.label for one in found} <= {phrase}
            assert all(0 < one.score <= 1 for one in found)
            count += len(found)
    assert count > 2  # so the comparison can fail


def test_a_batch_finds_what_each_alone_finds(
    serve: Serve, chatters: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model = serve(DETECT, chatters[NAME])
    phrases = [PHRASES, ["cat"], ["a dog", "red kite"], ["bird"]]
    alone = [detected(model, image, asked, **ALL) for image, asked in zip(photos, phrases, strict=True)]
    monkeypatch.setattr(model, "largest_batch", 4)
    for (found, _), expected in zip(model.predict(photos, phrases, **ALL), alone, strict=True):
        assert [one.label for one in found] == [one.label for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.box == other.box


def test_thresholds(serve: Serve, chatters: dict, photos: list) -> None:
    _, model = serve(DETECT, chatters[NAME])
    every = detected(model, photos[0], PHRASES, **ALL)
    middle = every[len(every) // 2].score
    assert detected(model, photos[0], PHRASES, score_threshold=middle, iou_threshold=1.0) == [
        one for one in every if one.score >= middle
    ]
    apart = detected(model, photos[0], PHRASES, iou_threshold=0.1)
    assert apart
    assert all(one.box.iou(other.box) <= 0.1 for one in apart for other in apart[: one.index])
    assert [one.index for one in apart] == list(range(len(apart)))


@pytest.mark.parametrize(
    "text",
    [
        "</s><s>a cat<loc_52><loc_333><loc_932><loc_774></s>",
        "a cat<loc_52><loc_333><loc_932><loc_774>"
        "<loc_11><loc_12><loc_303><loc_404>a table<loc_0><loc_0><loc_999><loc_999></s>",
        "</s><s>a cat</s><pad>",
    ],
)
def test_an_answer_is_read_as_by_transformers(hand: ByHand, text: str) -> None:
    tokenizer = hand.processor.tokenizer
    bins = {tokenizer.convert_tokens_to_ids(f"<loc_{index}>"): index for index in range(1000)}
    tokens = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
    found = [places * [600, 400, 600, 400] for _, places in boxes(tokens, bins, {*tokenizer.all_special_ids})]
    assert [box.astype(int).tolist() for box in found] == (hand.boxes(text, (400, 600)) or [[]])[0]


# Tokens of an answer: 0 to 9 are location tokens, 50 is </s>, 60 and above is text.
@pytest.mark.parametrize(
    ("tokens", "fours"),
    [
        ([50, 60, 61, 1, 2, 3, 4, 50], [[3, 4, 5, 6]]),
        ([60, 1, 2, 3, 4, 5, 6, 7, 8], [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ([60, 1, 2, 3, 4, 5, 6, 50], [[1, 2, 3, 4]]),  # two tokens are no box
        ([60, 1, 2, 3, 4, 61, 5, 6, 7, 8], [[1, 2, 3, 4]]),  # "a cat", and "a table"
        ([60, 1, 2, 3, 61, 5, 6, 7, 8], [[5, 6, 7, 8]]),
        ([1, 2, 3, 4, 60, 5, 6, 7, 8], [[5, 6, 7, 8]]),  # no text
        ([60, 3, 2, 1, 4], []),  # no area
        ([60, 61, 50], []),
        ([], []),
    ],
)
def test_boxes_of_an_answer(tokens: list[int], fours: list[list[int]]) -> None:
    bins = {index: index for index in range(10)}
    found = boxes(np.array(tokens, np.int64), bins, {*range(10), 50})
    assert [four.tolist() for four, _ in found] == fours
    for four, places in found:
        np.testing.assert_allclose(places, [(tokens[index] + 0.5) / 1000 for index in four])


@pytest.mark.parametrize("phrase", ["a <loc_3> cup", "</s>", "cup <OD>", "<image>"])
def test_phrases_with_marks_of_the_network(serve: Serve, chatters: dict, photos: list, phrase: str) -> None:
    address, _ = serve(DETECT, chatters[NAME])
    fault = fault_in(address, photos[0], ["cat", phrase])
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, "phrases[1]")


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (900, 3)])
def test_odd_sizes(serve: Serve, chatters: dict, shape: tuple[int, int]) -> None:
    _, model = serve(DETECT, chatters[NAME])
    for one in detected(model, np.full((*shape, 3), 9, np.uint8), ["cat", "dog"], **ALL):
        assert 0 <= one.box.x0 < one.box.x1 <= shape[1]
        assert 0 <= one.box.y0 < one.box.y1 <= shape[0]


def test_out_of_memory_fails_one_request(
    serve: Serve, chatters: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, model = serve(DETECT, chatters[NAME])
    with monkeypatch.context() as patch:
        patch.setattr(model._checkpoint.network, "generate", out_of_memory)
        fault = fault_in(address, photos[0], PHRASES)
    assert (fault.code, fault.retryable) == (fault_pb2.CODE_RESOURCE_EXHAUSTED, True)
    ask_detect(address, photos[0], PHRASES)
