"""Which model each step runs, as options say it."""

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.launch.model_choices import model_choices, serve_arguments
from tensorhop.rpc.registry import models as services_with_model


def test_each_step_has_its_own():
    chosen = model_choices(
        ["segment=birefnet-lite", "detect=a/b"], ["cuda", "segment=cpu"], ["detect=float16"], ["detect=v1"]
    )
    assert chosen == {
        "segment": ModelChoice("birefnet-lite", "cpu"),
        "detect": ModelChoice("a/b", "cuda", "float16", "v1"),
    }


@pytest.mark.parametrize("word", ["birefnet", "segment", "segment=", "=x", "pipeline=x"])
@pytest.mark.parametrize("option", ["--model", "--revision"])
def test_what_names_no_step_is_refused(word, option):
    words = {"models": [word]} if option == "--model" else {"models": ["segment=a/b"], "revisions": [word]}
    with pytest.raises(
        InvalidInput, match="must be STEP=NAME, with STEP one of describe, detect, segment, postproc"
    ) as caught:
        model_choices(**words)
    assert caught.value.field == option


def test_without_a_model_a_device_is_for_the_embedded_ones():
    assert model_choices([], ["cpu"]) == dict.fromkeys(services_with_model(), ModelChoice(device="cpu"))
    assert model_choices([], ["detect=cpu"]) == {"detect": ModelChoice(device="cpu")}
    with pytest.raises(InvalidInput, match="describe: --device is cuda, but the embedded model runs on the CPU"):
        model_choices([], ["cuda"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"devices": ["detect=gpu1"]}, "detect: --device is 'gpu1'; it must be auto, cpu, cuda or cuda:N"),
        ({"models": ["segment=u2net"], "devices": ["gpu1"]}, "segment: --device is 'gpu1'"),
        ({"models": ["segment=u2net"], "devices": ["detect=cuda"]}, "detect: --device is cuda, but the embedded model"),
        ({"dtypes": ["detect=float16"]}, "detect: --dtype is float16, but embedded computes in float32"),
        ({"revisions": ["detect=v1"]}, "detect: --revision is v1, but embedded is not from the hub"),
        ({"models": ["segment=./net"]}, "segment: --model is './net', but there is no file or folder"),
        ({"trust_remote_code": True}, "no --model STEP=NAME brings Python code"),
        ({"models": ["segment=u2net"], "trust_remote_code": True}, "no --model STEP=NAME brings Python code"),
    ],
)
def test_what_a_step_cannot_use_is_refused_by_its_name(words, says):
    with pytest.raises(InvalidInput, match=says):
        model_choices(**words)


def test_code_is_run_of_those_that_may_bring_some():
    chosen = model_choices(["describe=blip-base", "segment=a/b"], revisions=["segment=v1"], trust_remote_code=True)
    assert [choice.trust_remote_code for choice in chosen.values()] == [False, True]


def test_a_step_that_does_not_start_has_no_model():
    assert set(model_choices([], ["cpu"], started=["http", "segment"])) == {"segment"}
    with pytest.raises(InvalidInput, match=r"with STEP one of segment$"):
        model_choices(["detect=a/b"], started=["http", "segment"])
    with pytest.raises(InvalidInput, match="but no step that runs a model starts here"):
        model_choices([], ["cpu"], started=["pipeline"])


@pytest.mark.parametrize("choice", [ModelChoice("x"), ModelChoice("a/b", "cuda:1", "float16", "v1", True)])
def test_words_say_the_same_to_serve(choice, monkeypatch):
    import typer
    from typer.testing import CliRunner

    from tensorhop.rpc.registry import services
    from tensorhop.serving import command

    served = []
    monkeypatch.setattr(command, "serve", lambda service, listen, choice: served.append(choice))
    app = typer.Typer()
    app.command()(command.serve_command(services()["detect"]))
    result = CliRunner().invoke(app, serve_arguments(choice))
    assert result.exit_code == 0, result.output
    assert served == [choice]
