"""What a process counts and times, for Prometheus."""

from prometheus_client import Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_BATCH_SIZE = Histogram(
    "tensorhop_batch_size", "Items that went to the model together.", ["service"], buckets=(1, 2, 4, 8, 16, 32, 64)
)
_QUEUE_SECONDS = Histogram(
    "tensorhop_queue_seconds", "Time from an item's arrival until the model took it.", ["service"], buckets=SECONDS
)


def batch_size(service: str, items: int) -> None:
    _BATCH_SIZE.labels(service).observe(items)


def queue_seconds(service: str, seconds: float) -> None:
    _QUEUE_SECONDS.labels(service).observe(seconds)
