"""What the tests of the HTTP server send, and how they read what comes back."""

import json
import socket
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
CAT = (PHOTOS / "cat.jpg").read_bytes()
# What keeps a test quick: a mask, so that no model runs, and a small canvas without a shadow.
QUICK = {"canvas": "64x48", "shadow": "none"}
BOUNDARY = "a-boundary"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def oval(size: tuple[int, int] = (300, 451), middle: tuple[int, int] = (200, 150)) -> bytes:
    """A mask of the cat's photo, as a file."""
    alpha = cv2.ellipse(np.zeros(size, np.uint8), middle, (90, 60), 0, 0, 360, 255, -1)
    return cv2.imencode(".png", alpha)[1].tobytes()


def form(
    fields: dict[str, Any] | None = None,
    image: bytes | None = CAT,
    masks: Sequence[bytes] = (),
    files: dict[str, bytes] | None = None,
) -> bytes:
    """A multipart form; a list is a field that is given several times."""
    parts = []
    for name, given in (fields or {}).items():
        start = f'Content-Disposition: form-data; name="{name}"\r\n\r\n'
        parts += [f"{start}{value}".encode() for value in (given if isinstance(given, list) else [given])]
    for name, data in [("image", image), *(("masks", mask) for mask in masks), *(files or {}).items()]:
        if data is not None:
            parts.append(f'Content-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode() + data)
    mark = f"--{BOUNDARY}\r\n".encode()
    return b"".join(mark + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def call(address: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    connection = HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post(
    address: str,
    fields: dict[str, Any] | None = None,
    accept: str = "",
    headers: dict[str, str] | None = None,
    path: str = "/process",
    **more: Any,
) -> Answer:
    """A form to /process."""
    accepted = {"Accept": accept} if accept else {}
    return call(address, "POST", path, form(fields, **more), {**FORM, **accepted, **(headers or {})})


def raw(address: str) -> socket.socket:
    """A connection for bytes that no client library would send."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def events_of(body: bytes) -> list[tuple[str, Any]]:
    """Name and data of each server-sent event."""
    found = []
    for block in body.decode().strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found
