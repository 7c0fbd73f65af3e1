"""`make compose-verify`: starts docker-compose.yml, sends a photo through it, kills a step, sees it recover.

COMPOSE is the command of Compose, and DOCKER that of Docker; the image must be there. The stack that is started is one
of its own, and is taken down at the end, with its volumes.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples/photos/coffee.jpg"
ENDPOINT, HTTP = "localhost:50050", "localhost:8080"
COMPOSE = [*os.environ.get("COMPOSE", "docker compose").split(), "--project-name", "tensorhop-verify"]
DOCKER = os.environ.get("DOCKER", "docker").split()
STEPS = PIPELINE.calls
KEPT = ["describe", "detect", "segment"]  # finished cut-outs are not kept
PATIENCE = 120.0  # seconds for anything to come up
KILL = "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGKILL)"


class Failed(Exception):
    """What was found wrong."""


def said(*command: str) -> str:
    """A command's standard output; what it says besides goes to the terminal."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def inspect(container: str, what: str) -> str:
    return said(*DOCKER, "inspect", "--format", f"{{{{{what}}}}}", container)


def until(condition: Callable[[], object], what: str) -> float:
    """Seconds until a condition holds. Raises Failed: it did not within PATIENCE."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE:
            raise Failed(f"{what} took more than {PATIENCE:.0f} s")
        time.sleep(0.2)
    return time.monotonic() - started


def photo(*options: str) -> dict | None:
    """The summary of a photo that went through the pipeline, from outside; None if it failed."""
    with tempfile.TemporaryDirectory() as out:
        run = ["tensorhop.orchestrator", "run", str(PHOTO), "--endpoint", ENDPOINT, "--json", "-o", out]
        command = [sys.executable, "-m", *run]
        done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            return None
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        made = [Path(row["file"]) for row in rows if row["event"] == "object"]
        if not made or not all((ROOT / file).is_file() for file in made):
            raise Failed(f"the run ended well without a cut-out: {done.stdout}")
        return rows[-1]


def steps_of(summary: dict | None) -> dict[str, dict]:
    """The summary's steps by name. Raises Failed: there is no summary."""
    if summary is None:
        raise Failed("a photo failed")
    return {step["step"]: step for step in summary["steps"]}


def check_transport() -> None:
    summary = photo("--no-cache")
    found = {name: step["transport"] for name, step in steps_of(summary).items()}
    if found != dict.fromkeys(STEPS, "shared_memory"):
        raise Failed(f"tensors did not go by shared memory between the containers: {found}")
    assert summary is not None
    print(f"a photo took {summary['seconds']:.1f} s; its tensors went by shared memory between the containers")


def check_cache() -> None:
    photo()
    cached = [name for name, step in steps_of(photo()).items() if step["cached"]]
    if cached != KEPT:
        raise Failed(f"Redis had only {cached} of the photo's second run")
    print("the second run took describe, detect and segment from Redis")


def ready() -> bool:
    """Whether HTTP, the last in the order, says that all is up."""
    try:
        connection = http.client.HTTPConnection(HTTP, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def check_http() -> None:
    head = b'--part\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=part", "Accept": "image/png"}
    connection = http.client.HTTPConnection(HTTP, timeout=PATIENCE)
    connection.request("POST", "/process", head + PHOTO.read_bytes() + b"\r\n--part--\r\n", headers)
    answer = connection.getresponse()
    if (content := answer.read())[:4] != b"\x89PNG":
        raise Failed(f"HTTP answered {answer.status} {content[:200]!r}")
    print("a photo went through over HTTP")


def check_recovery(step: str) -> None:
    """Kill a step's process as a crash would; `docker kill` would not do, since Docker takes it for a wish to stop."""
    container = said(*COMPOSE, "ps", "--quiet", step)
    image, user = inspect(container, ".Config.Image"), inspect(container, ".Config.User")
    killer = ["run", "--rm", "--pid", "host", "--user", user, "--entrypoint", "python", image, "-c", KILL]
    said(*DOCKER, *killer, inspect(container, ".State.Pid"))
    if photo("--no-cache") is not None and inspect(container, ".RestartCount") == "0":
        raise Failed(f"{step} was not killed")
    seconds = until(lambda: photo("--no-cache"), f"a photo after {step} was killed")
    print(f"{step} was killed; {seconds:.1f} s later a photo had gone through again")
    if (count := inspect(container, ".RestartCount")) != "1":
        raise Failed(f"{step} was restarted {count} times")


def main() -> int:
    try:
        started = time.monotonic()
        said(*COMPOSE, "up", "--detach", "--no-build")
        until(ready, "the start")
        print(f"healthy after {time.monotonic() - started:.1f} s")
        check_transport()
        check_cache()
        check_http()
        for step in ("segment", "postprocess"):
            check_recovery(step)
    except Failed as error:
        print(f"failed: {error}", file=sys.stderr)
        print(said(*COMPOSE, "logs", "--tail=40"), file=sys.stderr)
        return 1
    finally:
        said(*COMPOSE, "down", "--volumes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
