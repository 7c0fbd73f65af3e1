"""The services as processes on loopback, and what is done to them. Ends only what it started."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.channel import open_channel

HERE = Path(__file__).parent
STEPS = PIPELINE.calls
START_SECONDS = 120.0
TARGET = "ipv4:"  # several addresses, as a name with several entries would resolve to


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return probe.getsockname()[1]


def healthy(address: str, timeout: float = 1.0) -> bool:
    with open_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


class Process:
    """One service: its command, where it listens, and the process that runs it now."""

    def __init__(self, name: str, address: str, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self.address, self.command, self.log = name, address, command, log
        self.env = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), **env}
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout: float = 30.0) -> int:
        assert self._process is not None
        return self._process.wait(timeout)

    def wait_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not healthy(self.address):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def resident(self) -> float:
        """MiB of resident memory, without what it shares; 0 if it is gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0


class Cluster:
    """A pipeline and its services.

    Args:
        replicas: of each service.
        seconds: that each instant model takes.
        embedded: run the embedded models, not the instant ones.
        env: variables of every process.
        pipeline_env: variables of the pipeline alone.
        host: where the pipeline listens.
        remote: by step, (command prefix, host) of its last replica, which runs in another network namespace.
    """

    def __init__(
        self,
        replicas: int = 1,
        seconds: float = 0.02,
        embedded: bool = False,
        env: Mapping[str, str] | None = None,
        pipeline_env: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        remote: Mapping[str, tuple[list[str], str]] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tensorhop-chaos-")
        base = {"TENSORHOP_CACHE": "none", "OMP_NUM_THREADS": "1", **(env or {})}
        self.services: dict[str, list[Process]] = {}
        for name in STEPS:
            self.services[name] = []
            for number in range(replicas):
                prefix: list[str] = []
                place = "127.0.0.1"
                if number == replicas - 1:
                    prefix, place = (remote or {}).get(name, (prefix, place))
                where = f"{place}:{free_port('127.0.0.1')}"
                command = [*prefix, *self._command(name, where, seconds, embedded)]
                self.services[name].append(self._process(name, where, command, base, number))
        address = f"{host}:{free_port(host)}"
        command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "serve", "pipeline", "--listen", address]
        for name, processes in self.services.items():
            command += [f"--{name}", TARGET + ",".join(one.address for one in processes)]
        self.pipeline = self._process("pipeline", address, command, {**base, **(pipeline_env or {})}, 0)

    def _command(self, name: str, address: str, seconds: float, embedded: bool) -> list[str]:
        if embedded or name == "postprocess":
            return [sys.executable, "-P", "-m", "tensorhop.orchestrator", "serve", name, "--listen", address]
        return [sys.executable, str(HERE / "instant.py"), name, "--listen", address, "--seconds", str(seconds)]

    def _process(self, name: str, address: str, command: list[str], env: Mapping[str, str], number: int) -> Process:
        return Process(name, address, command, env, Path(self._folder.name) / f"{name}-{number}.log")

    @property
    def all(self) -> list[Process]:
        return [*(one for processes in self.services.values() for one in processes), self.pipeline]

    def __enter__(self) -> Self:
        try:
            for one in self.all:
                one.start()
            for one in self.all:
                one.wait_healthy()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for one in self.all:
            if one._process is not None:
                one.signal(signal.SIGCONT)
                one.signal(signal.SIGTERM)
        deadline = time.monotonic() + 3
        for one in self.all:
            if one._process is not None:
                try:
                    one.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    one.kill()
        self._folder.cleanup()


class Namespace:
    """A network namespace of its own, reached by a pair of virtual interfaces. Needs root and iproute2."""

    def __init__(self) -> None:
        number = os.getpid() % 250
        self.name, self._link = f"chaos{os.getpid()}", f"chaos{number}"
        self.host = f"10.213.{number}.2"
        self.near = f"10.213.{number}.1"

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def __enter__(self) -> Self:
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self._link, "type", "veth", "peer", "name", "inside", "netns", self.name)
            ip("addr", "add", f"{self.near}/30", "dev", self._link)
            ip("link", "set", self._link, "up")
            ip("-n", self.name, "addr", "add", f"{self.host}/30", "dev", "inside")
            ip("-n", self.name, "link", "set", "lo", "up")
            self.join()
        except subprocess.CalledProcessError:
            self.__exit__(None, None, None)
            raise
        return self

    def cut(self) -> None:
        """Lose every packet, both ways, without a word to either end."""
        ip("-n", self.name, "link", "set", "inside", "down")

    def join(self) -> None:
        ip("-n", self.name, "link", "set", "inside", "up")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)  # its interfaces go with it


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
