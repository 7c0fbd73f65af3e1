"""Which model each step runs, as options say it."""

import pytest

from orchestrator.choices import choices_of, words_of
from tensorhop.errors import InvalidInput
from tensorhop.source import Choice


def test_each_step_has_its_own():
    chosen = choices_of(["segment=birefnet-lite", "detect=a/b"], "cuda", "auto", ["detect=v1"], False)
    assert chosen == {
        "segment": Choice("birefnet-lite", "cuda"),
        "detect": Choice("a/b", "cuda", revision="v1"),
    }


@pytest.mark.parametrize("word", ["birefnet", "segment", "segment=", "=x", "postprocess=x", "pipeline=x"])
@pytest.mark.parametrize("option", ["--model", "--revision"])
def test_what_names_no_step_is_refused(word, option):
    models, revisions = ([word], []) if option == "--model" else (["segment=a/b"], [word])
    with pytest.raises(InvalidInput, match="must be STEP=NAME, with STEP one of describe, detect, segment") as caught:
        choices_of(models, "auto", "auto", revisions, False)
    assert caught.value.field == option


def test_a_revision_without_a_model_is_refused():
    with pytest.raises(InvalidInput, match="names detect, which has no --model detect=NAME"):
        choices_of(["segment=a/b"], "auto", "auto", ["detect=v1"], False)


@pytest.mark.parametrize("choice", [Choice("x"), Choice("a/b", "cuda:1", "float16", "v1", True)])
def test_words_say_the_same_to_serve(choice, monkeypatch):
    import typer
    from typer.testing import CliRunner

    from tensorhop import command

    served = []
    monkeypatch.setattr(command, "serve", lambda service, listen, choice: served.append(choice))
    app = typer.Typer()
    app.command()(command.serve_command("detect", lambda: None))
    result = CliRunner().invoke(app, words_of(choice))
    assert result.exit_code == 0, result.output
    assert served == [choice]
