"""Which model each step runs, as options say it: `--model segment=birefnet-lite`."""

from collections.abc import Iterable

from tensorhop.errors import InvalidInput
from tensorhop.settings import MODEL_STEPS
from tensorhop.source import Choice


def choices_of(
    models: Iterable[str], device: str, dtype: str, revisions: Iterable[str], trust_remote_code: bool
) -> dict[str, Choice]:
    """By step, what was chosen for it; a step that no option names is absent.

    Args:
        models, revisions: "STEP=NAME" each.

    Raises:
        InvalidInput: not of that form, no step with a model, or a revision without a model.
    """
    by_step, commits = _by_step(models, "--model"), _by_step(revisions, "--revision")
    for step in commits:
        if step not in by_step:
            raise InvalidInput("--revision", f"names {step}, which has no --model {step}=NAME")
    return {
        step: Choice(model, device, dtype, commits.get(step, ""), trust_remote_code) for step, model in by_step.items()
    }


def words_of(choice: Choice) -> list[str]:
    """The options that have `tensorhop serve` run this model."""
    words = ["--model", choice.model, "--device", choice.device, "--dtype", choice.dtype]
    if choice.revision:
        words += ["--revision", choice.revision]
    return [*words, "--trust-remote-code"] if choice.trust_remote_code else words


def _by_step(words: Iterable[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        step, equals, value = word.partition("=")
        if step not in MODEL_STEPS or not equals or not value:
            raise InvalidInput(option, f"is {word!r}; it must be STEP=NAME, with STEP one of {', '.join(MODEL_STEPS)}")
        found[step] = value
    return found
