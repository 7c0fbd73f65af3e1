"""What loads while a command starts: the embedded models and what has none."""

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.orchestrator.launch.loading import begin_loading

HERE = "127.0.0.1:0"


def test_only_embedded_models_and_services_without_one_begin_to_load() -> None:
    choices = {"detect": ModelChoice("grounding-dino-tiny"), "segment": ModelChoice("embedded")}
    assert {*begin_loading(["detect", "segment", "postprocess"], choices)} == {"segment", "postprocess"}
    assert not begin_loading(["detect"], choices)


def test_what_began_to_load_is_served() -> None:
    loading = begin_loading(["postprocess"], {})
    with one_process({"postprocess": HERE}, loading=loading) as servers:
        assert [*servers] == ["postprocess"]


def test_other_models_are_loaded_and_refused_when_their_turn_comes() -> None:
    choices = {"segment": ModelChoice("no/such/file.onnx")}
    loading = begin_loading(["segment", "postprocess"], choices)
    with pytest.raises(InvalidInput, match="--model"), one_process({"segment": HERE}, choices, loading=loading):
        pass
