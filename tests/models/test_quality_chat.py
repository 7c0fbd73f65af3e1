"""Quality by chat models: the network writes what it does by hand, and a reply without a score is no error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from support import Serve
from test_chat import by_hand, inputs_by_hand, spied

from tensorhop import IntervalDecision, PairScore, ViewFault, ViewsClient
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.orchestrator.views.service import SERVICE as VIEWS
from tensorhop.services.quality import chat
from tensorhop.services.quality.prompt import DEFAULT, PAIR, PICTURE
from tensorhop.services.quality.reply import read_reply
from tensorhop.services.quality.service import SERVICE
from tensorhop.settings import Settings, use_settings
from tensorhop.v1 import quality_pb2 as pb
from tensorhop.v1.quality_pb2_grpc import QualityServiceStub

TOKENS = 12  # of a reply
PROMPT = "judge"
PANORAMA = Path(__file__).parents[2] / "examples" / "panoramas" / "court.jpg"

__all__ = ["spied"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Short replies, and a short prompt: beside the default one, random weights hardly see the picture."""
    monkeypatch.setattr(chat, "MAX_NEW_TOKENS", TOKENS)
    (tmp_path / "judge.txt").write_text(PROMPT)
    use_settings(Settings(quality_prompt=str(tmp_path / "judge.txt")))
    yield
    use_settings(None)


def score(address: str, images: list[np.ndarray], pairs: bool) -> list[pb.ScoreResponse]:
    """A call as any client makes it, with the stock stub; the answers in the order of the images."""
    request = pb.ScoreRequest(pairs=pairs)
    for image in images:
        request.images.add().tensor.MergeFrom(
            type(request.images[0].tensor)(dtype="UINT8", shape=image.shape, data=image.tobytes())
        )
    with grpc.insecure_channel(address) as channel:
        return sorted(QualityServiceStub(channel).Score(request, timeout=60), key=lambda answer: answer.index)


@pytest.mark.parametrize("name", ["qwen2.5-vl", "qwen3-vl"])
@pytest.mark.parametrize("pairs", [False, True])
def test_the_network_reads_and_writes_what_it_does_by_hand(
    serve: Serve, chatters: dict, photos: list, name: str, pairs: bool, spied: Callable
) -> None:
    address, model = serve(SERVICE, chatters[name])
    seen = spied(model)
    images = [np.ascontiguousarray(photo[:200, :300]) for photo in photos[:2]]
    texts = []
    for image, answer in zip(images, score(address, images, pairs), strict=True):
        given, sequences = seen.pop(0)
        question = PAIR if pairs else PICTURE
        expected = inputs_by_hand(name, chatters[name], image, question, PROMPT)
        assert given.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(given[key], value), key
        row, text, _ = by_hand(chatters[name], expected, TOKENS, 1)
        assert torch.equal(sequences[0, -len(row) :], row)
        said = read_reply(text)
        assert answer.quality.text == said.text
        assert answer.quality.scored == (said.score is not None)
        assert dict(answer.quality.scores) == said.scores
        assert answer.model.name == str(chatters[name])
        texts.append(said.text)
    assert texts[0] != texts[1]  # so the picture matters, and the comparison can fail


def test_a_batch_says_what_each_alone_says(
    serve: Serve, chatters: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model = serve(SERVICE, chatters["qwen2.5-vl"])
    images = [photo[:100, :200] for photo in photos] + [photos[0][:64, :64]]
    alone = [model.predict([image], True)[0] for image in images]
    monkeypatch.setattr(model, "largest_batch", 8)
    assert model.predict(images, True) == alone


def test_the_operator_s_prompt_is_what_the_network_reads(chatters: dict, tmp_path: Path, spied: Callable) -> None:
    path = chatters["qwen2.5-vl"]
    file = tmp_path / "prompt.txt"
    file.write_text("say a red cup or a dog")
    models: list[Any] = []
    for settings in ({}, {"quality_prompt": str(file)}, {"quality_prompt": str(file), "quality_scale": 9}):
        use_settings(Settings(**settings))
        models.append(SERVICE.load_model(ModelChoice(str(path), "cpu")))
    file.write_text("say <|image_pad|>")
    with pytest.raises(InvalidInput, match=r"--quality-prompt holds <\|image_pad\|>, a special token of"):
        SERVICE.load_model(ModelChoice(str(path), "cpu"))
    assert len({model.digest for model in models}) == 3  # a cache must not mix their answers
    for model, said in zip(models, (DEFAULT, "say a red cup or a dog\n"), strict=False):
        seen = spied(model)
        model.predict([np.full((64, 64, 3), 9, np.uint8)], False)
        tokenizer = model._checkpoint.processor.tokenizer
        (text,) = tokenizer.batch_decode(seen[0][0]["input_ids"], skip_special_tokens=True)
        assert text.startswith(f"system\n{said}")


def test_a_captioner_is_refused(checkpoints: dict) -> None:
    with pytest.raises(InvalidInput, match="is a blip network without a chat template; quality runs chat models"):
        SERVICE.load_model(ModelChoice(str(checkpoints["blip"]), "cpu"))


def test_an_interval_without_a_score_is_not_kept_and_no_error(chatters: dict) -> None:
    addresses: dict[str, Any] = dict.fromkeys((*VIEWS.calls, VIEWS.name), "127.0.0.1:0")
    choices = {"quality": ModelChoice(str(chatters["qwen3-vl"]), "cpu")}
    with one_process(addresses, choices) as servers, ViewsClient(servers["views"].address) as client:
        events = list(client.process(PANORAMA, intervals=[3], size=(64, 64), views=1, seed=1))
    (scored,) = (event for event in events if isinstance(event, PairScore))
    (decision,) = (event for event in events if isinstance(event, IntervalDecision))
    assert scored.score is None
    assert scored.text
    assert not decision.kept
    assert not [event for event in events if isinstance(event, ViewFault)]
