"""`tensorhop status`: where services are, whether they serve, what they run and how they fare."""

from typing import TYPE_CHECKING, Annotated

import typer

from tensorhop.orchestrator.commands.run_options import option
from tensorhop.orchestrator.commands.serve_command import address_options
from tensorhop.orchestrator.commands.up_command import check_names
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.registry import HTTP, HTTP_PORT, services
from tensorhop.serving.command import default_address
from tensorhop.serving.options import add_options
from tensorhop.serving.settings_options import client_options

if TYPE_CHECKING:
    from tensorhop.orchestrator.commands.status import Status


def status(
    addresses: dict[str, str],
    pipeline: Annotated[
        str, option("Address of the pipeline.", metavar="ADDRESS", envvar="TENSORHOP_ENDPOINT")
    ] = default_address(PIPELINE),
    http: Annotated[str, option("Address of HTTP.", metavar="ADDRESS")] = f"localhost:{HTTP_PORT}",
    only: Annotated[
        list[str] | None,
        option(
            "Ask only this service; repeatable.",
            metavar="NAME",
            show_default=", ".join((PIPELINE.name, *PIPELINE.calls)),
        ),
    ] = None,
    wait: Annotated[
        str | None,
        option(
            "Wait until all services serve, at most this long (30s, 2m).", metavar="TIME", show_default="do not wait"
        ),
    ] = None,
    watch: Annotated[bool, option("Look again every second, until Ctrl-C.", "--watch", "-w")] = False,
    as_json: Annotated[bool, option("Print one JSON object for each look.", "--json")] = False,
) -> None:
    """Show where the services are, whether they serve, what they run, and how they fare.

    Exit code: 0 all serve (or --watch was ended), 1 not all do, 2 wrong use, 130 interrupted.
    """
    from tensorhop.address import check_brackets
    from tensorhop.orchestrator.commands import status, status_table
    from tensorhop.orchestrator.run.files import WrongUse

    check_names(only or ())
    told = addresses | {PIPELINE.name: pipeline, HTTP: http}
    try:
        if wait is not None and watch:
            raise WrongUse("--wait ends when all serve, --watch never; take one of them")
        seconds = 0.0 if wait is None else status.parse_duration(wait)
        for address in filter(None, told.values()):
            check_brackets(address)
    except (WrongUse, OSError) as error:
        raise typer.BadParameter(str(error)) from error

    def find() -> "list[Status]":
        return status.look(told, only or [])

    if watch:
        status_table.watch(find, as_json)
        return
    raise typer.Exit(status_table.show(status.wait(find, seconds), as_json))


OTHERS = {name: service for name, service in services().items() if service is not PIPELINE}
status_command = client_options(
    add_options(
        status,
        address_options(OTHERS, "where the pipeline calls it, or its port here"),
        lambda given: {"addresses": given},
    )
)
