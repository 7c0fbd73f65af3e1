"""Services in processes of their own: started, supervised and stopped."""

import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.address import get, reachable, split
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.jobs.service import SERVICE as JOBS
from tensorhop.orchestrator.launch.model_choices import serve_arguments
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.registry import HTTP, ports, services
from tensorhop.rpc.server import GRACE_SECONDS
from tensorhop.settings import Settings, current_settings
from tensorhop.wire.shared_memory import SUPPORTED, remove_orphans

LAST_PORT = 65_535
START_SECONDS = 900.0  # how long a child may take until it serves: large models take minutes to load
FIRST_BACKOFF, LAST_BACKOFF = 0.5, 30.0  # seconds before a child that died is started again; doubles each time


@dataclass
class Child:
    """A service in a process of its own."""

    name: str
    address: str
    command: list[str]  # of the `tensorhop` command
    settings: Settings
    process: subprocess.Popen[bytes] | None = None
    backoff: float = FIRST_BACKOFF
    start_at: float = 0.0
    _ready: int | None = None  # the pipe by which the process says that it serves
    _serves: bool = False

    def start(self) -> None:
        """Start the process. Raises OSError: the system has no room for it."""
        environment = os.environ | self.settings.environment()
        ready, theirs = os.pipe()
        # -P: a folder named services/ in the user's own directory is not found first.
        command = [sys.executable, "-P", "-m", "tensorhop.orchestrator.launch.child", str(theirs), *self.command]
        try:
            # A group of its own: Ctrl-C is for the parent, which then ends its children in order.
            # The pipe at its standard input ends when the parent does, in whatever way, and with it the child.
            self.process = subprocess.Popen(
                command, start_new_session=True, stdin=subprocess.PIPE, pass_fds=(theirs,), env=environment
            )
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ready, False)
        self._ready, self._serves = ready, False

    @property
    def ended(self) -> bool:
        """Whether there is no process, or one that has ended."""
        return self.process is None or self.process.poll() is not None

    def serves(self) -> bool:
        """Whether the process has said that it serves."""
        if self._ready is not None:
            with contextlib.suppress(BlockingIOError):
                self._serves = bool(os.read(self._ready, 1))
                self._close()
        return self._serves and not self.ended

    def forget(self) -> None:
        """Leave nothing of a process that has ended: no pipe, and no zombie."""
        if self.process is not None:
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()
        self._close()
        self.process = None

    def _close(self) -> None:
        if self._ready is not None:
            os.close(self._ready)
        self._ready = None


def answers(name: str, address: str) -> bool:
    """Whether a server, whosever it is, serves at an address."""
    if name == HTTP:
        return lives(address)
    with open_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def lives(address: str) -> bool:
    """Whether an HTTP server of ours answers there."""
    try:
        return get(address, "/healthz", timeout=1)[0] == HTTPStatus.OK
    except (OSError, HTTPException):
        return False


@contextlib.contextmanager
def claims(addresses: Iterable[str]) -> Iterator[None]:
    """Hold addresses against other supervisors of this host, from before their servers listen.

    Two that start at once would each get some of the ports. A claim is a name that the kernel keeps for as long as
    this process lives (an abstract socket, Linux only), so none is left behind.

    Raises:
        ConnectionError: another holds one of them.
    """
    with contextlib.ExitStack() as stack:
        for address in sorted(addresses):
            if not sys.platform.startswith("linux"):
                break
            claim = stack.enter_context(socket.socket(socket.AF_UNIX))
            try:
                claim.bind(f"\0tensorhop/{address}".encode()[:100])
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    continue
                raise ConnectionError(
                    f"{address} is in use: another `tensorhop up` serves it, or is about to"
                ) from error
        yield


def children(
    listen: Mapping[str, str], choices: Mapping[str, ModelChoice], settings: Settings | None = None
) -> list[Child]:
    """A child for each name, to listen on its address; chains, jobs and HTTP are told where the others among them are.

    Args:
        listen: an address each, by name.
        choices: by service, which model it runs; the embedded one if it says nothing.
        settings: of each child; this process's if not given. Metrics, if they are wanted, are on consecutive ports from
            the one stated, in the order of the registry.

    Raises:
        InvalidInput: there are not so many ports after that of the metrics.
    """
    settings = settings or current_settings()
    told = {name: reachable(address) for name, address in listen.items()}
    found = []
    for name, address in listen.items():
        command = ["serve", name, "--listen", address]
        called = called_by(name)
        if called:
            command += [word for one in called if one in told for word in (f"--{one.replace('_', '-')}", told[one])]
        elif name in choices:
            command += serve_arguments(choices[name])
        own = settings
        if settings.metrics:
            host, first = split(settings.metrics)
            port = first + list(ports()).index(name)
            if port > LAST_PORT:
                raise InvalidInput(
                    "--metrics",
                    f"is {settings.metrics!r}; each process has a port from there on, and {name} has none left",
                )
            own = settings.model_copy(update={"metrics": f"{host}:{port}"})
        found.append(Child(name, told[name], command, own))
    return found


def called_by(name: str) -> Iterable[str]:
    """The names of the services whose addresses one is told: all, for HTTP; the chains, for jobs."""
    if name == JOBS.name:
        return [other for other, service in services().items() if service.calls]
    return services() if name == HTTP else services()[name].calls


def start(children: Sequence[Child], pause: Callable[[float], object] = time.sleep) -> None:
    """Start all, and return when all serve.

    Args:
        pause: waits so many seconds between two looks at them, and may end it by an exception.

    Raises:
        ConnectionError: an address is in use, or a child has ended, or does not serve after START_SECONDS.
    """
    for one in children:
        if answers(one.name, one.address):
            raise ConnectionError(f"{one.name} cannot listen on {one.address}; a server is running there already")
    for one in children:
        one.start()
    deadline = time.monotonic() + START_SECONDS
    waiting = list(children)
    while waiting:
        for one in children:
            if one.ended:
                raise ConnectionError(f"{one.name} could not start; its message is above")
        waiting = [one for one in waiting if not one.serves()]
        if waiting and time.monotonic() > deadline:
            names = ", ".join(one.name for one in waiting)
            raise ConnectionError(f"{names} did not start within {START_SECONDS:.0f} s")
        pause(0.1)


def supervise(
    children: Sequence[Child], say: Callable[[str], None], pause: Callable[[float], object] = time.sleep
) -> None:
    """Start again, after a growing pause, each child that ends. Returns never; an exception of `pause` ends it.

    What goes wrong in here, such as a system without room for one more process, is told and tried again: the other
    children are served by this process too.
    """
    while True:
        for one in children:
            try:
                _look_after(one, say)
            except Exception as error:
                one.start_at = time.monotonic() + one.backoff
                one.backoff = min(2 * one.backoff, LAST_BACKOFF)
                _try_to_say(say, f"{one.name} cannot be started: {error}; trying again")
        pause(0.2)


def _look_after(one: Child, say: Callable[[str], None]) -> None:
    now = time.monotonic()
    if one.process is not None and one.ended:
        code = one.process.returncode
        one.forget()
        one.start_at = now + one.backoff
        _try_to_say(say, f"{one.name} ended with code {code}; starting it again in {one.backoff:g} s")
        one.backoff = min(2 * one.backoff, LAST_BACKOFF)
        remove_slots(one)
    elif one.process is None and now >= one.start_at:
        one.start()
        one.start_at = now
    elif one.process is not None and one.serves() and now - one.start_at > LAST_BACKOFF:
        one.backoff = FIRST_BACKOFF  # it has held; the next fault is a new one


def _try_to_say(say: Callable[[str], None], message: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, as after a terminal was closed
        say(message)


def remove_slots(one: Child) -> None:
    """Unlink the shared memory of owners that are gone, such as a pipeline that was killed."""
    if SUPPORTED:
        remove_orphans(Path(one.settings.shm_dir))


def stop(children: Sequence[Child]) -> None:
    """Ask all to drain, wait, and end those that do not."""
    running = [one for one in children if not one.ended]
    for one in running:
        assert one.process is not None
        one.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS + 2
    for one in running:
        assert one.process is not None
        try:
            one.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
    for one in children:
        one.forget()
        remove_slots(one)
