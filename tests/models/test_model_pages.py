"""The blocks of the documentation that need PyTorch, as printed, on tiny checkpoints in place of the published ones."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import make_tiny_promptable
import pytest
import torch
from doc_pages import PAGES, ROOT, blocks, named
from doc_reader import Reader, clone
from transformers import BlipForConditionalGeneration

NEED = "models"


@pytest.fixture(scope="module")
def reader(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("pages")
    runpy.run_path(str(ROOT / "tools" / "make_tiny_segmenters.py"))["make"](folder / "segmenters")
    promptable = make_tiny_promptable.make(folder / "promptable")
    weights = folder / "weights.pth"
    torch.save(BlipForConditionalGeneration.from_pretrained(checkpoints["blip"]).state_dict(), weights)
    values = {
        "Salesforce/blip-image-captioning-base": str(checkpoints["blip"]),
        "IDEA-Research/grounding-dino-tiny": str(checkpoints["grounding-dino"]),
        "ZhengPeng7/BiRefNet": str(folder / "segmenters" / "tiny-birefnet"),
        " --revision COMMIT": "",  # of a hub id
        "FILE.pth": str(weights),
        "models/my-blip": str(checkpoints["blip"]),
        "=blip-base": f"={checkpoints['blip']}",
        " blip-base": f" {checkpoints['blip']}",
        "=grounding-dino-tiny": f"={checkpoints['grounding-dino']}",
        " grounding-dino-tiny": f" {checkpoints['grounding-dino']}",
        "birefnet-lite": str(folder / "segmenters" / "free.onnx"),
        "sam2.1-tiny": str(promptable["sam2"]),
        "vitmatte-small": str(promptable["vitmatte"]),
        "0.25": "0.0",  # the scores of random weights are low
    }
    reader = Reader(folder, values, {NEED})
    yield reader
    reader.close()


@pytest.mark.xdist_group("pages")  # on the default ports
@pytest.mark.parametrize("page", [page for page in PAGES if any(one.needs == NEED for one in blocks(page))], ids=named)
def test_every_block_that_needs_models_runs(page: Path, reader: Reader, tmp_path: Path) -> None:
    reader.read([block for block in blocks(page) if block.needs == NEED], clone(tmp_path))
    if page.name == "from-flask.md":
        for name in ("before.png", "after.png"):
            assert (tmp_path / "tensorhop" / name).read_bytes().startswith(b"\x89PNG")
