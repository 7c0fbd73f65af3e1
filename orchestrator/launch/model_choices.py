"""Which model each step runs, as options say it: `--model segment=birefnet-lite --device cuda`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tensorhop.errors import InvalidInput, about
from tensorhop.models.sources import EMBEDDED, ModelChoice, check_choice, is_noncommercial, takes_code
from tensorhop.rpc.registry import models as services_with_model


def model_choices(
    models: Iterable[str] = (),
    devices: Iterable[str] = (),
    dtypes: Iterable[str] = (),
    revisions: Iterable[str] = (),
    trust_remote_code: bool = False,
    accept_license: bool = False,
    started: Collection[str] | None = None,
) -> dict[str, ModelChoice]:
    """By step, what was chosen for it; a step about which nothing was said is absent, and runs the embedded model.

    Args:
        models, revisions: "STEP=NAME" each.
        devices, dtypes: "STEP=NAME" each, or "NAME" for every step whose model is named; for all if none is.
        trust_remote_code: for every step whose model may bring code.
        accept_license: for every step whose model's license forbids commercial use.
        started: the steps that start here; all if not given.

    Raises:
        InvalidInput: not of that form, no step with a model that starts here, or what `check_choice` refuses.
    """
    steps = {name: service for name, service in services_with_model().items() if started is None or name in started}
    model = _by_step(models, "--model", steps)
    named = list(model) or list(steps)
    device, dtype = _by_step(devices, "--device", steps, named), _by_step(dtypes, "--dtype", steps, named)
    revision = _by_step(revisions, "--revision", steps)
    found = {}
    for step, service in steps.items():
        if not any(step in said for said in (model, device, dtype, revision)):
            continue
        choice = ModelChoice(
            model.get(step, EMBEDDED), device.get(step, "auto"), dtype.get(step, "auto"), revision.get(step, "")
        )
        if trust_remote_code and takes_code(choice):
            choice = replace(choice, trust_remote_code=True)
        if accept_license and is_noncommercial(choice):
            choice = replace(choice, accept_license=True)
        with about(step):
            check_choice(step, choice, service.models)
        found[step] = choice
    if trust_remote_code and not any(choice.trust_remote_code for choice in found.values()):
        raise InvalidInput("--trust-remote-code", "is given, but no --model STEP=NAME brings Python code; leave it out")
    if accept_license and not any(choice.accept_license for choice in found.values()):
        raise InvalidInput(
            "--accept-license", "is given, but no --model STEP=NAME has a license that must be accepted; leave it out"
        )
    return found


def choices_of(given: Mapping[str, Any], started: Collection[str]) -> dict[str, ModelChoice]:
    """The same of what was given of a command's options, by their names in Python.

    Raises:
        InvalidInput: as `model_choices`.
    """
    model, device, dtype, revision = (given.get(name, ()) for name in ("model", "device", "dtype", "revision"))
    trusts, accepts = (given.get(name, False) for name in ("trust_remote_code", "accept_license"))
    return model_choices(model, device, dtype, revision, trusts, accepts, started)


def check_here(given: Iterable[str], endpoint: str | None) -> None:
    """Raises InvalidInput: options of models are given for services that do not start here."""
    first = next(iter(given), None)
    if endpoint and first:
        raise InvalidInput(
            f"--{first.replace('_', '-')}",
            "is for services that start here; those of --endpoint run theirs already",
        )


def serve_arguments(choice: ModelChoice) -> list[str]:
    """The options that have `tensorhop serve` run this model."""
    words = ["--model", choice.model, "--device", choice.device, "--dtype", choice.dtype]
    if choice.revision:
        words += ["--revision", choice.revision]
    if choice.trust_remote_code:
        words.append("--trust-remote-code")
    if choice.accept_license:
        words.append("--accept-license")
    return words


def _by_step(
    words: Iterable[str], option: str, steps: Collection[str], everyone: Collection[str] = ()
) -> dict[str, str]:
    """What an option says by step; a word without a step is for `everyone`, if it may be."""
    found: dict[str, str] = {}
    for word in words:
        step, equals, value = word.partition("=") if "=" in word else ("", "", word)
        if not equals and value and everyone:
            found |= dict.fromkeys(everyone, value)
        elif step in steps and value:
            found[step] = value
        else:
            known = f"with STEP one of {', '.join(steps)}" if steps else "but no step that runs a model starts here"
            raise InvalidInput(option, f"is {word!r}; it must be STEP=NAME, {known}")
    return found
