"""Which model each step runs, as options say it."""

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.launch.model_choices import model_choices, serve_arguments


def test_each_step_has_its_own():
    chosen = model_choices(
        ["segment=birefnet-lite", "detect=a/b"], ["cuda", "segment=cpu"], ["detect=float16"], ["detect=v1"]
    )
    assert chosen == {
        "segment": ModelChoice("birefnet-lite", "cpu"),
        "detect": ModelChoice("a/b", "cuda", "float16", "v1"),
    }


@pytest.mark.parametrize("word", ["birefnet", "segment", "segment=", "=x", "postprocess=x", "pipeline=x"])
@pytest.mark.parametrize("option", ["--model", "--revision"])
def test_what_names_no_step_is_refused(word, option):
    words = {"models": [word]} if option == "--model" else {"models": ["segment=a/b"], "revisions": [word]}
    with pytest.raises(InvalidInput, match="must be STEP=NAME, with STEP one of describe, detect, segment") as caught:
        model_choices(**words)
    assert caught.value.field == option


@pytest.mark.parametrize("option", ["device", "dtype", "revision"])
def test_an_option_of_a_step_without_a_model_is_refused(option):
    with pytest.raises(InvalidInput, match="names detect, which has no --model detect=NAME") as caught:
        model_choices(["segment=a/b"], **{f"{option}s": ["detect=x"]})
    assert caught.value.field == f"--{option}"


def test_a_device_for_nothing_is_refused():
    with pytest.raises(InvalidInput, match="is 'cuda'"):
        model_choices([], ["cuda"])


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
