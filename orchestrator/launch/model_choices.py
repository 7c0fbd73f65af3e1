"""Which model each step runs, as options say it: `--model segment=birefnet-lite --device cuda`."""

from collections.abc import Iterable

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.rpc.registry import models as services_with_model


def model_choices(
    models: Iterable[str],
    devices: Iterable[str] = (),
    dtypes: Iterable[str] = (),
    revisions: Iterable[str] = (),
    trust_remote_code: bool = False,
) -> dict[str, ModelChoice]:
    """By step, what was chosen for it; a step without a model is absent, and runs the embedded one.

    Args:
        models, revisions: "STEP=NAME" each.
        devices, dtypes: "STEP=NAME" each, or "NAME" for every step that has a model.

    Raises:
        InvalidInput: not of that form, no step with a model, or one that has no `--model`.
    """
    chosen = _by_step(models, "--model", ())
    device, dtype = _by_step(devices, "--device", chosen), _by_step(dtypes, "--dtype", chosen)
    revision = _by_step(revisions, "--revision", ())
    for option, words in (("--device", device), ("--dtype", dtype), ("--revision", revision)):
        if extra := words.keys() - chosen.keys():
            raise InvalidInput(option, f"names {min(extra)}, which has no --model {min(extra)}=NAME")
    return {
        step: ModelChoice(
            model, device.get(step, "auto"), dtype.get(step, "auto"), revision.get(step, ""), trust_remote_code
        )
        for step, model in chosen.items()
    }


def serve_arguments(choice: ModelChoice) -> list[str]:
    """The options that have `tensorhop serve` run this model."""
    words = ["--model", choice.model, "--device", choice.device, "--dtype", choice.dtype]
    if choice.revision:
        words += ["--revision", choice.revision]
    return [*words, "--trust-remote-code"] if choice.trust_remote_code else words


def _by_step(words: Iterable[str], option: str, everyone: Iterable[str]) -> dict[str, str]:
    """What an option says by step; a word without a step is for `everyone`, if it may be."""
    found: dict[str, str] = {}
    for word in words:
        step, equals, value = word.partition("=") if "=" in word else ("", "", word)
        if not equals and everyone:
            found |= dict.fromkeys(everyone, value)
        elif step in services_with_model() and value:
            found[step] = value
        else:
            raise InvalidInput(
                option, f"is {word!r}; it must be STEP=NAME, with STEP one of {', '.join(services_with_model())}"
            )
    return found
