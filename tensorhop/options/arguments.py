"""From values by option to the arguments of PipelineClient.process."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tensorhop.options.table import OPTIONS, Option
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.output_options import Output

TABLE = {option.name: option for option in OPTIONS}
GROUPS = ("describe", "finish", "output")  # arguments that hold several options


def process_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the values ask for together. A preset lies under the values that were given beside it.

    Args:
        values: by the option's name, as its kind reads them. A name that is not in the table is left out: doors have
            options that are for themselves.

    Returns:
        Keywords of PipelineClient.process: describe, finish and output always, the others if they were given. No
        range is checked.
    """
    preset: Mapping[str, Any] = FINISH_PRESETS.get(values.get("preset", ""), {})
    arguments: dict[str, Any] = {"describe": DescribeOptions(), "finish": Finish(), "output": Output(), **preset}
    for name, value in values.items():
        if name not in TABLE or not TABLE[name].path:
            continue
        group, argument = place_of(TABLE[name])
        if group:
            arguments[group] = replace(arguments[group], **{argument: value})
        else:
            arguments[argument] = value
    return arguments


def default_arguments() -> dict[str, Any]:
    """What stands for those arguments that are absent if nothing was given; of a model's own defaults, nothing."""
    places = {place_of(option): option.default for option in OPTIONS if option.path}
    return {argument: value for (group, argument), value in places.items() if not group and value is not None}


def place_of(option: Option) -> tuple[str, str]:
    """Where an option's value goes: the argument that holds it, or "" if it is one itself; and its name there."""
    group, _, rest = option.path.partition(".")
    return (group if rest and group in GROUPS else ""), option.argument or option.path.rpartition(".")[2]
