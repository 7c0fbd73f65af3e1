"""The metrics of a process, for Prometheus."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from tensorhop.address import split

W = TypeVar("W")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

CALLS = Counter("tensorhop_calls", "Calls that have ended.", ["service", "method", "code"])
CALL_SECONDS = Histogram(
    "tensorhop_call_seconds", "Time from a call's arrival to its end.", ["service", "method"], buckets=SECONDS
)
_UNDER_WAY = Gauge("tensorhop_calls_under_way", "Calls that have not ended.", ["service"])
_BATCH_SIZE = Histogram(
    "tensorhop_batch_size", "Items that went to the model together.", ["service"], buckets=(1, 2, 4, 8, 16, 32, 64)
)
_QUEUE_SECONDS = Histogram(
    "tensorhop_queue_seconds", "Time from an item's arrival until the model took it.", ["service"], buckets=SECONDS
)
_LOAD_SECONDS = Gauge("tensorhop_model_load_seconds", "Time to load and warm a model.", ["service", "model"])
_CACHE = Counter("tensorhop_cache_requests", "Answers of a step that were looked up.", ["step", "outcome"])
_RECORDINGS = Counter("tensorhop_recordings", "Requests that were recorded, or could not be.", ["outcome"])
_PAYLOAD = Counter(
    "tensorhop_payload_bytes", "Bytes of tensors and pictures that this process has sent.", ["transport"]
)
_BY_MESSAGE, _BY_SHARED_MEMORY = _PAYLOAD.labels("message"), _PAYLOAD.labels("shared_memory")
_SLOTS = Gauge("tensorhop_shared_memory_bytes", "Bytes of this process's slots of shared memory.", ["state"])
_DESIRED = Gauge(
    "tensorhop_desired_replicas",
    "Replicas that are wanted for the load of this process; their sum over all replicas is how many are wanted.",
    ["service"],
)
_pools: WeakSet[Any] = WeakSet()
_SLOTS.labels("reserved").set_function(lambda: sum(pool.used for pool in list(_pools)))
_SLOTS.labels("lent").set_function(lambda: sum(pool.lent for pool in list(_pools)))


class Loaded(Protocol):
    """What says how many replicas its load wants."""

    def desired_replicas(self) -> float: ...


class Counted(Protocol):
    """What counts calls."""

    @property
    def under_way(self) -> int: ...


_counted: defaultdict[str, WeakSet[Counted]] = defaultdict(WeakSet)  # by service
_loaded: defaultdict[str, WeakSet[Loaded]] = defaultdict(WeakSet)  # by service


def serve_metrics(address: str) -> int:
    """Answer Prometheus at "host:port", by HTTP, until the process ends. Returns the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    host, port = split(address)
    try:
        server, _ = start_http_server(port, host.strip("[]"))
    except OSError as error:
        raise OSError(f"the metrics cannot be at {address}: {error.strerror or error}") from error
    return server.server_port


def batch_size(service: str, items: int) -> None:
    _BATCH_SIZE.labels(service).observe(items)


def queue_seconds(service: str, seconds: float) -> None:
    _QUEUE_SECONDS.labels(service).observe(seconds)


def model_loaded(service: str, model: str, seconds: float) -> None:
    _LOAD_SECONDS.labels(service, model).set(seconds)


def cache_hit(step: str) -> None:
    _CACHE.labels(step, "hit").inc()


def cache_miss(step: str) -> None:
    _CACHE.labels(step, "miss").inc()


def recording(outcome: str) -> None:
    """Count a request that was recorded ("written"), or could not be ("failed")."""
    _RECORDINGS.labels(outcome).inc()


def sent_in_message(size: int) -> None:
    _BY_MESSAGE.inc(size)


def sent_in_slot(size: int) -> None:
    _BY_SHARED_MEMORY.inc(size)


def watch_pool(pool: object) -> None:
    """Count the slots of a tensorhop.wire.shared_memory.Pool for as long as the pool exists."""
    _pools.add(pool)


def watch_calls(service: str, counted: Counted) -> None:
    """Ask this one how many calls of a service are under way, for as long as it exists."""
    _watch(_UNDER_WAY, _counted, service, counted, lambda one: one.under_way)


def watch_load(service: str, loaded: Loaded) -> None:
    """Ask this one how many replicas of a service are wanted, for as long as it exists."""
    _watch(_DESIRED, _loaded, service, loaded, lambda one: one.desired_replicas())


def _watch(
    gauge: Gauge, watched: defaultdict[str, WeakSet[W]], service: str, one: W, value: Callable[[W], float]
) -> None:
    """Have a gauge tell the sum over all that are watched of a service, for as long as they exist."""
    watched[service].add(one)
    gauge.labels(service).set_function(lambda: sum(value(each) for each in list(watched[service])))
