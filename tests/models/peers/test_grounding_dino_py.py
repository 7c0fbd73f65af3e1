"""groundingdino-py behind the service: from the same weights the boxes that transformers finds, and their own code."""

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import torch
from conftest import SMALL, VALUES
from groundingdino.datasets import transforms
from groundingdino.models import build_model
from groundingdino.util.misc import clean_state_dict
from make_tiny_models import WORDS
from PIL import Image
from support import Serve, out_of_memory
from test_grounding_dino import ALL, PHRASES, ask, detected, fault_in
from transformers import AutoTokenizer, BertConfig

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.services.detect.bert_shim import text_encoder
from tensorhop.services.detect.service import SERVICE
from tensorhop.v1 import detect_pb2, fault_pb2
from tensorhop.wire.messages import corners


def agree(one: detect_pb2.DetectResponse, other: detect_pb2.DetectResponse) -> None:
    """The same boxes to a hundredth of a pixel, each with the same phrase, and scores to 1e-4.

    Which of two boxes with nearly the same score comes first is left open.
    """
    boxes, others = (np.array([corners(found.box) for found in answer.detections]) for answer in (one, other))
    assert len(boxes) == len(others) > 0
    partner = np.abs(boxes[:, None] - others).max(axis=2).argmin(axis=1)
    assert sorted(partner) == list(range(len(boxes)))
    np.testing.assert_allclose(boxes, others[partner], atol=0.01)
    for found, index in zip(one.detections, partner, strict=True):
        same = other.detections[index]
        assert (found.label, found.phrase_index) == (same.label, same.phrase_index)
        assert found.score == pytest.approx(same.score, abs=1e-4)


def test_it_finds_what_transformers_finds(serve: Serve, theirs: Path, converted: Path, photos: list) -> None:
    """At full size; all the way from the call to the answer."""
    one, other = (ask(serve(SERVICE, path)[0], photos[0], PHRASES, **ALL) for path in (theirs, converted))
    agree(one, other)
    assert len(one.detections) == VALUES["num_queries"]
    assert len({found.label for found in one.detections}) > 1
    assert one.detections[0].score > 0.3 > 0.1 > one.detections[-1].score  # there is something to differ in


@pytest.mark.parametrize(
    "phrases",
    [["cat"], PHRASES, [f"{color} {thing}" for color in WORDS[10:20] for thing in WORDS[20:30]]],
    ids=["one", "three", "more than fit"],
)
def test_it_finds_what_transformers_finds_in_small(
    serve: Serve, theirs: Path, small: Path, photos: list, small_sides: None, phrases: list[str]
) -> None:
    narrow = np.ascontiguousarray(photos[1][:20])
    for photo in [*photos, narrow]:
        agree(*(ask(serve(SERVICE, path, dtype="float32")[0], photo, phrases, **ALL) for path in (theirs, small)))


@torch.inference_mode()
def test_it_finds_what_their_code_finds(serve: Serve, theirs: Path, photos: list, small_sides: None) -> None:
    """Their transforms, their tokens, their network, and its boxes scaled to the photo.

    A score of theirs is that of the best token, even if that is the dot between two phrases; here only words count.
    """
    tokenizer = AutoTokenizer.from_pretrained(theirs / "bert-base-uncased")
    with text_encoder(tokenizer, BertConfig.from_pretrained(theirs / "bert-base-uncased")):
        network = build_model(SimpleNamespace(**VALUES)).eval()
    content = torch.load(theirs / "tiny.pth", weights_only=True)
    network.load_state_dict(clean_state_dict(content["model"]), strict=False)
    _, model = serve(SERVICE, theirs, dtype="float32")
    caption = "red cup. cat. wooden table."
    tokens = tokenizer(caption)["input_ids"]
    words = [index for index, token in enumerate(tokens) if token not in network.specical_tokens]
    for photo in photos:
        pixels = by_their_transforms(photo, SMALL)
        answer = network(pixels[None], captions=[caption])
        best = answer["pred_logits"][0][:, words].sigmoid().max(dim=1).values.numpy()
        middle, half = answer["pred_boxes"][0].numpy()[:, :2], answer["pred_boxes"][0].numpy()[:, 2:] / 2
        height, width = photo.shape[:2]
        boxes = np.clip(np.hstack([middle - half, middle + half]) * ([width, height] * 2), 0, [width, height] * 2)
        found = detected(model, photo, PHRASES, **ALL)
        order = np.argsort(-best, kind="stable")
        np.testing.assert_allclose([one.score for one in found], best[order], atol=1e-4)
        np.testing.assert_allclose([one.box for one in found], boxes[order], atol=0.01)


def by_their_transforms(photo: np.ndarray, sides: dict[str, int]) -> torch.Tensor:
    steps = transforms.Compose(
        [
            transforms.RandomResize([sides["shortest_edge"]], max_size=sides["longest_edge"]),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return steps(Image.fromarray(photo), None)[0]


def test_photos_are_prepared_as_theirs_are(serve: Serve, theirs: Path, photos: list) -> None:
    """With the sizes of their inference.py."""
    _, model = serve(SERVICE, theirs)
    for photo in photos:
        ours = model._checkpoint.processor.image_processor(images=Image.fromarray(photo), return_tensors="pt")
        expected = by_their_transforms(photo, {"shortest_edge": 800, "longest_edge": 1333})
        torch.testing.assert_close(ours["pixel_values"][0], expected, atol=1e-5, rtol=0)


def test_the_answer_names_the_model(serve: Serve, theirs: Path, photos: list, small_sides: None) -> None:
    address, _ = serve(SERVICE, theirs, dtype="float32")
    model = ask(address, photos[0], ["cat"]).model
    assert model.name == str(theirs)
    assert model.digest == hashlib.sha256((theirs / "tiny.pth").read_bytes()).hexdigest()


def test_a_batch_finds_what_each_alone_finds(
    serve: Serve, theirs: Path, photos: list, small_sides: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model = serve(SERVICE, theirs, dtype="float32")
    images, phrases = [photos[0], photos[0][:, ::-1].copy(), photos[1]], [["cat"], ["dog"], ["red cup", "table"]]
    alone = [detected(model, *one, **ALL) for one in zip(images, phrases, strict=True)]
    monkeypatch.setattr(model, "largest_batch", 4)
    for (found, _), expected in zip(model.predict(images, phrases, **ALL), alone, strict=True):
        np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], atol=1e-4)
        np.testing.assert_allclose([one.box for one in found], [one.box for one in expected], atol=0.01)


def test_out_of_memory_fails_one_request(
    serve: Serve, theirs: Path, photos: list, small_sides: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, model = serve(SERVICE, theirs, dtype="float32")
    with monkeypatch.context() as patch:
        patch.setattr(model._checkpoint.network._network, "forward", out_of_memory)
        fault = fault_in(address, photos[0], PHRASES)
    assert (fault.code, fault.retryable) == (fault_pb2.CODE_RESOURCE_EXHAUSTED, True)
    assert ask(address, photos[0], PHRASES, **ALL).detections


@pytest.mark.parametrize("phrase", ["", "."])
def test_a_phrase_of_which_nothing_is_read(
    serve: Serve, theirs: Path, photos: list, small_sides: None, phrase: str
) -> None:
    address, _ = serve(SERVICE, theirs, dtype="float32")
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, photos[0], ["cat", phrase])
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "phrases[1]" in str(caught.value.details())


# What cannot be served: one sentence says what is wrong and what to do, and nothing starts.


@pytest.fixture
def path(theirs: Path, tmp_path: Path) -> Path:
    """The directory's files, to be taken away or put anew; changed in place they would change for all."""
    return shutil.copytree(theirs, tmp_path / "model", copy_function=os.symlink)


def refusal(path: Path, **choice: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        SERVICE.load(ModelChoice(str(path), **{"device": "cpu", **choice}))
    assert caught.value.field in ("--model", "--device", "--dtype")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def put(file: Path, content: str | bytes) -> None:
    file.unlink(missing_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def configured(**changed: object) -> str:
    values = {**VALUES, **changed}
    return "".join(f"{name} = {value!r}\n" for name, value in values.items() if value is not ...)


def test_no_configuration(path: Path) -> None:
    (path / "tiny.cfg.py").unlink()
    assert "holds 0 files .py; put one configuration there" in refusal(path)


def test_two_configurations(path: Path) -> None:
    put(path / "other.py", "")
    assert "holds 2 files .py: other.py, tiny.cfg.py; put one" in refusal(path)


def test_two_checkpoints(path: Path) -> None:
    put(path / "other.pth", b"")
    assert "holds 2 files .pth: other.pth, tiny.pth; put one checkpoint there" in refusal(path)


def test_code_in_the_configuration_is_not_run(path: Path) -> None:
    put(path / "tiny.cfg.py", configured() + f"import pathlib\npathlib.Path({str(path / 'ran')!r}).touch()\n")
    assert "no code of it is run" in refusal(path)
    assert not (path / "ran").exists()


class Bomb:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.file),)


def test_code_in_the_checkpoint_is_not_run(path: Path) -> None:
    (path / "tiny.pth").unlink()
    torch.save({"model": {"weight": Bomb(path / "ran")}}, path / "tiny.pth")
    assert "tiny.pth cannot be loaded" in refusal(path)
    assert not (path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", pickle.dumps([1]), None], ids=["empty", "text", "pickle", "cut"]
)
def test_a_broken_checkpoint(path: Path, content: bytes | None) -> None:
    put(path / "tiny.pth", (path / "tiny.pth").read_bytes()[:100_000] if content is None else content)
    message = refusal(path)
    assert "tiny.pth cannot be loaded" in message
    assert "get it again" in message


@pytest.mark.parametrize("content", [{}, {"model": 3}, {"state_dict": {}}, [torch.zeros(1)]])
def test_a_checkpoint_of_another_make(path: Path, content: object) -> None:
    (path / "tiny.pth").unlink()
    torch.save(content, path / "tiny.pth")
    assert "it must be a dictionary of tensors under 'model'" in refusal(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"modelname": "dino"}, "modelname is 'dino'; it must be 'groundingdino'"),
        ({"modelname": ...}, "modelname is None; it must be 'groundingdino'"),
        ({"hidden_dim": 128}, "hidden_dim is 128; it must be 256"),
        ({"_base_": "other.py"}, "_base_ is 'other.py'; it must be None"),
        ({"backbone": "vit"}, "describes no network that groundingdino-py can build (NotImplementedError"),
        ({"nheads": ...}, "describes no network that groundingdino-py can build (AttributeError: it has no"),
        ({"text_encoder_type": ...}, "names no text_encoder_type"),
        ({"text_encoder_type": "bert-large"}, "names the text encoder bert-large, which cannot be loaded"),
        ({"enc_layers": 2}, "tiny.pth does not fit tiny.cfg.py (it lacks transformer.encoder.layers.1"),
        ({"dec_layers": 1}, "tiny.pth does not fit tiny.cfg.py (transformer.decoder.layers.1"),
        ({"num_queries": 20}, "tiny.pth does not fit tiny.cfg.py (size mismatch for transformer.tgt_embed"),
    ],
)
def test_another_configuration(path: Path, changed: dict, said: str) -> None:
    put(path / "tiny.cfg.py", configured(**changed))
    assert said in refusal(path)


def test_a_text_encoder_is_not_fetched(path: Path) -> None:
    """no_network sees to it that nothing is asked for."""
    shutil.rmtree(path / "bert-base-uncased")
    message = refusal(path)
    assert "names the text encoder bert-base-uncased" in message
    assert f"cannot be loaded from {path / 'bert-base-uncased'} or the hub's cache: put its config.json" in message


def test_a_text_encoder_in_the_hubs_cache(
    path: Path, tmp_path: Path, small_sides: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever runs groundingdino-py today has it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    repository = tmp_path / "cache" / "models--bert-base-uncased"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    (repository / "snapshots").mkdir()
    (path / "bert-base-uncased").rename(repository / "snapshots" / "c0ffee")
    assert SERVICE.load(ModelChoice(str(path), device="cpu")).model.largest_batch == 1


@pytest.mark.parametrize("name", ["", "../..", "a/b/c", "no such name", "\0"])
def test_a_text_encoder_of_an_odd_name(path: Path, name: str) -> None:
    put(path / "tiny.cfg.py", configured(text_encoder_type=name))
    assert "text" in refusal(path)


def test_code_of_the_text_encoder_is_not_run(path: Path) -> None:
    folder = path / "bert-base-uncased"
    config = json.loads((folder / "config.json").read_text())
    put(folder / "config.json", json.dumps({**config, "model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}))
    put(folder / "mine.py", f"import pathlib\npathlib.Path({str(path / 'ran')!r}).touch()\n")
    assert "cannot be loaded" in refusal(path)
    assert not (path / "ran").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_half_a_text_encoder(path: Path, file: str) -> None:
    (path / "bert-base-uncased" / file).unlink()
    assert "bert-base-uncased" in refusal(path)


def test_devices_and_number_types_that_are_not_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "--device is cuda, and this machine shows 0 GPUs; use cpu" in refusal(path, device="cuda")
    assert f"--dtype is bfloat16, but {path} computes in float32" in refusal(path, dtype="bfloat16")


def test_a_network_that_does_not_fit_the_device(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.Module.to", out_of_memory)
    assert "does not fit into the memory of cpu" in refusal(path)
