"""`tensorhop run`."""

from collections.abc import Callable
from typing import Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.commands.photo_options import photo_options
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.own_options import JOBS
from tensorhop.serving.options import add_options
from tensorhop.serving.settings_options import SHADOW, sharing_client_options, use_own


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name models to a command, which gets what was given of them as `models`."""
    return add_options(command, run_options.MODELS | SHADOW, lambda given: {"models": given})


def take_shadow_model(models: dict[str, Any], values: dict[str, Any], endpoint: str | None) -> None:
    """Have the services that start here draw shadows with the network that is named. Its shadow is the default then.

    Raises typer.BadParameter: no such file, or a learned shadow without a network.
    """
    from tensorhop.settings import current_settings

    given = {name: models[name] for name in SHADOW if name in models}
    if given:
        use_own(given)
        values.setdefault("shadow", "learned")
    if not endpoint and values.get("shadow") == "learned" and not current_settings().shadow_model:
        raise typer.BadParameter("--shadow learned needs the network that draws it: --shadow-model FILE.onnx")


@sharing_client_options
@photo_options
@model_options
def run_command(
    values: dict[str, Any],
    phrases: list[str],
    boxes: list[tuple[float, ...]],
    models: dict[str, Any],
    images: run_options.Images = None,
    manifest: run_options.ManifestFile = None,
    mask: run_options.MaskFile = None,
    recursive: run_options.Recursive = False,
    out: run_options.Out = "out",
    name: run_options.NameTemplate = None,
    as_json: run_options.AsJson = False,
    save_steps: run_options.SaveSteps = None,
    jobs: run_options.Jobs = JOBS,
    resume: run_options.Resume = False,
    fail_fast: run_options.FailFast = False,
    overwrite: run_options.Overwrite = False,
    endpoint: run_options.Endpoint = None,
) -> None:
    """Cut the objects out of photos.

    Exit code: 0 every photo gave a cut-out, 1 something failed, 2 wrong use,

    3 nothing was found, 4 the endpoint cannot be reached or wants a token, 130 interrupted, 143 terminated.
    """
    from tensorhop.orchestrator.launch.loading import begin_loading
    from tensorhop.orchestrator.launch.model_choices import check_here, choices_of

    try:
        check_here(models, endpoint)
        take_shadow_model(models, values, endpoint)
        choices = choices_of(models, PIPELINE.calls)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
    loading = {} if endpoint else begin_loading(PIPELINE.calls, choices)  # first, because all below takes long
    from tensorhop.orchestrator.commands.run_session import RunOptions, run_photos

    options = RunOptions(
        images=images or [],
        manifest=manifest,
        masks=mask or [],
        recursive=recursive,
        out=out,
        template=name,
        as_json=as_json,
        steps=save_steps,
        jobs=jobs,
        resume=resume,
        fail_fast=fail_fast,
        endpoint=endpoint,
        overwrite=overwrite,
    )
    try:
        raise typer.Exit(run_photos(options, values, phrases, boxes, choices, loading))
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
