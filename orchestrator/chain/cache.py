"""Intermediate results, kept under everything that they depend on, and computed once however many ask at once."""

import logging
import re
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import cachetools
import numpy as np
from blake3 import blake3

from tensorhop.errors import InvalidInput
from tensorhop.v1 import model_pb2

log = logging.getLogger(__name__)

REDIS_TIMEOUT = 0.25  # seconds for one answer of Redis
REDIS_PAUSE = 5.0  # seconds without it, or without its writes, after it failed
MiB = 1024 * 1024
MARK = b"hop1"  # in front of every entry in Redis; another version's entries are nobody's

Part = str | bytes | int | float | np.ndarray | None  # of what an answer depends on
Promise = Future[bytes | None]  # of an entry; None if it is not made after all


def digest_of(*parts: Part) -> bytes:
    """BLAKE3 of values; each is written with its kind and length, so that no two lists of values look the same."""
    hasher = blake3()
    content: bytes | memoryview
    for part in parts:
        match part:
            case None:
                kind, content = b"0", b""
            case str():
                kind, content = b"s", part.encode()
            case bytes():
                kind, content = b"b", part
            case int():
                kind, content = b"i", str(part).encode()
            case float():
                kind, content = b"f", struct.pack("<d", part)
            case np.ndarray():
                hasher.update(digest_of(part.dtype.str, str(part.shape)))
                kind, content = b"a", np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
        hasher.update(kind + struct.pack("<Q", len(content)))
        hasher.update(content)
    return hasher.digest()


def key_of(step: str, model: model_pb2.Model, photo: bytes, *parameters: Part) -> bytes:
    """The key of an answer: the step, who gives it, and what is asked."""
    return digest_of(step, model.name, model.revision, model.digest, photo, *parameters)


class Store(Protocol):
    """Where entries are."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def close(self) -> None: ...


class Memory:
    """In this process: the least recently used go first.

    Args:
        most: bytes of all entries together.
        seconds: how long an entry is good.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._entries: cachetools.TTLCache[bytes, bytes] = cachetools.TTLCache(most, seconds, getsizeof=len)
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        with self._lock:
            if len(value) <= self._entries.maxsize:
                self._entries[key] = value

    def close(self) -> None:
        with self._lock:
            self._entries.clear()


class Redis:
    """In a Redis that several orchestrators share. One that is slow or gone costs speed, never an answer.

    One that refuses writes (a read-only replica, one that is full, or cannot save) is still read.

    Args:
        url: redis://HOST:PORT/DB, rediss:// or unix://.
        seconds: how long an entry is good.

    Raises:
        InvalidInput: the URL is none of Redis.
    """

    def __init__(self, url: str, seconds: float) -> None:
        import redis

        self._broken: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._refused = redis.ResponseError  # what Redis itself answered to this command; others may be taken
        self._seconds = max(1, round(seconds))
        self._reads, self._writes = Pause("reads"), Pause("writes")
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT, retry=None
            )
            self._redis.connection_pool.make_connection()  # without connecting; it looks at the URL's parameters
        except (ValueError, TypeError) as error:
            message = f"is {without_password(url)!r}; it must be memory, none or a redis:// URL: {error}"
            raise InvalidInput("--cache", message) from error

    def get(self, key: bytes) -> bytes | None:
        value = self._try(self._reads, lambda: self._redis.get(_name(key)))
        return value[len(MARK) :] if isinstance(value, bytes) and value.startswith(MARK) else None

    def put(self, key: bytes, value: bytes) -> None:
        self._try(self._writes, lambda: self._redis.set(_name(key), MARK + value, ex=self._seconds))

    def close(self) -> None:
        self._redis.close()

    def _try(self, pause: "Pause", action: Callable[[], object]) -> object:
        if pause.on:
            return None
        try:
            value = action()
        except self._broken as error:
            refused = isinstance(error, self._refused)
            for one in (pause,) if refused else (self._reads, self._writes):
                one.begin()
            if pause.is_news(str(error)):
                what = f"{pause.what} rest" if refused else "rests"
                log.warning("the cache %s for %g s, and as long as this goes on: %s", what, REDIS_PAUSE, error)
            return None
        if pause.is_news(""):
            log.info("the cache's %s go on", pause.what)
        return value


class Pause:
    """Whether reads, or writes, rest after one has failed; and the reason that was told last."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._until, self._reason = 0.0, ""

    @property
    def on(self) -> bool:
        return time.monotonic() < self._until

    def begin(self) -> None:
        self._until = time.monotonic() + REDIS_PAUSE

    def is_news(self, reason: str) -> bool:
        """Whether a reason, "" for none, is another than before; it is told once."""
        before, self._reason = self._reason, reason
        return before != reason


def without_password(url: str) -> str:
    """A URL as it may be printed."""
    return re.sub(r"(?<=//)([^/@]*):[^/@]*(?=@)", r"\1:***", url)


def _name(key: bytes) -> str:
    return f"tensorhop:{key.hex()}"


class Claim:
    """What became of asking for a key: a value, a promise to make it, or somebody else's promise."""

    def __init__(self, cache: "Cache", key: bytes, value: bytes | None, promise: Promise | None, leads: bool) -> None:
        self._cache, self.key, self.value, self._promise, self.leads = cache, key, value, promise, leads

    def keep(self, value: bytes) -> None:
        """The leader's answer, for everybody."""
        self._cache._settle(self.key, self._promise, value)

    def give_up(self) -> None:
        """The leader has no answer; a follower may lead now. Of no effect after `keep`."""
        self._cache._settle(self.key, self._promise, None)

    @property
    def done(self) -> bool:
        """Whether the leader has kept an answer, or given up."""
        return self._promise is None or self._promise.done()

    def wait(self, timeout: float) -> bytes | None:
        """A follower's wait for the leader's answer; None if it has none, or not within `timeout` seconds."""
        assert self._promise is not None
        try:
            return self._promise.result(timeout)
        except TimeoutError:
            return None


class Cache:
    """Entries, and who is making which at the moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._promises: dict[bytes, Promise] = {}
        self._lock = threading.Lock()

    def claim(self, key: bytes) -> Claim:
        """Ask for an entry. Who is told that they lead must `keep` or `give_up`."""
        value = self._store.get(key)
        if value is not None:
            return Claim(self, key, value, None, leads=False)
        with self._lock:
            promise = self._promises.get(key)
            if promise is not None:
                return Claim(self, key, None, promise, leads=False)
            promise = self._promises[key] = Future()
        claim = Claim(self, key, None, promise, leads=True)
        value = self._store.get(key)  # a leader may just have kept it
        if value is None:
            return claim
        claim.give_up()
        return Claim(self, key, value, None, leads=False)

    def close(self) -> None:
        self._store.close()

    def _settle(self, key: bytes, promise: Promise | None, value: bytes | None) -> None:
        if promise is None or promise.done():
            return
        if value is not None:
            self._store.put(key, value)
        with self._lock:
            self._promises.pop(key, None)
        promise.set_result(value)


def open_cache(where: str, most: int, seconds: float) -> Cache | None:
    """The cache that `--cache` names: memory, none, or a URL of Redis.

    Raises:
        InvalidInput: it names something else.
    """
    if where == "none":
        return None
    return Cache(Memory(most, seconds) if where == "memory" else Redis(where, seconds))
