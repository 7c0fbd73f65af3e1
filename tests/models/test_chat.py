"""Chat models: the network reads what is put together here by hand, and the service says what transformers says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import Serve
from test_captioner import ask
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import PRESETS, ModelPreset
from tensorhop.models.presets.describe import CENTRAL
from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.services.describe.answers import phrase_of
from tensorhop.services.describe.captioner import Captioner
from tensorhop.services.describe.service import SERVICE
from tensorhop.settings import current_settings
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.geometry import Region, size_of
from tensorhop.wire.messages import read_region

QUESTION = "what is on the table?"


def qwen(pixels: dict) -> tuple[str, str]:
    return "<|image_pad|>", "<|image_pad|>" * (int(pixels["image_grid_thw"].prod()) // 4)


def smolvlm(pixels: dict) -> tuple[str, str]:
    rows, columns = int(np.ravel(pixels.pop("rows"))[0]), int(np.ravel(pixels.pop("cols"))[0])
    around, four = "<fake_token_around_image>", "<image>" * 4
    parts = [
        "".join(f"{around}<row_{row + 1}_col_{column + 1}>{four}" for column in range(columns)) + "\n"
        for row in range(rows)
    ]
    return "<image>", f"{''.join(parts)}\n{around}<global-img>{four}{around}"


def gemma(pixels: dict) -> tuple[str, str]:
    pixels.pop("num_crops", None)
    return "<start_of_image>", "\n\n<start_of_image>" + "<image_soft_token>" * 16 + "<end_of_image>\n\n"


def internvl(pixels: dict) -> tuple[str, str]:
    pixels.pop("num_patches", None)
    return "<IMG_CONTEXT>", "<img>" + "<IMG_CONTEXT>" * (4 * len(pixels["pixel_values"])) + "</img>"


# By checkpoint: what marks a photo in the template, and what stands there in the end; what tells photos from text; and
# how the processor of the family calls that of the photos.
FAMILIES: dict[str, tuple[Callable[[dict], tuple[str, str]], str, dict]] = {
    "qwen2.5-vl": (qwen, "mm_token_type_ids", {}),
    "qwen3-vl": (qwen, "mm_token_type_ids", {}),
    "smolvlm2": (smolvlm, "", {"return_row_col_info": True}),
    "gemma3": (gemma, "token_type_ids", {}),
    "internvl": (internvl, "", {}),
}
each_family = pytest.mark.parametrize("name", FAMILIES)


def inputs_by_hand(
    name: str, path: Path, image: np.ndarray, question: str, system: str = ""
) -> dict[str, torch.Tensor]:
    """Image processor, tokenizer and chat template, without the processor of the family."""
    marks, types, options = FAMILIES[name]
    tokenizer = AutoTokenizer.from_pretrained(path)
    processor = AutoImageProcessor.from_pretrained(path, backend="pil")
    pixels = dict(processor(Image.fromarray(image), return_tensors="pt", **options))
    content = [{"type": "image"}, {"type": "text", "text": question}]
    before = [{"role": "system", "content": [{"type": "text", "text": system}]}] if system else []
    text = tokenizer.apply_chat_template(
        [*before, {"role": "user", "content": content}],
        chat_template=(path / "chat_template.jinja").read_text(),
        add_generation_prompt=True,
        tokenize=False,
    )
    mark, photo = marks(pixels)
    assert text.count(mark) == 1
    inputs = tokenizer(text.replace(mark, photo), add_special_tokens=False, return_tensors="pt")
    assert question in text
    assert system in text
    if types:
        photo_token = {"qwen": "<|image_pad|>", "gemm": "<image_soft_token>"}[name[:4]]
        pixels[types] = (inputs["input_ids"] == tokenizer.convert_tokens_to_ids(photo_token)).long()
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], **pixels}


def by_hand(path: Path, inputs: dict[str, torch.Tensor], tokens: int, beams: int) -> tuple[torch.Tensor, str, float]:
    """The new tokens, their text, and of greedy tokens the geometric mean of the probabilities."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    network = AutoModelForImageTextToText.from_pretrained(path).eval()
    with torch.no_grad():
        answer = network.generate(
            **inputs,
            max_new_tokens=tokens,
            num_beams=beams,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    (row,) = answer.sequences[:, inputs["input_ids"].shape[1] :]
    logs = torch.stack(
        [logits[0].float().log_softmax(-1)[token] for logits, token in zip(answer.logits, row, strict=True)]
    )
    words = [index for index, token in enumerate(row.tolist()) if token not in tokenizer.all_special_ids]
    return row, tokenizer.decode(row, skip_special_tokens=True), float(logs[words].mean().exp())


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[tuple[dict, torch.Tensor]]]:
    """Notes what a model's network is given, and what it generates."""

    def spy(model: Any) -> list[tuple[dict, torch.Tensor]]:
        seen: list[tuple[dict, torch.Tensor]] = []
        network = model._checkpoint.network
        generate = network.generate

        def noted(**given: Any) -> Any:
            answer = generate(**given)
            seen.append(({k: v for k, v in given.items() if isinstance(v, torch.Tensor)}, answer.sequences))
            return answer

        monkeypatch.setattr(network, "generate", noted)
        return seen

    return spy


@each_family
@pytest.mark.parametrize(("prompt", "tokens", "beams"), [("", 20, 1), (QUESTION, 9, 1), (QUESTION, 6, 3)])
def test_the_network_reads_and_writes_what_it_does_by_hand(
    serve: Serve, chatters: dict, photos: list, name: str, prompt: str, tokens: int, beams: int, spied: Callable
) -> None:
    address, model = serve(SERVICE, chatters[name])
    seen, said = spied(model), set()
    for photo in photos[:2]:
        answer = ask(address, photo, DescribeOptions("whole", prompt, tokens, beams))
        expected = inputs_by_hand(name, chatters[name], photo, prompt or CENTRAL)
        row, text, score = by_hand(chatters[name], expected, tokens, beams)
        given, sequences = seen.pop()
        assert given.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(given[key], value), key
        assert torch.equal(sequences[0, -len(row) :], row)
        assert answer.text == phrase_of(text)
        if beams == 1:
            assert answer.score == pytest.approx(score, abs=1e-4)
        assert 0 < answer.score <= 1
        assert read_region(answer.region) == Region.of(size_of(photo))
        said.add(tuple(row.tolist()))
    assert len(said) == 2  # so the image matters, and the comparison can fail


@each_family
def test_a_batch_says_what_each_alone_says(
    serve: Serve, chatters: dict, photos: list, name: str, monkeypatch: pytest.MonkeyPatch, spied: Callable
) -> None:
    """Photos that the network reads in several sizes."""
    _, model = serve(SERVICE, chatters[name])
    mirrored = [np.ascontiguousarray(photo[:, ::-1]) for photo in photos[:2]]
    images, options = [*photos, *mirrored], DescribeOptions("whole", QUESTION)
    alone = [model.predict([image], options)[0] for image in images]
    monkeypatch.setattr(model, "largest_batch", 4)
    seen = spied(model)
    for one, other in zip(model.predict(images, options), alone, strict=True):
        assert (one.text, one.region) == (other.text, other.region)
        assert one.score == pytest.approx(other.score, abs=1e-4)
    assert len(seen) < len(images)  # some ran together


@each_family
@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (900, 3)])
def test_odd_sizes(serve: Serve, chatters: dict, name: str, shape: tuple[int, int]) -> None:
    _, model = serve(SERVICE, chatters[name])
    (found,) = model.predict([np.full((*shape, 3), 9, np.uint8)])
    assert found.text
    assert found.region == (0, 0, shape[1], shape[0])


@each_family
def test_marks_of_the_chat_are_refused_in_a_prompt(serve: Serve, chatters: dict, photos: list, name: str) -> None:
    _, model = serve(SERVICE, chatters[name])
    mark = AutoTokenizer.from_pretrained(chatters[name]).all_special_tokens[-1]
    with pytest.raises(InvalidInput, match=r"options.prompt holds .*, a special token of the network"):
        model.predict(photos[:1], DescribeOptions(prompt=f"a cup {mark}"))


def test_a_preset_s_question_is_asked_until_the_caller_asks(
    chatters: dict, photos: list, spied: Callable, checkpoints: dict
) -> None:
    for path in (chatters["gemma3"], checkpoints["blip2"]):
        preset = ModelPreset("describe", "transformers", question="a red cup on a table")
        model = Captioner(ModelSource(ModelChoice(str(path), "cpu"), "transformers", path, preset=preset))
        seen = spied(model)
        texts = []
        for prompt in ("", "a red cup on a table", "a dog"):
            model.predict(photos[:1], DescribeOptions(prompt=prompt, max_new_tokens=3))
            ids = seen.pop()[0]["input_ids"][0]
            texts.append(model._checkpoint.processor.tokenizer.decode(ids, skip_special_tokens=True))
        assert texts[0] == texts[1] != texts[2]
        assert "a red cup on a table" in texts[0]
        assert "a dog" in texts[2]


def test_presets_that_chat_carry_the_question() -> None:
    chats = ("qwen", "smolvlm", "gemma", "internvl")
    for name, preset in PRESETS.items():
        if preset.service == "describe" and name.startswith(chats):
            assert preset.question == CENTRAL


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        ("A red mug.", "A red mug"),
        ("a red mug", "a red mug"),
        ("The main (central) object in this image is a **red mug**. It stands on a table.", "a red mug"),
        ("**Red mug**\n\nThe mug is red.", "Red mug"),
        ("\n\n- a `red` mug\n- a spoon", "a red mug"),
        ("1. a mug", "a mug"),
        ('"A red mug"', "A red mug"),
        ("The central object is: a mug", "a mug"),
        ("Main object: a snake_case mug", "a snake_case mug"),
        ("In this image, the main object is a 3.5 inch disk.", "a 3.5 inch disk"),
        ("The image shows a green car parked in front of a yellow building.", None),
        ("It is a St. Bernard dog.", "a St. Bernard dog"),
        ("This is a cat; it sleeps | a bed", "a cat"),
        ("The main object in the image is", "The main object in the image is"),
        ("What a cat!", "What a cat"),
        ("", "object"),
        ("...\n**", "object"),
        ("word " * 100, ("word " * 40).strip()),
        ("a \x1b[31mred\x14 mug\u202e", "a [31mred mug"),
    ],
)
def test_an_answer_becomes_a_phrase(answer: str, phrase: str | None) -> None:
    assert phrase_of(answer) == (phrase or "a green car parked in front of a yellow building")
    assert len(phrase_of(answer)) <= current_settings().max_phrase_characters
    assert phrase_of(phrase_of(answer)) == phrase_of(answer)
