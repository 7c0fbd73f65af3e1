"""What a network wants is known by its file's name, or stands in preprocessor_config.json."""

import json
from pathlib import Path

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.presets.preset import BIREFNET, ISNET, U2NET, OnnxFormat
from tensorhop.services.segment.input_format import format_of_repository, input_size, known_format, read_format
from tensorhop.values.geometry import Size


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


@pytest.mark.parametrize(
    ("names", "size", "sides"),
    [
        (["ZhengPeng7/BiRefNet_HR"], (2048, 2048), None),
        (["somebody/birefnet_hr-matting"], (2048, 2048), None),
        ([".", "BiRefNet_lite-2K"], (1440, 2560), None),
        (["./BiRefNet_dynamic"], (1024, 1024), (256, 2304)),
        (["ZhengPeng7/BiRefNet-matting"], (1024, 1024), None),
    ],
)
def test_published_repositories_are_known_by_name(
    names: list[str], size: tuple[int, int], sides: tuple[int, int] | None
) -> None:
    form = format_of_repository(*names)
    assert form
    assert (form.size, form.sides, form.logits) == (size, sides, True)


def test_other_repositories_are_not_known() -> None:
    assert format_of_repository("ZhengPeng7/BiRefNet", "u2net", "BiRefNet_HR.onnx", "") is None


def test_a_size_that_a_config_states_holds_for_a_network_that_takes_any(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 512, "width": 640}}')
    form = read_format(tmp_path, format_of_repository("BiRefNet_dynamic") or BIREFNET)
    assert (form.size, form.sides) == ((512, 640), None)


@pytest.mark.parametrize(
    ("picture", "seen"),
    [
        ((600, 400), (608, 384)),
        ((1024, 1024), (1024, 1024)),
        ((4608, 3456), (2304, 1728)),
        ((100, 200), (256, 512)),
        ((10_000, 100), (2304, 256)),
        ((5, 5), (256, 256)),
    ],
)
def test_a_picture_is_seen_at_its_own_size_between_the_least_and_the_largest(
    picture: tuple[int, int], seen: tuple[int, int]
) -> None:
    form = format_of_repository("BiRefNet_dynamic")
    assert form
    assert input_size(form, Size(*picture)) == Size(*seen)


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
