"""Keys that nothing else has, bounds that hold, one computation for many, and a Redis that may break at any time."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import GUARD

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.chain import cache as module
from tensorhop.orchestrator.chain.cache import Cache, Memory, Redis, digest_of, key_of, open_cache
from tensorhop.v1.model_pb2 import Model

MODEL = Model(name="m", revision="1", digest="d")


# Keys.

VALUES = st.one_of(st.none(), st.text(max_size=4), st.binary(max_size=4), st.integers(-5, 300), st.floats(width=32))


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_different_lists_of_values_have_different_digests(one, other):
    def same(a, b):
        return type(a) is type(b) and (a == b or a != a) and repr(a) == repr(b)

    alike = len(one) == len(other) and all(map(same, one, other))
    assert (digest_of(*one) == digest_of(*other)) == alike


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 4), np.uint8),
        np.zeros((4, 3), np.int8),
        np.zeros(12, np.uint8),
        np.ones((4, 3), np.uint8),
        np.zeros((4, 3), np.uint8).tobytes(),
    ],
)
def test_arrays_differ_by_dtype_shape_and_bytes(other):
    assert digest_of(np.zeros((4, 3), np.uint8)) != digest_of(other)


def test_arrays_are_the_same_whatever_their_layout():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert digest_of(array) == digest_of(np.asfortranarray(array)) == digest_of(np.repeat(array, 2, 1)[:, ::2])


@pytest.mark.parametrize("field", ["name", "revision", "digest"])
def test_a_key_depends_on_the_model(field):
    other = Model()
    other.CopyFrom(MODEL)
    setattr(other, field, "x")
    assert key_of("detect", MODEL, b"photo", b"cat") != key_of("detect", other, b"photo", b"cat")


def test_a_key_depends_on_the_step_the_photo_and_the_parameters():
    keys = {
        key_of("detect", MODEL, b"photo", b"cat"),
        key_of("segment", MODEL, b"photo", b"cat"),
        key_of("detect", MODEL, b"other", b"cat"),
        key_of("detect", MODEL, b"photo", b"dog"),
        key_of("detect", MODEL, b"photo", b"c", b"at"),
    }
    assert len(keys) == 5


# In memory.


def test_memory_is_bounded_in_bytes_and_forgets_the_least_recently_used():
    store = Memory(30, 60)
    for name in (b"a", b"b", b"c"):
        store.put(name, bytes(10))
    assert store.get(b"a") is not None
    store.put(b"d", bytes(10))
    assert [store.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_what_is_larger_than_the_memory_is_not_kept():
    store = Memory(30, 60)
    store.put(b"a", bytes(10))
    store.put(b"b", bytes(31))
    assert store.get(b"b") is None
    assert store.get(b"a") is not None


def test_memory_forgets_after_a_time():
    store = Memory(30, 0.05)
    store.put(b"a", b"1")
    time.sleep(0.1)
    assert store.get(b"a") is None


# Once for many.


def test_what_several_ask_at_once_is_computed_once():
    cache = Cache(Memory(1000, 60))
    leader = cache.claim(b"k")
    followers = [cache.claim(b"k") for _ in range(5)]
    assert leader.leads
    assert not any(one.leads for one in followers)
    leader.keep(b"answer")
    assert [one.wait(GUARD) for one in followers] == [b"answer"] * 5
    assert cache.claim(b"k").value == b"answer"


def test_followers_do_not_fail_with_their_leader():
    cache = Cache(Memory(1000, 60))
    leader, follower = cache.claim(b"k"), cache.claim(b"k")
    leader.give_up()
    assert follower.wait(GUARD) is None
    assert cache.claim(b"k").leads, "the next one leads"


def test_giving_up_after_an_answer_does_nothing():
    cache = Cache(Memory(1000, 60))
    leader = cache.claim(b"k")
    leader.keep(b"answer")
    leader.give_up()
    assert cache.claim(b"k").value == b"answer"


def test_a_follower_waits_no_longer_than_it_says():
    cache = Cache(Memory(1000, 60))
    cache.claim(b"k")
    assert cache.claim(b"k").wait(0.01) is None


def test_many_threads_compute_each_key_once():
    cache, computed, got = Cache(Memory(1_000_000, 60)), [], []

    def ask(number):
        key = b"%d" % (number % 5)
        claim = cache.claim(key)
        if claim.leads:
            computed.append(key)
            time.sleep(0.002)
            claim.keep(key)
        got.append((claim.value or claim.wait(GUARD)) == key)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
    assert got == [True] * 60
    assert sorted(computed) == [b"%d" % number for number in range(5)]


# Redis.


def test_redis_keeps_for_everybody_and_survives_being_stopped(redis_server, caplog, monkeypatch):
    monkeypatch.setattr(module, "REDIS_PAUSE", 0.05)
    process, url = redis_server
    one, other = Redis(url, 60), Redis(url, 60)
    assert one.get(b"k") is None
    one.put(b"k", b"value")
    assert other.get(b"k") == b"value"
    process.kill()
    process.wait()
    assert other.get(b"k") is None
    other.put(b"k", b"value")
    assert "the cache rests" in caplog.text
    cache = Cache(other)
    claim = cache.claim(b"k")
    assert claim.leads
    claim.keep(b"computed")  # costs speed, never an answer


def test_a_redis_that_hangs_costs_little(redis_server, monkeypatch):
    import signal

    monkeypatch.setattr(module, "REDIS_TIMEOUT", 0.05)
    process, url = redis_server
    store = Redis(url, 60)
    store.put(b"k", b"value")
    process.send_signal(signal.SIGSTOP)
    try:
        assert [store.get(b"k") for _ in range(100)] == [None] * 100  # would be 5 s if each waited
    finally:
        process.send_signal(signal.SIGCONT)


def refusing(url, *how):
    """Have a Redis refuse writes."""
    import redis

    with redis.Redis.from_url(url) as client:
        for words in how:
            client.execute_command(*words.split())


REFUSALS = {
    "a read-only replica": (["REPLICAOF 127.0.0.1 9", "CONFIG SET replica-serve-stale-data yes"], "read only"),
    "full": (["CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1"], "maxmemory"),
    "may not write": (["ACL SETUSER default -@write"], "permissions"),
}


@pytest.mark.parametrize(("how", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_redis_that_refuses_writes_is_still_read(redis_server, caplog, monkeypatch, how, reason):
    monkeypatch.setattr(module, "REDIS_PAUSE", 0.05)
    _, url = redis_server
    store = Redis(url, 60)
    store.put(b"k", b"before")
    refusing(url, *how)
    for _ in range(4):
        store.put(b"k", b"after")
        assert store.get(b"k") == b"before"
        time.sleep(0.06)
    (said,) = caplog.messages
    assert "writes rest" in said
    assert reason in said


def test_a_redis_that_cannot_save_is_still_read(redis_server, caplog, monkeypatch):
    """MISCONF, as with a full disk."""
    import redis

    _, url = redis_server
    store = Redis(url, 60)
    store.put(b"k", b"before")

    def full(key, value, ex):
        raise redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it cannot")

    monkeypatch.setattr(store._redis, "set", full)
    store.put(b"k", b"after")
    assert store.get(b"k") == b"before"
    assert "MISCONF" in caplog.text


def test_writes_go_on_when_they_can(redis_server, caplog, monkeypatch):
    monkeypatch.setattr(module, "REDIS_PAUSE", 0.0)
    _, url = redis_server
    store = Redis(url, 60)
    refusing(url, "CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1")
    store.put(b"k", b"v")
    refusing(url, "CONFIG SET maxmemory 0")
    store.put(b"k", b"v")
    assert store.get(b"k") == b"v"
    refusing(url, "CONFIG SET maxmemory 1")
    store.put(b"k", b"v")
    assert [record.levelname for record in caplog.records if record.name == module.__name__].count("WARNING") == 2


def test_a_wrong_password_is_told_once(redis_server, caplog, monkeypatch):
    monkeypatch.setattr(module, "REDIS_PAUSE", 0.0)
    _, url = redis_server
    refusing(url, "CONFIG SET requirepass right")
    store = Redis(f"{url}?password=wrong", 60)
    for _ in range(3):
        assert store.get(b"k") is None
        store.put(b"k", b"v")
    assert 1 <= len(caplog.messages) <= 2
    assert "password" in caplog.text.lower() or "auth" in caplog.text.lower()


def test_what_others_wrote_into_redis_is_not_taken(redis_server):
    import redis

    _, url = redis_server
    redis.Redis.from_url(url).set("tensorhop:" + b"k".hex(), b"something else")
    assert Redis(url, 60).get(b"k") is None


@pytest.mark.parametrize("where", ["", "disk", "http://x"])
def test_a_cache_nowhere_is_refused(where):
    with pytest.raises(InvalidInput, match="must be memory, none or a redis:// URL"):
        open_cache(where, 1, 1)


def test_no_cache():
    assert open_cache("none", 1, 1) is None


@pytest.mark.parametrize(
    "where", ["redis://me:secret@host:x", "redis://localhost?no=such", "redis://localhost?socket_timeout=abc"]
)
def test_a_wrong_url_is_refused_at_once_and_no_password_is_printed(where):
    with pytest.raises(InvalidInput, match="--cache is 'redis://") as caught:
        open_cache(where, 1, 1)
    assert "secret" not in str(caught.value)
