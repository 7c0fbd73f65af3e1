"""The options of `tensorhop run` that say what to do with a photo, made from the table of options."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from tensorhop.options.kinds import BOOLEAN, BOXES
from tensorhop.options.table import OPTIONS, Option
from tensorhop.orchestrator.run.own_options import OVERLAY
from tensorhop.serving.options import add_options

# Where a run knows the default better than the table.
SHOWN_DEFAULTS = {"format": "as --out or --name ends, else png"}
# Where a run takes more than the table says: help and metavar.
TAKES_MORE = {
    "background": (
        "Put the object on a colour (CSS name, #rgb, #rrggbb, transparent), or on this picture.",
        "COLOUR|FILE",
    )
}


def photo_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the table to a command, which gets them as `values`, `phrases` and `boxes`."""
    options = {option.name: typer_option(option) for option in (*OPTIONS, OVERLAY)}
    return add_options(command, options, collect, first=True)


def typer_option(option: Option) -> Any:
    """An option's type as typer takes it."""
    kind = option.kind
    declared: Any = StrEnum(option.name, kind.choices) if kind.choices else list[str] if kind.many else kind.type
    text, metavar = TAKES_MORE.get(option.name, (option.help, option.metavar or kind.metavar))
    shown = typer.Option(
        option.flags,
        help=text,
        rich_help_panel=option.panel,
        metavar=metavar,
        show_default=SHOWN_DEFAULTS.get(option.name) or shown_default(option),
        min=option.least,
    )
    return Annotated[declared | None, shown]


def shown_default(option: Option) -> str | bool:
    """What --help says for the default; False for nothing."""
    if option.default is None:
        return option.default_text or False
    if option.kind is BOOLEAN:
        return option.name if option.default else False
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def collect(given: dict[str, Any]) -> dict[str, Any]:
    """The command's arguments for what was given. Raises typer.BadParameter: a box that is none."""
    phrases, texts = given.pop("phrases", []), given.pop("boxes", [])
    values = {name: value.value if isinstance(value, StrEnum) else value for name, value in given.items()}
    boxes = [box for text in texts for box in read_boxes(text)]
    return {"values": values, "phrases": phrases, "boxes": boxes}


def read_boxes(text: str) -> list[tuple[float, ...]]:
    """Raises typer.BadParameter: not four finite numbers, or inverted."""
    try:
        boxes: list[tuple[float, ...]] = BOXES.from_text(text)
        if any(x0 >= x1 or y0 >= y1 for x0, y0, x1, y1 in boxes):
            raise ValueError
    except ValueError as error:
        message = f"--box {text!r} is not x0,y0,x1,y1: four finite numbers, with x0 < x1 and y0 < y1"
        raise typer.BadParameter(message) from error
    return boxes
