"""A DNS server for tests: A records from a JSON file, which is read again for every question.

`python tools/dns_server.py RECORDS [ADDRESS [PORT]]`. RECORDS is {"segment.tensorhop.svc.cluster.local": ["10.0.0.7"]}.
It answers by UDP, with a time to live of 0.
"""

import json
import socket
import struct
import sys
from pathlib import Path

A, ANSWER, NO_SUCH_NAME = 1, 0x8580, 3  # type, flags of an authoritative answer, and its code


def answer(question: bytes, records: dict[str, list[str]]) -> bytes:
    """The answer to a message with one question: every address of the name, or none."""
    labels, position = [], 12
    while size := question[position]:
        labels.append(question[position + 1 : position + 1 + size].decode())
        position += 1 + size
    asked = question[12 : position + 5]
    (kind,) = struct.unpack_from("!H", question, position + 1)
    known = records.get(".".join(labels).lower())
    addresses = known or [] if kind == A else []
    head = question[:2] + struct.pack(
        "!HHHHH", ANSWER | (NO_SUCH_NAME if known is None else 0), 1, len(addresses), 0, 0
    )
    found = (struct.pack("!HHHIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton(one) for one in addresses)
    return head + asked + b"".join(found)


def serve(records: Path, address: str, port: int) -> None:
    """Answer until the process ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((address, port))
        print("serves", flush=True)
        while True:
            question, asker = listening.recvfrom(4096)
            listening.sendto(answer(question, json.loads(records.read_text())), asker)


if __name__ == "__main__":
    path, *place = sys.argv[1:]
    serve(Path(path), place[0] if place else "0.0.0.0", int(place[1]) if place[1:] else 53)
