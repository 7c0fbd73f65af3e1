"""Options added to a command from a table, for those that several commands have or that a registry decides."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def add_options(
    command: Callable[..., None],
    options: Mapping[str, Any],
    collect: Callable[[dict[str, Any]], dict[str, Any]],
    first: bool = False,
) -> Callable[..., None]:
    """A command with more options, all of which default to None.

    Args:
        command: a function as typer takes it.
        options: by parameter, its type as typer takes it: Annotated[... | None, typer.Option(...)].
        collect: is told what was given of them, and says which arguments the command gets for it.
        first: --help lists them before the command's own.
    """

    @functools.wraps(command)
    def run(**given: Any) -> None:
        own = {name: given.pop(name) for name in options}
        command(**given, **collect({name: value for name, value in own.items() if value is not None}))

    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.default is not inspect.Parameter.empty]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]
    ordered = [*added, *own] if first else [*own, *added]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in ordered]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
