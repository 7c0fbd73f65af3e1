"""Calls of JobService, for the commands."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import typer
from google.protobuf.message import Message

from tensorhop.client.call import Call
from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.jobs.service import SERVICE
from tensorhop.orchestrator.run.runner import DONE, code_of
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads


class Connection:
    """The server of jobs, for one command."""

    def __init__(self, remote: Remote) -> None:
        self._remote, self._retry = remote, Retry(remote.ready)

    def ask(self, method: str, request: Message, payloads: Payloads | None = None) -> Any:
        """The answer of a unary method. Raises ServiceFault."""
        (answer,) = self._call(method, request, payloads)
        return answer.message

    def stream(self, method: str, request: Message) -> Iterator[Packet[Any]]:
        """The answers of a stream. Raises ServiceFault."""
        yield from self._call(method, request, None)

    def _call(self, method: str, request: Message, payloads: Payloads | None) -> Call[Packet[Any]]:
        packet = Packet(request, payloads or Payloads())
        return Call(self._remote, method, packet, None, self._retry, lambda answer: answer)


def connected(endpoint: str, work: Callable[[Connection], int]) -> int:
    """The exit code of a command's work. A fault is told in one line."""
    with closing(Remote(endpoint, SERVICE.descriptor, Security.of())) as remote:
        try:
            return work(Connection(remote))
        except ServiceFault as error:
            typer.echo(f"Error: {error}", err=True)
            return code_of(error.fault) or DONE
