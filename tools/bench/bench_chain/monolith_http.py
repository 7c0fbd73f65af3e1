"""The monolith behind Flask: a photo posted as a file, its first cut-out answered as a PNG file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

from flask import Flask, Response, request

from bench_chain.monolith import Models, Monolith
from bench_chain.turn import Want
from bench_peers.flask_http import TIMEOUT_SECONDS, serving
from tensorhop.wire.allocator import keep_large_buffers


@contextmanager
def serve(models: Models) -> Iterator[str]:
    """The job of its process. As with `flask run`, each request has a thread, and all share the models."""
    keep_large_buffers()
    whole = Monolith(models)
    app = Flask(__name__)

    @app.post("/cutout")
    def cutout() -> Response:
        return Response(next(whole.process(request.get_data(), Want(most=1)), b""), mimetype="image/png")

    with serving(app) as address:
        yield address


@contextmanager
def connect(address: str) -> Iterator[Callable[[bytes], bytes]]:
    def post(photo: bytes) -> bytes:
        with urlopen(Request(f"http://{address}/cutout", photo), timeout=TIMEOUT_SECONDS) as answer:
            return answer.read()

    yield post
