"""Captions: what the service answers is what transformers answers when it is called by hand."""

import re
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from PIL import Image
from support import Serve, copied, out_of_memory
from transformers import AutoModelForImageTextToText, AutoProcessor

from tensorhop.rpc.status import from_error
from tensorhop.services.describe.answers import one_line
from tensorhop.services.describe.service import SERVICE
from tensorhop.services.embedded.central import CentralObject
from tensorhop.settings import current_settings
from tensorhop.v1 import describe_pb2, describe_pb2_grpc, fault_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.geometry import Region, size_of
from tensorhop.wire.messages import read_region, write_describe

NAMES = ("blip", "blip2")
PROMPT = "a red cup"


def ask(address: str, image: np.ndarray, options: DescribeOptions) -> describe_pb2.DescribeResponse:
    """A call as any client makes it, with the stock stub."""
    message = describe_pb2.DescribeRequest(options=write_describe(options))
    message.image.tensor.dtype = "UINT8"
    message.image.tensor.shape.extend(image.shape)
    message.image.tensor.data = image.tobytes()
    with grpc.insecure_channel(address) as channel:
        return describe_pb2_grpc.DescribeServiceStub(channel).Describe(message, timeout=60)


def by_hand(path: Path, image: np.ndarray, prompt: str, tokens: int, beams: int) -> tuple[str, float]:
    """Text without the prompt, and the geometric mean of its tokens' probabilities, asked of the network one by one."""
    processor = AutoProcessor.from_pretrained(path, backend="pil")
    network = AutoModelForImageTextToText.from_pretrained(path).eval()
    given = {"text": prompt} if prompt else {}
    inputs = processor(images=Image.fromarray(image), return_tensors="pt", **given)
    with torch.no_grad():
        (row,) = network.generate(**inputs, max_new_tokens=tokens, num_beams=beams, do_sample=False)
    text = processor.decode(row, skip_special_tokens=True).strip()
    if prompt:
        assert text.startswith(prompt)
        text = text[len(prompt) :]
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text)
    return " ".join(text.split()).rstrip(" ."), probability(network, inputs, row, processor)


def probability(network: torch.nn.Module, inputs: dict, row: torch.Tensor, processor: AutoProcessor) -> float:
    """By one pass over the whole text."""
    ids = row[None]
    if network.config.model_type == "blip":
        inside = network.vision_model(pixel_values=inputs["pixel_values"])[0]
        logits = network.text_decoder(input_ids=ids, encoder_hidden_states=inside).logits
        start = inputs["input_ids"].shape[1] - 1 if "input_ids" in inputs else 1
    else:
        logits = network(pixel_values=inputs["pixel_values"], input_ids=ids).logits
        start = inputs["input_ids"].shape[1] if "input_ids" in inputs else 5  # 4 tokens of the image, and the start
    logs = logits[0, :-1].log_softmax(-1).gather(1, row[1:, None])[:, 0][start - 1 :]
    words = ~torch.isin(row[start:], torch.tensor(processor.tokenizer.all_special_ids))
    return float(logs[words].mean().detach().exp())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("prompt", "tokens", "beams"), [("", 20, 1), (PROMPT, 7, 1), ("", 5, 3), (PROMPT, 9, 4)])
def test_the_service_says_what_transformers_says(
    serve: Serve, checkpoints: dict, photos: list, name: str, prompt: str, tokens: int, beams: int
) -> None:
    address, _ = serve(SERVICE, checkpoints[name])
    said = set()
    for photo in photos[:2]:
        options = DescribeOptions("whole", prompt, tokens, beams)
        answer = ask(address, photo, options)
        text, score = by_hand(checkpoints[name], photo, prompt, tokens, beams)
        assert answer.text == text
        assert answer.score == pytest.approx(score, abs=1e-4)
        assert read_region(answer.region) == Region.of(size_of(photo))
        said.add(answer.text)
    assert len(said) == 2  # so the image matters, and the comparison can fail


def test_defaults_are_twenty_tokens_and_no_beams(serve: Serve, checkpoints: dict, photos: list) -> None:
    address, _ = serve(SERVICE, checkpoints["blip"])
    said = ask(address, photos[0], DescribeOptions("whole")).text
    assert said == ask(address, photos[0], DescribeOptions("whole", "", 20, 1)).text
    assert said != ask(address, photos[0], DescribeOptions("whole", "", 19, 1)).text


def test_the_central_object_is_what_the_network_sees(serve: Serve, checkpoints: dict, photos: list) -> None:
    address, _ = serve(SERVICE, checkpoints["blip"])
    photo = photos[1]
    answer = ask(address, photo, DescribeOptions(max_new_tokens=8))
    region = read_region(answer.region)
    box = CentralObject().find(photo).box
    assert region.x0 <= box.x0
    assert region.x1 >= box.x1
    assert region != Region.of(size_of(photo))
    assert answer.text == by_hand(checkpoints["blip"], np.ascontiguousarray(photo[region.slices]), "", 8, 1)[0]


def test_where_nothing_stands_out_it_sees_all(serve: Serve, checkpoints: dict) -> None:
    address, _ = serve(SERVICE, checkpoints["blip"])
    answer = ask(address, np.full((40, 90, 3), 200, np.uint8), DescribeOptions())
    assert read_region(answer.region) == (0, 0, 90, 40)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [DescribeOptions(), DescribeOptions("whole", PROMPT, 9, 3)])
def test_a_batch_says_what_each_alone_says(
    serve: Serve, checkpoints: dict, photos: list, name: str, options: DescribeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model = serve(SERVICE, checkpoints[name])
    alone = [model.predict([photo], options)[0] for photo in photos]
    monkeypatch.setattr(model, "largest_batch", 3)
    for one, other in zip(model.predict(photos, options), alone, strict=True):
        assert (one.text, one.region) == (other.text, other.region)
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_the_same_call_gives_the_same_answer(serve: Serve, checkpoints: dict, photos: list) -> None:
    address, _ = serve(SERVICE, checkpoints["blip"])
    answers = [ask(address, photos[2], DescribeOptions(prompt=PROMPT, num_beams=2)) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_a_checkpoint_that_draws_by_chance_is_kept_from_it(
    serve: Serve, checkpoints: dict, photos: list, tmp_path: Path
) -> None:
    path = copied(checkpoints["blip2"], tmp_path)
    (path / "generation_config.json").write_text('{"do_sample": true, "temperature": 5.0, "eos_token_id": 2}')
    _, model = serve(SERVICE, path)
    assert len({model.predict(photos[:1])[0].text for _ in range(4)}) == 1


def test_bfloat16(serve: Serve, checkpoints: dict, photos: list) -> None:
    _, model = serve(SERVICE, checkpoints["blip2"], dtype="bfloat16")
    (found,) = model.predict(photos[:1])
    assert found.text
    assert 0 < found.score < 1


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a cup on a table.", "a cup on a table"),
        ("  two\ncats \t ", "two cats"),
        ("", "object"),
        (" . ", "object"),
        ("##ning dog", "ning dog"),
        ("word " * 100, ("word " * 100)[:200].strip()),
    ],
)
def test_a_caption_becomes_a_phrase(text: str, phrase: str) -> None:
    assert one_line(text) == phrase
    assert len(phrase) <= current_settings().max_phrase_characters


@pytest.mark.parametrize(
    ("name", "prompt", "said"),
    [
        ("blip", "a [SEP] cup", "[SEP]"),
        ("blip2", "<image> cup", "<image>"),
        ("blip", "cup " * 49, "max_new_tokens 100"),
    ],
)
def test_prompts_that_the_network_cannot_take(
    serve: Serve, checkpoints: dict, photos: list, name: str, prompt: str, said: str
) -> None:
    address, _ = serve(SERVICE, checkpoints[name])
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, photos[0], DescribeOptions(prompt=prompt, max_new_tokens=100))
    fault = from_error(caught.value).fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, "options.prompt")
    assert said in fault.message


def test_out_of_memory_fails_one_request(
    serve: Serve, checkpoints: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, model = serve(SERVICE, checkpoints["blip"])
    with monkeypatch.context() as patch:
        patch.setattr(model._checkpoint.network, "generate", out_of_memory)
        with pytest.raises(grpc.RpcError) as caught:
            ask(address, photos[0], DescribeOptions())
    fault = from_error(caught.value).fault
    assert (fault.code, fault.retryable) == (fault_pb2.CODE_RESOURCE_EXHAUSTED, True)
    assert "out of memory" in fault.message
    assert ask(address, photos[0], DescribeOptions()).text


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (900, 3)])
def test_odd_sizes(serve: Serve, checkpoints: dict, shape: tuple[int, int]) -> None:
    _, model = serve(SERVICE, checkpoints["blip"])
    (found,) = model.predict([np.full((*shape, 3), 9, np.uint8)])
    assert found.text
    assert found.region == (0, 0, shape[1], shape[0])
