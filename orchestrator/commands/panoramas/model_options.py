"""Which models the services run that a command of panoramas starts in its process."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tensorhop.orchestrator.commands.run_options import MODELS
from tensorhop.serving.command import AcceptLicense, Device, Dtype, Model, Revision, TrustRemoteCode
from tensorhop.serving.options import add_options
from tensorhop.serving.settings_options import OWN, QUALITY, use_own

if TYPE_CHECKING:
    from tensorhop.models.sources import ModelChoice

SERVICE = {  # the options of one service
    "model": Model,
    "device": Device,
    "dtype": Dtype,
    "revision": Revision,
    "trust_remote_code": TrustRemoteCode,
    "accept_license": AcceptLicense,
}

Command = Callable[..., None]


def views_models(command: Command) -> Command:
    """Add the options of all steps to a command, which gets what was given of them as `models`."""
    return add_options(command, MODELS | QUALITY, lambda given: {"models": given})


def upscale_model(command: Command) -> Command:
    """Add the options of upscale to a command, which gets what was given of them as `models`."""
    return add_options(command, SERVICE, lambda given: {"models": given})


def quality_model(command: Command) -> Command:
    """Add the options of quality to a command, which gets what was given of them as `models`."""
    return add_options(command, SERVICE | QUALITY, lambda given: {"models": given})


def take_settings(given: Mapping[str, Any], endpoint: str | None) -> None:
    """Have the services that start here use the settings among options.

    Raises:
        InvalidInput: there are options of models, and the services run at an endpoint.
        typer.BadParameter: as `use_own`.
    """
    from tensorhop.orchestrator.launch.model_choices import check_here

    check_here(given, endpoint)
    if own := {name: value for name, value in given.items() if name in OWN}:
        use_own(own)


def choice_of(name: str, given: Mapping[str, Any], endpoint: str | None) -> "ModelChoice":
    """The model of one service that starts here. Takes its settings, too.

    Raises:
        InvalidInput: as `take_settings` and `check_choice`.
    """
    from tensorhop.models.sources import ModelChoice, check_choice
    from tensorhop.rpc.registry import services

    take_settings(given, endpoint)
    choice = ModelChoice(**{option: value for option, value in given.items() if option in SERVICE})
    check_choice(name, choice, services()[name].models)
    return choice
