"""`tensorhop views`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.options.table import OUTPUT
from tensorhop.orchestrator.commands.panoramas.model_options import take_settings, views_models
from tensorhop.orchestrator.commands.run_options import AsJson, Overwrite, option
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.views.service import SERVICE as VIEWS
from tensorhop.serving.settings_options import sharing_client_options

Format = StrEnum("Format", ["png", "webp", "jpeg"])
PNG = Format("png")
Panoramas = Annotated[
    list[Path] | None, typer.Argument(metavar="PANORAMA [PANORAMA]", help="Read this panorama, or these two.")
]


@sharing_client_options
@views_models
def views_command(
    models: dict[str, Any],
    panoramas: Panoramas = None,
    out: Annotated[Path, option("Write into this directory.", "--out", "-o", metavar="DIR", panel=OUTPUT)] = Path(
        "out"
    ),
    seed: Annotated[
        int | None, option("Draw the same cameras each time.", metavar="NUMBER", show_default="other ones each time")
    ] = None,
    interval: Annotated[
        list[int] | None,
        option("Take this interval of 45 degrees, 1 to 8; repeatable.", metavar="NUMBER", show_default="all"),
    ] = None,
    size: Annotated[str, option("Make views of this width and height.", metavar="WIDTHxHEIGHT")] = "512x512",
    any_ratio: Annotated[bool, option("Take pictures that are not 2:1 for panoramas, too.", "--any-ratio")] = False,
    min_score: Annotated[
        float, option("Keep intervals whose least score is at least this; 0 keeps all.", metavar="0..1")
    ] = 0.7,
    views: Annotated[int, option("Make so many views between left and right, 0 to 100.", metavar="NUMBER")] = 9,
    scale: Annotated[int, option("Enlarge these views by 1 (not at all), 2 or 4.", metavar="NUMBER")] = 2,
    encoding: Annotated[Format, option("Write pictures in this format.", panel=OUTPUT)] = PNG,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    endpoint: Annotated[
        str | None,
        option(
            "Use the chain that runs there. Without this, the services start in this process.",
            metavar="HOST:PORT",
            envvar="TENSORHOP_VIEWS_ENDPOINT",
        ),
    ] = None,
) -> None:
    """Crop pairs of views out of panoramas, keep the good ones, and make the views between them.

    Exit code: 0 done, 1 something failed, 2 wrong use,

    3 no interval was kept, 4 the endpoint cannot be reached or wants a token, 130 interrupted, 143 terminated.
    """
    from tensorhop.orchestrator.launch.loading import begin_loading
    from tensorhop.orchestrator.launch.model_choices import choices_of

    if panoramas is None or len(panoramas) > 2:
        raise typer.BadParameter(f"there are {len(panoramas or ())} panoramas; name one or two")
    try:
        take_settings(models, endpoint)
        choices = choices_of(models, VIEWS.calls)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
    loading = {} if endpoint else begin_loading(VIEWS.calls, choices)  # first, because all below takes long
    from tensorhop.orchestrator.commands.panoramas.views_session import ViewsOptions, run_views

    try:
        request = {
            "seed": seed,
            "size": read_size(size),
            "any_ratio": any_ratio,
            "min_score": min_score,
            "views": views,
            "scale": scale,
        }
        options = ViewsOptions(panoramas, out, encoding.value, interval or [], request, as_json, overwrite, endpoint)
        raise typer.Exit(run_views(options, choices, loading))
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error


def read_size(text: str) -> tuple[int, int]:
    """Width and height: "640x480". Raises WrongUse."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise WrongUse(f"--size is {text!r}; it is WIDTHxHEIGHT in pixels, such as 640x480")
    return int(width), int(height)
