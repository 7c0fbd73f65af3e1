"""Hostile requests over HTTP: methods in JSON, in the Connect protocol and in gRPC-Web, and forms to /process.

    python tools/fuzz_http.py --count 30000

The services run in a process of their own, with models that answer at once. No request may end in a status of 500, in
a code that blames nobody, in an answer of another form, or in none at all. A case that is found can be sent again:
--seed S --only NUMBER.
"""

import argparse
import contextlib
import json
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from fuzz import AT_ONCE, NEVER, SERVERS, SMALL, instant
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from hostile import METHODS, TEXTS, Hostile, bits, cut, encoded, noise

from tensorhop.v1.detect_pb2 import DetectRequest
from tensorhop.web.connect.routes import paths
from tensorhop.web.cutouts.parameters import FILES, PARAMETERS
from tensorhop.web.serve import HttpServer

LARGE = 32 * 1024 * 1024  # bytes; what is over the server's limit may see its connection closed before the answer
FORM = "multipart/form-data"
ACCEPTS = ("*/*", "application/x-ndjson", "text/event-stream", "application/json", ";q=", "*/*;q=0")
TIMEOUTS = (*([""] * 8), "20000", "0", "-1", "1e3", "9" * 10, "9" * 30, "\u0663")
WORDS = (  # for a place in JSON
    *("null", "NaN", "-0", "1e999", "1" * 400, '"\\ud800"', '"\\u0000"', "[" * 500, '{"a":' * 200, "{}", "[]", "true"),
    *('"CODE_NONE"', '{"shape": [-1]}', '{"@type": "x"}', ",", "}", '"', "\\", "\x00", "\xff", '"__proto__": 1,'),
)
FIELDS = ("0", "-1", "1e9", "nan", "inf", "true", "99999999999999999999", "0x10", "1,2,3,4", "[[0,0,1,1]]", "512x0")
STATUS = re.compile(rb"grpc-status: (2|13|14|15)\b")  # of gRPC-Web: UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS
BLAMES = [code for code in NEVER if code != "DEADLINE_EXCEEDED"]  # a case may ask for a deadline of its own


class Case(NamedTuple):
    """A request, and what was done to it."""

    change: str
    path: str
    headers: dict[str, str]
    body: bytes


class HostileHttp:
    """Cases by number: the same seed and number make the same request."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._hostile = Hostile(seed)
        self._served = paths()
        self._photo = encoded("PNG").encoded

    def case(self, number: int) -> Case:
        dice = random.Random(f"{self._seed}-http-{number}")
        if dice.random() < 0.3:
            return self._form(dice)
        while True:
            path, change, data = self._hostile.case(number)
            if path in self._served:
                break
            number += 1_000_000_007
        return (self._json if dice.random() < 0.6 else self._binary)(dice, path, change, data)

    def _json(self, dice: random.Random, path: str, change: str, data: bytes) -> Case:
        text = self._as_json(path, data)
        if dice.random() < 0.4:
            change, text = f"{change}, text", spoilt(dice, text)
        headers = {"Content-Type": "application/json", "Accept": dice.choice(ACCEPTS)}
        if timeout := dice.choice(TIMEOUTS):
            headers["Connect-Timeout-Ms"] = timeout
        return Case(f"json: {change}", path, headers, text)

    def _binary(self, dice: random.Random, path: str, change: str, data: bytes) -> Case:
        form = "json" if dice.random() < 0.3 else "proto"
        if form == "json":
            data = self._as_json(path, data)
        kind = dice.choice(("application/grpc-web+", "application/connect+" if METHODS[path][1] else "application/"))
        if kind != "application/":
            lie = dice.choice((*([0] * 6), 1, -1, 2**31))
            start = struct.pack(">BI", dice.choice((*([0] * 6), 1, 2, 128)), (len(data) + lie) % 2**32)
            data = (start + data) * dice.choice((*([1] * 8), 0, 2))
        headers = {"Content-Type": kind + form}
        if dice.random() < 0.1:
            headers[dice.choice(("Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"))] = "gzip"
        return Case(f"{kind}{form}: {change}", path, headers, data[:LARGE])

    def _as_json(self, path: str, data: bytes) -> bytes:
        with contextlib.suppress(DecodeError, ValueError):
            return MessageToJson(METHODS[path][0].FromString(data), indent=None).encode()
        return data

    def _form(self, dice: random.Random) -> Case:
        fields = {"canvas": "64x48", "shadow": "none"}
        for _ in range(dice.randint(0, 3)):
            name = dice.choice([*PARAMETERS, *FILES, "nonsense", "", 'a"b', "x" * 500])
            option = PARAMETERS.get(name)
            chosen = option.kind.choices if option and dice.random() < 0.5 else ()
            fields[name] = dice.choice([*(chosen or (*FIELDS, *TEXTS))])
        fields.pop("timeout", None)  # a short one is the caller's own
        photo = self._photo if dice.random() < 0.7 else bits(dice, DetectRequest(phrases=["x" * 50]))
        parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}' for name, text in fields.items()]
        pieces = [part.encode(errors="replace") for part in parts]
        pieces.append(b'Content-Disposition: form-data; name="image"; filename="f"\r\n\r\n' + photo)
        body = b"".join(b"--b\r\n" + piece + b"\r\n" for piece in pieces) + b"--b--\r\n"
        change = "fields"
        if dice.random() < 0.3:
            change, body = "spoilt", spoilt(dice, body)
        return Case(f"form: {change}", "/process", {"Content-Type": f"{FORM}; boundary=b", "Accept": FORM}, body)


def spoilt(dice: random.Random, data: bytes) -> bytes:
    """Bytes with something put into them, or taken out."""
    start = dice.randint(0, len(data))
    word = dice.choice(WORDS).encode("latin-1")
    how = dice.random()
    if how < 0.5:
        return data[:start] + word + data[start:]
    if how < 0.8:
        return data[:start] + data[start + dice.choice((1, 5, 100)) :]
    return (cut if dice.random() < 0.5 else noise)(dice, DetectRequest(image={"encoded": data}))


class Target:
    """The HTTP server under fire; a connection for each thread."""

    def __init__(self, address: str, deadline: float) -> None:
        self._address, self._deadline = address, deadline
        self._own = threading.local()

    def send(self, case: Case) -> tuple[int, Message, bytes]:
        """Status, headers and body."""
        for attempt in (1, 2):  # the server may close a connection between two requests
            connection = getattr(self._own, "connection", None) or HTTPConnection(self._address, timeout=self._deadline)
            self._own.connection = connection
            try:
                headers = {name: value.encode() for name, value in case.headers.items()}
                connection.request("POST", case.path, case.body, headers)
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (HTTPException, ConnectionError):
                connection.close()
                self._own.connection = None
                if attempt == 2:
                    raise
        raise AssertionError


def wrong_with(case: Case, status: int, headers: Message, body: bytes) -> str:
    """What must not have happened; "" if all is well."""
    kind = headers.get("Content-Type", "")
    if status in (500, 502, 503, 499) or not kind:
        return f"status {status}, {kind}: {body[:300]!r}"
    if told := STATUS.search(f"grpc-status: {headers.get('Grpc-Status', 0)}".encode() + body):
        return f"{told[0]!r}: {body[-500:]!r}"
    if case.change.startswith("form") and not (kind.startswith(FORM) and body.endswith(b"--\r\n")):
        return f"{kind} instead of {FORM}"
    for code in BLAMES:
        name = "canceled" if code == "CANCELLED" else code.lower()
        if f'"code": "{name}"'.encode() in body or f'"CODE_{code}"'.encode() in body:
            return f"{code}: {body[-500:]!r}"
    if kind.endswith("json") and not kind.startswith(("application/connect", "application/grpc")):
        lines = body.splitlines() if "ndjson" in kind else [body]
        try:
            for line in lines:
                json.loads(line)
        except ValueError as error:
            return f"no JSON: {error}"
    return ""


def attack(target: Target, hostile: HostileHttp, numbers: range) -> tuple[Counter[tuple[str, int]], list[str]]:
    """Send the cases; how many ended in which status by kind, and what must not have happened."""
    tally: Counter[tuple[str, int]] = Counter()
    found: list[str] = []

    def one(number: int) -> None:
        case = hostile.case(number)
        try:
            status, headers, body = target.send(case)
        except (OSError, HTTPException) as error:
            found.append(f"case {number}, {case.path} ({case.change}): {error!r}")
            return
        tally[case.change.partition(":")[0], status] += 1
        if wrong := wrong_with(case, status, headers, body):
            found.append(f"case {number}, {case.path} ({case.change}): {wrong}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(one, numbers):
            pass
    return tally, found


@contextlib.contextmanager
def front() -> Iterator[str]:
    """The services, with models that answer at once, and an HTTP server in front of them: its address."""
    with instant() as servers:
        addresses = {name: servers[name].address for name in SERVERS}
        http = HttpServer("127.0.0.1:0", addresses["pipeline"], services=addresses)
        yield http.address
        http.stop(1).wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one case, by its number")
    parser.add_argument("--deadline", type=float, default=30.0, help="seconds that an answer may take")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with front() as address:
            print(address, flush=True)
            sys.stdin.read()
        return 0
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    environment = {**SMALL, **os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        target = Target(process.stdout.readline().strip(), options.deadline)
        started = time.monotonic()
        tally, found = attack(target, HostileHttp(options.seed), numbers)
        seconds = time.monotonic() - started
        if process.poll() is not None:
            found.append(f"the services ended with code {process.returncode}")
        process.stdin.close()
    for (kind, status), count in sorted(tally.items()):
        print(f"{kind:<28} {status} {count:>7,}")
    print(f"{sum(tally.values()):,} requests in {seconds:.0f} s, seed {options.seed}")
    print("\n".join(found[:50]) or "nothing found: no crash, no hang, no 500, no code that blames nobody")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
