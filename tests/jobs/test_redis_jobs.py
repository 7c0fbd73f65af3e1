"""Jobs in Redis: a server that only takes them, workers that run them, and a worker that dies."""

import os
import signal
import sys
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest
from scripted_jobs import Chain, ended, jobs_of, results, submission
from waiting import GUARD, wait_for

from tensorhop.orchestrator.jobs.identity import new_id
from tensorhop.orchestrator.jobs.redis_store import RedisStore
from tensorhop.orchestrator.jobs.servicer import Jobs
from tensorhop.orchestrator.jobs.store import Claim, StoredEvent
from tensorhop.settings import Settings
from tensorhop.v1 import jobs_pb2 as pb

pytestmark = pytest.mark.slow


@pytest.fixture
def url(redis_server) -> str:
    return redis_server[1]


def start_worker(url: str, pipeline: str) -> Popen:
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "worker", "--jobs-redis", url]
    return Popen([*command, "--pipeline", pipeline], stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)


def test_a_worker_that_is_killed_in_mid_job(url, address, chain: Chain):
    chain.script = [lambda: chain.left.wait(GUARD)]
    with jobs_of(address, jobs_redis=url) as stub:
        first = start_worker(url, address)
        try:
            job = stub.SubmitJob(submission()).job
            wait_for(lambda: stub.GetJob(pb.GetJobRequest(id=job.id)).job.events == 2)
            first.send_signal(signal.SIGKILL)
            first.wait()
            second = Jobs({"pipeline": address}, Settings(jobs_redis=url))
            second.work()
            try:
                assert results(stub, job.id) == ["detections", "object", "object", "summary"]
                assert ended(stub, job.id).attempts == 2
            finally:
                second.close()
        finally:
            if first.poll() is None:
                os.kill(first.pid, signal.SIGKILL)
            first.wait()


def test_a_job_whose_message_was_lost_is_queued_again(url, address, chain: Chain, monkeypatch):
    monkeypatch.setattr("tensorhop.orchestrator.jobs.servicer.SWEEP_SECONDS", 0.2)
    with jobs_of(address, jobs_redis=url) as stub:
        job = stub.SubmitJob(submission()).job
        worker = Jobs({"pipeline": address}, Settings(jobs_redis=url))
        for name in worker.queue._broker.client.keys("tensorhop:queue:*"):
            worker.queue._broker.client.delete(name)
        worker.work()
        try:
            assert ended(stub, job.id).state == pb.JOB_STATE_DONE
        finally:
            worker.close()
    assert len(chain.requests) == 1


def test_the_store(url):
    store = RedisStore(url)
    job = pb.Job(id=new_id(100), state=pb.JOB_STATE_QUEUED, idempotency_key="k")
    other = pb.Job(id=new_id(100), state=pb.JOB_STATE_QUEUED, idempotency_key="k")
    assert store.create(job, b"request", "digest") == Claim(job.id, "digest")
    assert store.create(other, b"request", "another") == Claim(job.id, "digest")
    assert store.read(other.id) is None
    assert store.request(job.id) == b"request"
    assert store.add_event(job.id, StoredEvent("object-0", b"\0pixels"))
    assert not store.add_event(job.id, StoredEvent("object-0", b"others"))
    assert store.event(job.id, 0) == StoredEvent("object-0", b"\0pixels")
    assert store.find_event(job.id, "object-0") == (0, StoredEvent("object-0", b"\0pixels"))
    assert (store.event(job.id, 1), store.find_event(job.id, "object-1")) == (None, None)
    assert store.read(job.id).events == 1
    assert (store.waiting(), store.unfinished()) == (1, [job.id])

    def end(one: pb.Job) -> bool:
        one.state = pb.JOB_STATE_DONE
        return True

    assert store.change(job.id, end).state == pb.JOB_STATE_DONE
    assert (store.waiting(), store.jobs("", 10), store.jobs(job.id, 10)) == (0, [job.id], [])
    with pytest.raises(KeyError):
        store.request(other.id)
    store.close()


def test_a_redis_that_is_full_or_gone(url, redis_server, address, tmp_path: Path):
    import grpc

    from tensorhop.orchestrator.jobs.redis_store import connect

    client = connect(url)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 1000)
    with jobs_of(address, jobs_redis=url) as stub:
        with pytest.raises(grpc.RpcError, match="the Redis of the jobs is full"):
            stub.SubmitJob(submission())
        redis_server[0].kill()
        redis_server[0].wait()
        with pytest.raises(grpc.RpcError, match="does not answer") as caught:
            stub.SubmitJob(submission())
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
