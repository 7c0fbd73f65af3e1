"""Flask: an array as base64 in JSON, or the path of a PNG or .npy file that the two ends share."""

import base64
import json
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from flask import Flask, request
from PIL import Image
from werkzeug.serving import make_server

from tensorhop.orchestrator.bench.method import Echo

TIMEOUT_SECONDS = 120

# Files.


def write_png(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(path)


def read_png(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


FORMATS: dict[str, tuple[Callable[[Path, np.ndarray], None], Callable[[Path], np.ndarray]]] = {
    ".png": (write_png, read_png),
    ".npy": (np.save, np.load),
}


# JSON.


def pack(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": array.shape, "data": data}


def unpack(message: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(message["data"]), message["dtype"]).reshape(message["shape"])


app = Flask(__name__)


@app.post("/json")
def echo_json() -> dict[str, Any]:
    return pack(unpack(request.get_json()))


@app.post("/path")
def echo_path() -> dict[str, str]:
    path = Path(request.get_json()["path"])
    write, read = FORMATS[path.suffix]
    answer = path.with_stem(f"{path.stem}-answer")
    write(answer, read(path))
    return {"path": str(answer)}


@contextmanager
def serve() -> Iterator[str]:
    with serving(app) as address:
        yield address


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """As `flask run` serves it, without its log."""
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def post(address: str, route: str, message: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    with urlopen(
        Request(f"http://{address}/{route}", json.dumps(message).encode(), headers), timeout=TIMEOUT_SECONDS
    ) as answer:
        return json.load(answer)


@contextmanager
def by_json(address: str) -> Iterator[Echo]:
    yield lambda array: unpack(post(address, "json", pack(array)))


@contextmanager
def by_path(suffix: str, address: str) -> Iterator[Echo]:
    """In the folder for temporary files, wherever that is."""
    write, read = FORMATS[suffix]
    with tempfile.TemporaryDirectory() as folder:

        def echo(array: np.ndarray) -> np.ndarray:
            path = Path(folder) / f"{uuid.uuid4().hex}{suffix}"
            write(path, array)
            answer = Path(post(address, "path", {"path": str(path)})["path"])
            back = read(answer)
            path.unlink()
            answer.unlink()
            return back

        yield echo


by_png, by_npy = partial(by_path, ".png"), partial(by_path, ".npy")
