"""How many bytes went over a connection, as the kernel counts them: what tells a slow peer from one that stands still.

gRPC says of a message only that all of it was taken. The kernel says how much of it arrived at the other end.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OFFSET = 120  # of tcpi_bytes_acked in Linux' struct tcp_info; tcpi_bytes_received follows (Linux 4.2)
TCP_INFO_BYTES = 256


class Progress(NamedTuple):
    """Bytes of a connection since its start."""

    taken: int  # that the peer has acknowledged
    sent: int  # that came from the peer


def connections() -> dict[str, Progress]:
    """Of every TCP connection of this process, by the peer as gRPC names it: "ipv4:10.0.0.7:41234".

    It is empty where the kernel does not tell; unix sockets are left out.
    """
    found: dict[str, Progress] = {}
    with contextlib.suppress(OSError):
        for file in Path("/proc/self/fd").iterdir():
            found.update(_progress(file))
    return found


def _progress(file: Path) -> Iterator[tuple[str, Progress]]:
    try:
        if not str(file.readlink()).startswith("socket:"):
            return
        with socket.socket(fileno=os.dup(int(file.name))) as one:
            if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
                return
            host, port = one.getpeername()[:2]
            info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
            taken, sent = struct.unpack_from("QQ", info, OFFSET)
    except (OSError, struct.error):  # it was closed meanwhile, listens, or the kernel is older
        return
    host = host.removeprefix("::ffff:")
    yield f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}", Progress(taken, sent)
