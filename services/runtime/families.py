"""Which class of a service runs a checkpoint of transformers: one for each family of networks."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource


@dataclass(frozen=True)
class Family:
    """Networks that one class of a service runs."""

    name: str  # as its users say it: "GroundingDINO"
    runs: str  # the class of the models: "tensorhop.services.detect.families.grounding_dino:GroundingDino"


def load_family(
    service: str, source: ModelSource, families: Mapping[str, Family], own_code: str = "", others: Iterable[str] = ()
) -> Any:
    """Load a checkpoint by the class of its family.

    Args:
        service: what refuses other networks.
        families: by the `model_type` in config.json.
        own_code: the class for checkpoints that bring their own code, if there is one.
        others: what else the service runs, for the error message.

    Raises:
        InvalidInput: no family of the service has this type; or as the class raises it.
    """
    config = read_config(source)
    kind = str(config.get("model_type", ""))
    if config.get("auto_map") and own_code and (kind not in families or source.choice.trust_remote_code):
        return resolve_name(own_code)(source)
    if kind in families:
        return resolve_name(families[kind].runs)(source)
    came = f"a network of the type {kind!r}" if kind else "a network whose config.json states no model_type"
    if own_code:
        came += " without code of its own (auto_map in its config.json)"
    names = list(dict.fromkeys(family.name for family in families.values()))
    raise InvalidInput("--model", f"{source.name} is {came}; {service} runs {', '.join([*names, *others])}")


def read_config(source: ModelSource) -> dict[str, Any]:
    """The config.json of a checkpoint. Raises InvalidInput: there is none, or it is no JSON object."""
    path = source.path / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            "--model", f"{path} cannot be loaded ({type(error).__name__}: {error}); get its files again"
        ) from error
    if not isinstance(config, dict):
        raise InvalidInput("--model", f"{path} cannot be loaded (it holds no JSON object); get its files again")
    return config
