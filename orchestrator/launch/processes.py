"""Services in processes of their own: started, supervised and stopped."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.address import get, reachable, split
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.orchestrator.launch.model_choices import serve_arguments
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.registry import HTTP, ports, services
from tensorhop.rpc.server import GRACE_SECONDS
from tensorhop.settings import Settings, current_settings

PIPELINE = SERVICE.name
START_SECONDS = 900.0  # how long a child may take until it serves: large models take minutes to load
FIRST_BACKOFF, LAST_BACKOFF = 0.5, 30.0  # seconds before a child that died is started again; doubles each time


@dataclass
class Child:
    """A service in a process of its own."""

    name: str
    address: str
    command: list[str]
    settings: Settings
    process: subprocess.Popen[bytes] | None = None
    backoff: float = FIRST_BACKOFF
    start_at: float = 0.0

    def start(self) -> None:
        # A group of its own: Ctrl-C is for the parent, which then ends its children in order.
        # The pipe ends when the parent does, in whatever way, and with it the child.
        environment = os.environ | self.settings.environment()
        self.process = subprocess.Popen(self.command, start_new_session=True, stdin=subprocess.PIPE, env=environment)

    def serves(self) -> bool:
        if self.name == HTTP:
            return lives(self.address)
        with open_channel(self.address) as channel:
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


def children(
    listen: Mapping[str, str], choices: Mapping[str, ModelChoice], settings: Settings | None = None
) -> list[Child]:
    """A child for each name, to listen on its address; the pipeline is told where the steps among them are.

    Args:
        listen: an address each, by name.
        choices: by service, which model it runs; the embedded one if it says nothing.
        settings: of each child; this process's if not given. Metrics, if they are wanted, are on consecutive ports from
            the one stated, in the order of the registry.
    """
    settings = settings or current_settings()
    told = {name: reachable(address) for name, address in listen.items()}
    found = []
    for name, address in listen.items():
        # -P: a folder named services/ in the user's own directory is not found first.
        command = [
            sys.executable,
            "-P",
            "-m",
            "tensorhop.orchestrator.launch.child",
            "serve",
            name,
            "--listen",
            address,
        ]
        if name == HTTP:
            command += ["--pipeline", told[PIPELINE]] if PIPELINE in told else []
        elif calls := services()[name].calls:
            command += [word for step in calls if step in told for word in (f"--{step}", told[step])]
        elif name in choices:
            command += serve_arguments(choices[name])
        own = settings
        if settings.metrics:
            host, port = split(settings.metrics)
            own = settings.model_copy(update={"metrics": f"{host}:{port + list(ports()).index(name)}"})
        found.append(Child(name, told[name], command, own))
    return found


def start(children: Sequence[Child]) -> None:
    """Start all, and return when all serve.

    Raises:
        ConnectionError: an address is in use, or a child has ended, or does not serve after START_SECONDS.
    """
    for one in children:
        if one.serves():  # otherwise the health of a stranger would be taken for the child's
            raise ConnectionError(f"{one.name} cannot listen on {one.address}; a server is running there already")
    for one in children:
        one.start()
    deadline = time.monotonic() + START_SECONDS
    waiting = list(children)
    while waiting:
        for one in waiting:
            if one.process is None or one.process.poll() is not None:
                raise ConnectionError(f"{one.name} could not start; its message is above")
        waiting = [one for one in waiting if not one.serves()]
        if waiting and time.monotonic() > deadline:
            names = ", ".join(one.name for one in waiting)
            raise ConnectionError(f"{names} did not start within {START_SECONDS:.0f} s")
        time.sleep(0.1)


def supervise(children: Sequence[Child], say: Callable[[str], None]) -> None:
    """Start again, after a growing pause, each child that ends. Returns never; an exception in a signal ends it."""
    while True:
        for one in children:
            now = time.monotonic()
            if one.process is not None and one.process.poll() is not None:
                say(f"{one.name} ended with code {one.process.returncode}; starting it again in {one.backoff:g} s")
                one.process, one.start_at = None, now + one.backoff
                one.backoff = min(2 * one.backoff, LAST_BACKOFF)
            elif one.process is None and now >= one.start_at:
                one.start()
                one.start_at = now
            elif one.process is not None and now - one.start_at > LAST_BACKOFF:
                one.backoff = FIRST_BACKOFF  # it has held; the next fault is a new one
        time.sleep(0.2)


def stop(children: Sequence[Child]) -> None:
    """Ask all to drain, wait, and end those that do not."""
    running = [one.process for one in children if one.process is not None and one.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS + 2
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
