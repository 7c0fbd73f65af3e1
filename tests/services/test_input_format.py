"""What a network wants is known by its file's name, or stands in preprocessor_config.json."""

import json
from pathlib import Path

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET, ISNET, U2NET, OnnxFormat
from tensorhop.services.segment.input_format import known_format, read_format


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("u2netp.onnx", U2NET),
        ("U2Net.onnx", U2NET),
        ("isnet-general-use.onnx", ISNET),
        ("BiRefNet-general-epoch_244.onnx", BIREFNET),
        ("birefnet-general-lite.onnx", BIREFNET),
        ("model.onnx", None),
        ("mine.onnx", None),
    ],
)
def test_published_files_are_known_by_name(name: str, form: OnnxFormat | None) -> None:
    assert known_format(Path("somewhere") / name) == form


def test_another_file_is_taken_for_a_birefnet(tmp_path: Path) -> None:
    assert read_format(tmp_path) == BIREFNET


@pytest.mark.parametrize("below", ["", "onnx"])
def test_a_config_beside_it_says_what_it_wants(tmp_path: Path, below: str) -> None:
    config = {"size": {"height": 512, "width": 640}, "image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    assert read_format(tmp_path / below) == OnnxFormat((512, 640), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), logits=True)


@pytest.mark.parametrize("text", ["{", '{"size": 512}', '{"image_mean": [0.5]}', '{"image_std": ["a", "b", "c"]}'])
def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"--model .*preprocessor_config\.json does not give"):
        read_format(tmp_path)
