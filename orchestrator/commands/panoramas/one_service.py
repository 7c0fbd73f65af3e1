"""A list of pictures through one service, several at once: what `tensorhop upscale` and `quality` have in common."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from rich.console import Console

from tensorhop.client.call import Call
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.models.sources import ModelChoice
from tensorhop.observe.tracing import start_tracing
from tensorhop.orchestrator.commands.run_session import until_signal
from tensorhop.orchestrator.run.inputs import Input
from tensorhop.orchestrator.run.reporter import make_progress, print_line
from tensorhop.orchestrator.run.runner import DONE, FAILED, UNREACHABLE, WRONG, code_of
from tensorhop.orchestrator.run.summary import error_row, fault_from
from tensorhop.rpc.registry import services
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security
from tensorhop.wire.allocator import keep_large_buffers
from tensorhop.wire.codec import Packet

AT_ONCE = 4  # pictures

Ask = Callable[[Packet[Any]], Packet[Any]]  # calls the service for one picture
Work = Callable[[Input, Ask], tuple[str, dict[str, Any]]]  # one picture: what to say of it, in words and for JSON


def run_pictures(
    name: str,
    method: str,
    pictures: Sequence[Input],
    work: Work,
    endpoint: str | None,
    choice: ModelChoice,
    as_json: bool,
) -> int:
    """Work on pictures, and report each in their order; returns the exit code. One that fails fails no other.

    Args:
        name: of the service, which starts in this process unless it is at `endpoint`.
        method: that answers a request of one picture by a stream of one answer.
        choice: the model of a service that starts here.
        work: raises ServiceFault, InvalidInput or OSError for a picture that fails.
        as_json: print a JSON object for each picture on standard output.
    """
    keep_large_buffers()
    security = Security.of()
    start_tracing(f"tensorhop-{name}")

    def with_stack(stack: ExitStack) -> int:
        remote = stack.enter_context(Connected(name, endpoint, choice, security))
        retry, console, codes = Retry(remote.ready), Console(stderr=True, highlight=False), set()

        def ask(packet: Packet[Any]) -> Packet[Any]:
            (answer,) = Call(remote, method, packet, None, retry, lambda answer: answer)
            if answer.message.HasField("fault"):
                raise ServiceFault(answer.message.fault)
            return answer

        def one(picture: Input) -> tuple[str, Mapping[str, Any], int, float]:
            began = time.monotonic()
            try:
                text, row = work(picture, ask)
                return text, row, DONE, time.monotonic() - began
            except (ServiceFault, InvalidInput, OSError) as error:
                fault = fault_from(error)
                fault.message = re.sub(r"images\[0\](\.encoded)?", lambda found: picture.name, fault.message, count=1)
                code = code_of(fault) if isinstance(error, ServiceFault) else FAILED
                text = f"failed: {fault.message}"
                return text, error_row(fault), code, time.monotonic() - began

        progress = stack.enter_context(make_progress(console, as_json))
        bar = progress.add_task("working", total=len(pictures))
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=name)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for number, (picture, (text, row, code, seconds)) in enumerate(
            zip(pictures, pool.map(one, pictures), strict=True), 1
        ):
            codes.add(code)
            if as_json:
                print(json.dumps({"image": picture.name, **row}), flush=True)
            else:
                print_line(console, picture.name, text, seconds, style="" if code == DONE else "red")
            progress.update(bar, completed=number, description=f"{number:,}/{len(pictures):,} pictures")
        return next((code for code in (UNREACHABLE, WRONG, FAILED) if code in codes), DONE)

    return until_signal(with_stack)


class Connected:
    """The context of a connection to one service: at an address, or in this process until the end."""

    def __init__(self, name: str, endpoint: str | None, choice: ModelChoice, security: Security) -> None:
        self._name, self._endpoint, self._choice, self._security = name, endpoint, choice, security
        self._stack = ExitStack()

    def __enter__(self) -> Remote:
        endpoint, security = self._endpoint, self._security
        if endpoint is None:
            from tensorhop.orchestrator.launch.in_process import one_process

            security = Security()  # nobody else is there
            listen, choices = {self._name: "127.0.0.1:0"}, {self._name: self._choice}
            servers = self._stack.enter_context(one_process(listen, choices, security=security))
            endpoint = servers[self._name].address
        remote = Remote(endpoint, services()[self._name].descriptor, security)
        self._stack.callback(remote.close)
        return remote

    def __exit__(self, *error: object) -> None:
        self._stack.close()
