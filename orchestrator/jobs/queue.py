"""The queue of jobs and of webhooks: Dramatiq, on Redis or in this process.

A message is an id; the job's record is elsewhere, and is what counts. So a message that comes twice does no harm, and
one that is lost is sent again from the record.

What Dramatiq's defaults would do, and what is set instead:

- Unacknowledged messages of a worker that died come back by maintenance, which a command does with a chance of
  0.1 %: every command does it here, and a worker counts as dead 10 s after its last command.
- Its middleware ends a job after 10 minutes, and drops old messages. Here only retries and the current message are
  used.
- A worker prefetches twice as many messages as it has threads, which then wait behind a long job. Here each queue has
  its own prefetch and as many threads as that, so what was fetched runs at once.
- A worker takes from all its queues alike; an actor's priority only orders what was fetched. So a job of a lower
  priority waits in its thread while jobs of a higher one are in the queue; `above` tells.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name
from dramatiq.middleware import CurrentMessage, Middleware, Retries
from dramatiq.worker import Worker

from tensorhop.orchestrator.jobs.redis_store import connect
from tensorhop.v1 import jobs_pb2 as pb

NAMESPACE = "tensorhop:queue"
EVERY_COMMAND, HEARTBEAT_MS = 1_000_000, 10_000
IDLE_MS, IDLE_HERE_MS = 1000, 200  # a consumer of an empty queue looks again after at most this long; in this process
STOP_MS = 8000  # in which jobs under way are cancelled and given back
QUEUES = {  # by priority, the highest first
    pb.JOB_PRIORITY_HIGH: "jobs-high",
    pb.JOB_PRIORITY_NORMAL: "jobs-normal",
    pb.JOB_PRIORITY_LOW: "jobs-low",
}
WEBHOOKS = "webhooks"
LONGEST_PAUSE = 2880  # times the first pause between two attempts to deliver a webhook; 4 hours after 5 s

log = logging.getLogger(__name__)


class Again(dramatiq.Retry):
    """Raised by work that is to be tried again later.

    Args:
        seconds: after which; None for the pause that doubles each time.
    """

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__("again", delay=None if seconds is None else int(1000 * seconds))


class Queue:
    """Messages of jobs and of webhooks.

    Args:
        redis: the URL of a Redis; "" keeps the messages in this process.
        run: is called with a job's id in a worker, for each of its messages.
        deliver: is called with a job's id, the webhook's key and how often it was tried before.
        webhook_pause: seconds after the first webhook that fails.

    Raises:
        InvalidInput: the URL is none of Redis.
    """

    def __init__(
        self,
        redis: str,
        run: Callable[[str], None],
        deliver: Callable[[str, str, int], None],
        webhook_pause: float = 5.0,
    ) -> None:
        middleware: list[Middleware] = [Retries(retry_when=lambda tries, error: True), CurrentMessage()]
        self._broker: Any
        if redis:
            self._broker = RedisBroker(  # type: ignore[no-untyped-call]
                client=connect(redis),
                middleware=middleware,
                namespace=NAMESPACE,
                maintenance_chance=EVERY_COMMAND,
                heartbeat_timeout=HEARTBEAT_MS,
            )
        else:
            self._broker = StubBroker(middleware=middleware)
        self.in_process = not redis
        pause = int(1000 * webhook_pause)
        for priority, queue in QUEUES.items():
            self._declare(queue, run, priority=-priority, min_backoff=1000, max_backoff=60_000)
        self._declare(
            WEBHOOKS,
            lambda job, key: deliver(job, key, tries()),
            min_backoff=pause,
            max_backoff=LONGEST_PAUSE * pause,
        )
        self._worker: Worker | None = None

    def _declare(self, name: str, work: Callable[..., None], **options: Any) -> None:
        """A queue of its own for each kind of work."""
        dramatiq.actor(broker=self._broker, actor_name=name, queue_name=name, **options)(work)

    def put(self, job: pb.Job) -> None:
        """Have a job run. Raises ConnectionError: Redis does not answer."""
        self._send(QUEUES[job.priority], job.id)

    def put_webhook(self, job: str, key: str) -> None:
        """Have a webhook delivered. Raises ConnectionError: Redis does not answer."""
        self._send(WEBHOOKS, job, key)

    def _send(self, name: str, *arguments: str) -> None:
        import redis

        try:
            self._broker.get_actor(name).send(*arguments)
        except redis.exceptions.RedisError as error:
            raise ConnectionError(f"the Redis of the jobs takes no message: {error}") from error

    def above(self, priority: int) -> bool:
        """Whether a job of a higher priority waits for a worker."""
        higher = [queue for one, queue in QUEUES.items() if one > priority]
        if self.in_process:
            return any(not self._broker.queues[queue].empty() for queue in higher)
        return any(self._broker.client.llen(f"{NAMESPACE}:{queue}") for queue in higher)

    def known(self) -> set[str]:
        """The ids of all jobs that have a message in Redis: waiting, delayed, or with a worker."""
        names = [f"{NAMESPACE}:{one}.msgs" for queue in QUEUES.values() for one in (queue, dq_name(queue))]
        return {json.loads(message)["args"][0] for name in names for message in self._broker.client.hvals(name)}

    def work(self, parallel: int) -> None:
        """Begin to work on messages, in threads.

        Args:
            parallel: jobs of each priority, and webhooks, at once.
        """
        idle = IDLE_HERE_MS if self.in_process else IDLE_MS
        self._worker = Worker(self._broker, worker_threads=parallel * (len(QUEUES) + 1), worker_timeout=idle)
        self._worker.queue_prefetch = parallel
        self._worker.start()

    def close(self) -> None:
        """Stop working; messages that are not acknowledged come back."""
        if self._worker is not None:
            self._worker.stop(STOP_MS)
        self._broker.close()


def tries() -> int:
    """How often the message that this thread works on was tried before."""
    message = CurrentMessage.get_current_message()
    return int(message.options.get("retries", 0)) if message is not None else 0
