"""Readiness is told apart from liveness: by Check, by Watch, by the probe, and only while somebody asks."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from waiting import GUARD, wait_for

from tensorhop.healthcheck import failure, lack
from tensorhop.rpc import health
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.health import why_not_ready
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.services.describe.service import SERVICE
from tensorhop.settings import use_settings
from tensorhop.v1 import info_pb2

MISSING = "segment: nothing answers at localhost:50053; start it with tensorhop up"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Plain:
    """Calls nothing."""

    def Describe(self, packet: object, context: grpc.ServicerContext) -> None:
        raise NotImplementedError


class Chain(Plain):
    """Calls one service, which is there or not, and counts how often it was looked for."""

    def __init__(self) -> None:
        self.missing = ""
        self.looks = 0

    def upstreams(self) -> list[info_pb2.Upstream]:
        self.looks += 1
        return [info_pb2.Upstream(service="detect"), info_pb2.Upstream(service="segment", missing=self.missing)]


@contextlib.contextmanager
def serving(servicer: object) -> Iterator[tuple[str, health_pb2_grpc.HealthStub, Server]]:
    server = Server(SERVICE, servicer, "127.0.0.1:0")
    try:
        with open_channel(server.address) as channel:
            yield server.address, health_pb2_grpc.HealthStub(channel), server
    finally:
        server.stop(0).wait(GUARD)


def check(stub: health_pb2_grpc.HealthStub, name: str) -> int:
    return stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=GUARD).status


def test_a_chain_lives_and_serves_but_is_not_ready_without_its_steps() -> None:
    chain = Chain()
    with serving(chain) as (_, stub, _):
        for chain.missing, status in (("", SERVING), (MISSING, NOT_SERVING), ("", SERVING)):
            assert check(stub, "readiness") == status
            assert check(stub, "") == check(stub, SERVICE.descriptor.full_name) == SERVING


def test_what_calls_nothing_is_ready_until_it_ends() -> None:
    with serving(Plain()) as (address, stub, server):
        assert check(stub, "readiness") == SERVING
        assert lack(address) == ""
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="readiness"), timeout=GUARD)
        assert next(watch).status == SERVING
        server.stop(GUARD)
        assert next(watch).status == NOT_SERVING


def test_who_watches_is_told_of_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WATCH_SECONDS", 0.05)
    chain = Chain()
    with serving(chain) as (_, stub, _):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="readiness"), timeout=GUARD)
        for chain.missing, status in (("", SERVING), (MISSING, NOT_SERVING), ("", SERVING)):
            assert next(watch).status == status


def test_nobody_looks_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WATCH_SECONDS", 0.02)
    chain = Chain()
    with serving(chain) as (_, stub, _):
        check(stub, "")
        assert chain.looks == 0
        for _ in range(2):  # the second time, too, somebody looks
            watch = stub.Watch(health_pb2.HealthCheckRequest(service="readiness"), timeout=GUARD)
            next(watch)
            chain.missing = "" if chain.missing else MISSING
            next(watch)
            watch.cancel()
            wait_for(lambda: not any(thread.name == "readiness" for thread in threading.enumerate()))
        looks = chain.looks
        time.sleep(0.1)
        assert chain.looks == looks


def test_the_probe_for_containers_says_what_is_missing() -> None:
    chain = Chain()
    with serving(chain) as (address, _, _):
        command = [sys.executable, "-m", "tensorhop.healthcheck", address]
        assert lack(address) == ""
        chain.missing = MISSING
        assert (lack(address), failure(address)) == (f"{address} is not ready: {MISSING}", "")
        assert subprocess.run(command).returncode == 0
        done = subprocess.run([*command, "--readiness"], capture_output=True, text=True)
        assert (done.returncode, done.stderr.strip()) == (1, f"{address} is not ready: {MISSING}")


def test_a_server_that_knows_no_readiness_is_ready_if_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Plain()) as (address, _, server), open_channel(address) as channel:
        with server._health._lock:
            del server._health._server_status["readiness"]
        monkeypatch.setattr(server._health, "_look", lambda: None)
        assert why_not_ready(channel, GUARD) == ""


def test_a_server_that_is_not_there_is_not_ready() -> None:
    assert "127.0.0.1:1 is not ready: nothing answers at" in lack("127.0.0.1:1")


def test_the_probe_of_a_server_whose_certificate_is_not_for_localhost_tells_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod, where the certificate is for the name of the Service."""
    authority = trustme.CA()
    pair = authority.issue_cert("pipeline")
    files = {"tls_cert": pair.cert_chain_pems[0], "tls_key": pair.private_key_pem, "tls_ca": authority.cert_pem}
    for name, pem in files.items():
        pem.write_to_path(tmp_path / name)
        monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(tmp_path / name))
    use_settings(None)
    chain = Chain()
    chain.missing = MISSING
    server = Server(SERVICE, chain, "127.0.0.1:0", Security(**{name: str(tmp_path / name) for name in files}))
    try:
        address = f"localhost:{server.address.rpartition(':')[2]}"
        assert lack(address) == f"{address} is not ready: {MISSING}"
        chain.missing = ""
        wait_for(lambda: lack(address) == "")
    finally:
        server.stop(0).wait(GUARD)
        monkeypatch.undo()
        use_settings(None)
