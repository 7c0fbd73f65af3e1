"""Jobs in Redis, for several servers and workers. Its limit of memory is the limit of the store."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import redis
from blake3 import blake3

from tensorhop.errors import InvalidInput, Overloaded
from tensorhop.orchestrator.jobs.identity import FORM, expires_at
from tensorhop.orchestrator.jobs.store import UNFINISHED, Change, Claim, StoredEvent
from tensorhop.v1 import jobs_pb2 as pb

SPACE = "tensorhop:jobs:"  # in front of every key
RETRY_SECONDS = 30.0  # after which a full Redis may have room
RESERVED = 0.2  # of its memory, kept for the results of the jobs that it has: new jobs find it full
TIMEOUT = 10.0  # seconds for one answer; a result may have many megabytes

# KEYS: record, request, unfinished, all, key. ARGV: id, record, request, expiry, claim ("" without a key).
CREATE = """
if ARGV[5] ~= '' then
    local held = redis.call('GET', KEYS[5])
    if held then return held end
    redis.call('SET', KEYS[5], ARGV[5], 'EXAT', ARGV[4])
end
redis.call('SET', KEYS[1], ARGV[2], 'EXAT', ARGV[4])
redis.call('SET', KEYS[2], ARGV[3], 'EXAT', ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
redis.call('ZADD', KEYS[4], 0, ARGV[1])
return ''
"""
# KEYS: keys, events, record. ARGV: key of the event, its bytes, expiry.
ADD_EVENT = """
if redis.call('EXISTS', KEYS[3]) == 0 or redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
redis.call('EXPIREAT', KEYS[2], ARGV[3])
return 1
"""


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors of Redis as ours. Raises Overloaded: it has no room. ConnectionError: it does not answer."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise full() from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ConnectionError(f"the Redis of the jobs does not answer: {error}") from error


def full() -> Overloaded:
    return Overloaded("the Redis of the jobs is full; try again later", RETRY_SECONDS)


class RedisStore:
    """Jobs in a Redis that evicts nothing (maxmemory-policy noeviction) and appends to a file.

    Args:
        url: redis://HOST:PORT/DB, rediss:// or unix://.

    Raises:
        InvalidInput: the URL is none of Redis.
    """

    def __init__(self, url: str) -> None:
        self._redis: Any = connect(url)
        self._create = self._redis.register_script(CREATE)
        self._add_event = self._redis.register_script(ADD_EVENT)

    def create(self, job: pb.Job, request: bytes, digest: str) -> Claim:
        claim = Claim(job.id, digest)
        key = job.idempotency_key
        with told():
            memory = self._redis.info("memory")
            most = memory["maxmemory"]
            if most and memory["used_memory"] + len(request) > (1 - RESERVED) * most:
                raise full()
            held = self._create(
                keys=[
                    *(_name("record", job.id), _name("request", job.id), _name("unfinished"), _name("all")),
                    _name("key", blake3(key.encode()).hexdigest()),
                ],
                args=[job.id, job.SerializeToString(), request, _expiry(job.id), " ".join(claim) if key else ""],
            )
        return Claim(*held.decode().split()) if held else claim

    def read(self, job: str) -> pb.Job | None:
        if not FORM.fullmatch(job):
            return None
        with told():
            record, events = (
                self._redis.pipeline(transaction=False).get(_name("record", job)).llen(_name("events", job)).execute()
            )
        return _read(record, events)

    def change(self, job: str, change: Change) -> pb.Job | None:
        with told(), self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(_name("record", job))
                    record = _read(pipe.get(_name("record", job)), pipe.llen(_name("events", job)))
                    if record is None or not change(record):
                        return record
                    pipe.multi()
                    pipe.set(_name("record", job), record.SerializeToString(), keepttl=True)
                    if record.state in UNFINISHED:
                        pipe.zadd(_name("unfinished"), {job: 0})
                    else:
                        pipe.zrem(_name("unfinished"), job)
                    pipe.execute()
                    return record
                except redis.WatchError:
                    continue

    def request(self, job: str) -> bytes:
        with told():
            found: bytes | None = self._redis.get(_name("request", job))
        if found is None:
            raise KeyError(job)
        return found

    def add_event(self, job: str, event: StoredEvent) -> bool:
        data = event.key.encode() + b"\0" + event.data
        with told():
            keys = [_name("keys", job), _name("events", job), _name("record", job)]
            return bool(self._add_event(keys=keys, args=[event.key, data, _expiry(job)]))

    def event(self, job: str, index: int) -> StoredEvent | None:
        with told():
            found: bytes | None = self._redis.lindex(_name("events", job), index)
        if found is None:
            return None
        key, _, data = found.partition(b"\0")
        return StoredEvent(key.decode(), data)

    def find_event(self, job: str, key: str) -> tuple[int, StoredEvent] | None:
        with told():
            if not self._redis.sismember(_name("keys", job), key):
                return None
            count = self._redis.llen(_name("events", job))
        for index in range(count):
            event = self.event(job, index)
            if event is not None and event.key == key:
                return index, event
        return None

    def jobs(self, before: str, most: int) -> list[str]:
        with told():
            newest = f"({before}" if before else "+"
            found = self._redis.zrange(_name("all"), newest, "-", desc=True, bylex=True, offset=0, num=most)
        return [one.decode() for one in found]

    def waiting(self) -> int:
        with told():
            return int(self._redis.zcard(_name("unfinished")))

    def unfinished(self) -> list[str]:
        with told():
            return [one.decode() for one in self._redis.zrange(_name("unfinished"), 0, -1)]

    def remove_expired(self) -> None:
        """Redis removes the jobs itself; this removes their ids from the lists."""
        now = time.time()
        with told():
            for one in self._redis.zrange(_name("all"), 0, -1):
                if expires_at(one.decode()) <= now:
                    self._redis.zrem(_name("all"), one)
                    self._redis.zrem(_name("unfinished"), one)

    def close(self) -> None:
        self._redis.close()


def connect(url: str) -> Any:
    """A client of the Redis at a URL. It connects when it is first used. Raises InvalidInput: it is no URL of Redis."""
    try:
        client = redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        client.connection_pool.make_connection()  # without connecting; it looks at the URL's parameters
    except (ValueError, TypeError) as error:
        raise InvalidInput("--jobs-redis", f"is {url!r}; it must be a redis:// URL: {error}") from error
    return client


def _name(kind: str, of: str = "") -> str:
    return f"{SPACE}{kind}:{of}" if of else f"{SPACE}{kind}"


def _expiry(job: str) -> int:
    return int(expires_at(job)) + 1


def _read(record: bytes | None, events: int) -> pb.Job | None:
    if record is None:
        return None
    job = pb.Job.FromString(record)
    job.events = events
    return job
