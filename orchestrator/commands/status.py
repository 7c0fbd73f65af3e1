"""What services say about themselves: whether they serve, what they run and how they fare."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.address import get
from tensorhop.client.cutouts.events import TRANSPORTS
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.rpc.channel import info_of, open_channel
from tensorhop.rpc.registry import HTTP, HTTP_PORT, ports, services
from tensorhop.rpc.security import nothing_answers
from tensorhop.rpc.service import Service
from tensorhop.rpc.status import sentence_of
from tensorhop.units import DURATION_EXAMPLES, read_duration
from tensorhop.v1 import fault_pb2, info_pb2

SERVING = health_pb2.HealthCheckResponse.ServingStatus.Name(health_pb2.HealthCheckResponse.SERVING)
NOT_SERVING = health_pb2.HealthCheckResponse.ServingStatus.Name(health_pb2.HealthCheckResponse.NOT_SERVING)
NOT_READY = "NOT_READY"  # it serves, but a service that it calls is missing
ASK_SECONDS = 3.0  # how long a service may take to answer; a pipeline waits for its steps for up to a second
PAUSE_SECONDS = 0.2  # between one look and the next while waiting


@dataclass(frozen=True)
class Status:
    """What one service says about itself."""

    service: str
    address: str
    health: str  # as grpc.health.v1 names it, NOT_READY, or the gRPC status of a call for it that failed
    message: str = ""  # why there is no answer, or which services are missing
    info: info_pb2.GetInfoResponse | None = None
    transport: str = ""  # how the pipeline's tensors last went to it: "message" or "shared_memory"

    def facts(self) -> dict[str, Any]:
        """For JSON; None is what is not known or does not exist."""
        info = self.info or info_pb2.GetInfoResponse()
        calls, queue, model = info.calls, info.queue, info.model
        return {
            "service": self.service,
            "address": self.address,
            "health": self.health,
            "message": self.message,
            "version": info.version or None,
            "model": {"name": model.name, "revision": model.revision, "digest": model.digest}
            if info.HasField("model")
            else None,
            "transport": self.transport or None,
            "uptime_seconds": round(info.uptime_seconds, 3) if self.info else None,
            "calls": {name: getattr(calls, name) for name in ("under_way", "most", "ended", "failed")}
            if info.HasField("calls")
            else None,
            "queue": {"waiting": queue.waiting, "most": queue.most} if info.HasField("queue") else None,
            "latency_seconds": asdict(Latency.of(calls)) if calls.ended else None,
        }


@dataclass(frozen=True)
class Latency:
    """Seconds that a call took at the server."""

    mean: float
    last: float

    @classmethod
    def of(cls, calls: info_pb2.Calls) -> "Latency":
        return cls(round(calls.seconds / calls.ended, 4), round(calls.last_seconds, 4))


def look(addresses: Mapping[str, str], only: Sequence[str] = ()) -> list[Status]:
    """Ask services; HTTP and the pipeline come first, the others in the order of the registry.

    Args:
        addresses: by name. A service left out is where the pipeline calls it, or else at its default port here.
        only: names of those to ask; the pipeline and its steps if empty.
    """
    wanted = only or (PIPELINE.name, *PIPELINE.calls)
    names = [name for name in ports() if name in wanted]
    upstreams: dict[str, info_pb2.Upstream] = {}
    found: dict[str, Status] = {}
    if PIPELINE.name in wanted or any(name in PIPELINE.calls and name not in addresses for name in wanted):
        address = addresses.get(PIPELINE.name, f"localhost:{PIPELINE.port}")
        found[PIPELINE.name] = pipeline = ask(PIPELINE, address)
        upstreams = {name_of(one): one for one in pipeline.info.upstreams} if pipeline.info else {}

    def status(name: str) -> Status:
        if name in found:
            return found[name]
        if name == HTTP:
            return ask_http(addresses.get(HTTP, f"localhost:{HTTP_PORT}"))
        known = upstreams.get(name, info_pb2.Upstream())
        service = services()[name]
        address = addresses.get(name) or known.address or f"localhost:{service.port}"
        # What the pipeline says of another address says nothing about this one.
        return ask(service, address, TRANSPORTS[known.transport] if address == known.address else "")

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(status, names))


def ask(service: Service, address: str, transport: str = "") -> Status:
    """Whether a service serves at an address, and what it says about itself."""
    name, health, info = service.name, "", None
    with open_channel(address) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service.descriptor.full_name)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=ASK_SECONDS)
            health = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
            info = info_of(channel, ASK_SECONDS)
        except grpc.RpcError as error:
            message = sentence_of(error, address)
            if error.code() == grpc.StatusCode.NOT_FOUND:
                message = f"another service is there, not {name}"
            return Status(name, address, health or error.code().name, message)
    missing = [one.missing for one in info.upstreams if one.missing]
    if missing and health == SERVING:
        return Status(name, address, NOT_READY, "; ".join(missing), info, transport)
    return Status(name, address, health, info=info, transport=transport)


def ask_http(address: str) -> Status:
    """Whether HTTP answers at an address, and finds its pipeline ready."""
    try:
        code, body = get(address, "/readyz", ASK_SECONDS)
    except ConnectionRefusedError:
        return Status(HTTP, address, "UNAVAILABLE", nothing_answers(address))
    except (OSError, HTTPException) as error:
        return Status(HTTP, address, "UNAVAILABLE", f"{address} does not answer: {error}")
    if code == HTTPStatus.OK:
        return Status(HTTP, address, SERVING)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        body = json.loads(body)["detail"]
    return Status(HTTP, address, NOT_SERVING, body[:1000])


def name_of(upstream: info_pb2.Upstream) -> str:
    return upstream.service or fault_pb2.Step.Name(upstream.step).removeprefix("STEP_").lower()


def all_serve(statuses: Sequence[Status]) -> bool:
    return bool(statuses) and all(status.health == SERVING for status in statuses)


def wait(find: Callable[[], list[Status]], seconds: float) -> list[Status]:
    """Look until all serve, or the time is over; the last look."""
    deadline = time.monotonic() + seconds
    while True:
        statuses = find()
        if all_serve(statuses) or time.monotonic() >= deadline:
            return statuses
        time.sleep(PAUSE_SECONDS)


def parse_duration(text: str) -> float:
    """Seconds: "30s", "500ms", "2m", "1h", or a number of seconds. Raises WrongUse."""
    try:
        return read_duration(text)
    except ValueError as error:
        raise WrongUse(f"--wait is {text!r}; it is {DURATION_EXAMPLES}") from error


def to_json(statuses: Sequence[Status]) -> str:
    return json.dumps({"serving": all_serve(statuses), "services": [status.facts() for status in statuses]})
