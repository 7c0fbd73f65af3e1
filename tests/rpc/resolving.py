"""Run by test_dns.py, in a network and with an /etc/resolv.conf of its own: servers come, and clients find them.

Prints, as JSON, which servers each kind of client has called.
"""

import contextlib
import fcntl
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dns_server
import grpc

from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.replicas.replicas import Replicas
from tensorhop.rpc.server import Server
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.settings import Settings
from tensorhop.v1 import describe_pb2, describe_pb2_grpc
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.payloads import Payloads

NAME, PORT, GUARD = "describe.tensorhop.svc.cluster.local", 50051, 20.0
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def own_network(folder: Path) -> Path:
    """Loopback, a resolv.conf as Kubernetes writes one, and a DNS server; the file of its records."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH", b"lo", IFF_UP) + bytes(22))
    (folder / "resolv.conf").write_text(
        "nameserver 127.0.0.1\nsearch tensorhop.svc.cluster.local svc.cluster.local\noptions ndots:5\n"
    )
    subprocess.run(["mount", "--bind", str(folder / "resolv.conf"), "/etc/resolv.conf"], check=True)
    records = folder / "records.json"
    records.write_text("{}")
    threading.Thread(target=dns_server.serve, args=(records, "127.0.0.1", 53), daemon=True).start()
    return records


@contextlib.contextmanager
def serving(host: str, settings: Settings) -> Iterator[None]:
    def tell(packet: Packet, context: grpc.ServicerContext) -> Packet:
        return Packet(describe_pb2.DescribeResponse(text=host), Payloads())

    server = Server(DESCRIBE, SimpleNamespace(Describe=tell), f"{host}:{PORT}", settings=settings)
    try:
        yield
    finally:
        server.stop(0).wait(GUARD)


def by_chain(service: Replicas) -> str:
    packet = Packet(describe_pb2.DescribeRequest(), Payloads())
    (answer,) = service.call("Describe", packet, timeout=GUARD)
    return str(readable(answer).message.text)


def seen(call: Callable[[], str], wanted: int, seconds: float) -> list[str]:
    """The servers that answer, until there are so many, or for so long."""
    end, found = time.monotonic() + seconds, set()
    while len(found) < wanted and time.monotonic() < end:
        found.add(call())
        time.sleep(0.02)
    return sorted(found)


def main(folder: Path) -> None:
    records = own_network(folder)
    first, second = "127.0.0.2", "127.0.0.3"
    told: dict[str, Any] = {}
    for renewing in (0, 0.5):
        settings = Settings(max_connection_seconds=renewing)
        records.write_text(json.dumps({NAME: [first]}))
        with (
            serving(first, settings),
            serving(second, settings),
            contextlib.closing(Replicas(f"dns:///describe:{PORT}", DESCRIBE.descriptor)) as service,
            open_channel(f"dns:///describe:{PORT}") as channel,
        ):
            stub = describe_pb2_grpc.DescribeServiceStub(channel)  # type: ignore[no-untyped-call]

            def by_client(stub: Any = stub) -> str:
                return str(stub.Describe(describe_pb2.DescribeRequest(), timeout=GUARD).text)

            before = seen(by_client, 2, 0.2), seen(lambda service=service: by_chain(service), 2, 0.2)  # type: ignore[misc]
            records.write_text(json.dumps({NAME: [first, second]}))
            started = time.monotonic()
            chain = seen(lambda service=service: by_chain(service), 2, GUARD)  # type: ignore[misc]
            chain_seconds = time.monotonic() - started
            client = seen(by_client, 2, GUARD if renewing else 3.0)
            told[str(renewing)] = {
                "before": before,
                "chain": chain,
                "client": client,
                "seconds": {"chain": chain_seconds, "client": time.monotonic() - started},
            }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
