"""What a caller of JobService sees: answers, states, conflicts, and refusals."""

import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from scripted_jobs import Chain, ended, fail, jobs_of, results, submission
from waiting import GUARD, wait_for

from tensorhop.client.cutouts.requests import process_request
from tensorhop.orchestrator.jobs.identity import new_id
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.v1 import pipeline_pb2, segment_pb2
from tensorhop.values.images import decode_image
from tensorhop.values.output_options import Output
from tensorhop.wire.codec import encode


def consume(call) -> None:
    answer = call()
    if hasattr(answer, "__next__"):
        list(answer)


def refusal(call) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        consume(call)
    return caught.value.code().name, caught.value.details() or ""


def test_a_photo_gives_the_pipelines_own_cut_out(servers, client, cat, tmp_path):
    packet, _ = process_request(cat, phrases="cat", output=Output("png"))
    held = AnyMessage(type_url="type.googleapis.com/tensorhop.v1.ProcessRequest", value=encode(packet))
    with jobs_of(servers["pipeline"].address, jobs_dir=tmp_path) as stub:
        job = stub.SubmitJob(pb.SubmitJobRequest(request=held)).job
        assert (job.state, job.chain, job.attempts) == (pb.JOB_STATE_QUEUED, "pipeline", 0)
        events = list(stub.GetJobResults(pb.GetJobResultsRequest(id=job.id)))
        assert ended(stub, job.id).state == pb.JOB_STATE_DONE
    assert [one.event.name for one in events] == ["detections", "object", "summary"]
    assert [one.event.index for one in events] == [0, 1, 2]
    answer = pipeline_pb2.ProcessResponse()
    assert events[1].event.event.Unpack(answer)
    assert answer.request_id == job.id
    expected = next(one for one in client.process(cat, phrases="cat", output=Output("png")) if hasattr(one, "file"))
    assert np.array_equal(decode_image(answer.object.picture.encoded), decode_image(expected.file))


def test_watch_tells_states_and_events_without_pixels(jobs):
    job = jobs.SubmitJob(submission()).job
    told = list(jobs.WatchJob(pb.WatchJobRequest(id=job.id)))
    events = [one.event for one in told if one.HasField("event")]
    states = [one.job.state for one in told if one.HasField("job")]
    assert [one.name for one in events] == ["detections", "object", "object", "summary"]
    answer = pipeline_pb2.ProcessResponse()
    events[1].event.Unpack(answer)
    assert answer.object.HasField("picture")
    assert not answer.object.picture.encoded
    assert states == sorted(states)
    assert states[-1] == pb.JOB_STATE_DONE
    assert [one.WhichOneof("change") for one in told][-1] == "job"
    late = list(jobs.WatchJob(pb.WatchJobRequest(id=job.id)))
    assert [one.WhichOneof("change") for one in late] == ["job", *["event"] * 4, "job"], "the job as it is comes first"
    assert late[0].job.id == late[-1].job.id == job.id


def test_results_go_on_from_an_index(jobs):
    job = jobs.SubmitJob(submission()).job
    assert results(jobs, job.id) == ["detections", "object", "object", "summary"]
    assert results(jobs, job.id, first=2) == ["object", "summary"]
    assert results(jobs, job.id, first=9) == []


def test_a_key_is_one_job_and_a_conflict_with_another_request(jobs, chain: Chain):
    first = jobs.SubmitJob(submission(idempotency_key="order 7")).job
    assert jobs.SubmitJob(submission(idempotency_key="order 7")).job.id == first.id
    code, message = refusal(lambda: jobs.SubmitJob(submission(idempotency_key="order 7", priority="JOB_PRIORITY_LOW")))
    assert code == "ALREADY_EXISTS"
    assert first.id in message
    ended(jobs, first.id)
    assert len(chain.requests) == 1


def test_a_fault_of_the_request_fails_the_job_at_once(jobs, chain: Chain):
    chain.script = [fail("INVALID_ARGUMENT")]
    job = jobs.SubmitJob(submission()).job
    record = ended(jobs, job.id)
    assert (record.state, record.attempts, record.fault.message) == (
        pb.JOB_STATE_FAILED,
        1,
        "scripted INVALID_ARGUMENT",
    )
    with pytest.raises(grpc.RpcError, match="scripted INVALID_ARGUMENT"):
        results(jobs, job.id)
    assert record.events == 2


def test_an_attempt_that_broke_is_followed_by_another_and_no_event_comes_twice(jobs, chain: Chain):
    chain.script = [fail("UNAVAILABLE", retryable=True)]
    job = jobs.SubmitJob(submission()).job
    assert results(jobs, job.id) == ["detections", "object", "object", "summary"]
    assert ended(jobs, job.id).attempts == 2
    assert [one.request_id for one in chain.requests] == [job.id] * 2


def test_a_job_that_always_breaks_is_a_dead_letter_which_retry_begins_anew(jobs, chain: Chain, monkeypatch):
    monkeypatch.setattr("tensorhop.orchestrator.jobs.runner.MOST_ATTEMPTS", 2)
    chain.script = [fail("INTERNAL")] * 2
    job = jobs.SubmitJob(submission()).job
    record = ended(jobs, job.id)
    assert (record.state, record.attempts) == (pb.JOB_STATE_DEAD, 2)
    dead = jobs.ListJobs(pb.ListJobsRequest(state=pb.JOB_STATE_DEAD)).jobs
    assert [one.id for one in dead] == [job.id]
    assert jobs.RetryJob(pb.RetryJobRequest(id=job.id)).job.state == pb.JOB_STATE_QUEUED
    assert ended(jobs, job.id).state == pb.JOB_STATE_DONE
    code, message = refusal(lambda: jobs.RetryJob(pb.RetryJobRequest(id=job.id)))
    assert code == "FAILED_PRECONDITION"
    assert "done" in message


def test_cancel_ends_the_call_and_comes_twice(jobs, chain: Chain):
    chain.script = [lambda: chain.left.wait(GUARD)]
    job = jobs.SubmitJob(submission()).job
    wait_for(lambda: jobs.GetJob(pb.GetJobRequest(id=job.id)).job.events == 2)
    assert not chain.left.is_set()
    assert jobs.CancelJob(pb.CancelJobRequest(id=job.id)).job.state == pb.JOB_STATE_CANCELLED
    assert jobs.CancelJob(pb.CancelJobRequest(id=job.id)).job.state == pb.JOB_STATE_CANCELLED
    assert chain.left.wait(GUARD)
    code, message = refusal(lambda: jobs.GetJobResults(pb.GetJobResultsRequest(id=job.id)))
    assert (code, "cancelled" in message) == ("ABORTED", True)


def test_unfinished_jobs_run_after_a_restart(address, chain: Chain, tmp_path: Path):
    folder = tmp_path / "jobs"
    chain.script = [lambda: chain.left.wait(GUARD)]
    with jobs_of(address, jobs_dir=folder) as stub:
        job = stub.SubmitJob(submission()).job
        wait_for(lambda: stub.GetJob(pb.GetJobRequest(id=job.id)).job.events == 2)
        behind = stub.SubmitJob(submission()).job  # it waits for the first one
    with jobs_of(address, jobs_dir=folder) as stub:
        assert results(stub, job.id) == ["detections", "object", "object", "summary"]
        assert ended(stub, behind.id).state == pb.JOB_STATE_DONE
    assert not list((folder / "unfinished").iterdir())


def test_a_higher_priority_goes_first(jobs, chain: Chain):
    all_queued = threading.Event()
    chain.script = [lambda: all_queued.wait(GUARD)]
    first = jobs.SubmitJob(submission(priority="JOB_PRIORITY_HIGH")).job
    wait_for(lambda: chain.requests)
    low = [jobs.SubmitJob(submission(priority="JOB_PRIORITY_LOW")).job for _ in range(2)]
    high = [jobs.SubmitJob(submission(priority="JOB_PRIORITY_HIGH")).job for _ in range(4)]
    all_queued.set()
    for one in (*low, *high):
        ended(jobs, one.id)
    order = [one.request_id for one in chain.requests]
    assert order[0] == first.id
    assert order.index(low[1].id) == len(order) - 1


def test_pages_of_a_list_have_every_job_once_the_newest_first(jobs):
    ids = [jobs.SubmitJob(submission()).job.id for _ in range(5)]
    listed, token = [], ""
    while True:
        page = jobs.ListJobs(pb.ListJobsRequest(page_size=2, page_token=token))
        listed += [one.id for one in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert listed == sorted(ids, reverse=True)


def test_a_full_queue_says_when_to_come_again(address, chain: Chain, tmp_path: Path):
    chain.script = [lambda: chain.left.wait(GUARD)]
    with jobs_of(address, jobs_dir=tmp_path / "jobs", max_jobs=1) as stub:
        stub.SubmitJob(submission())
        with pytest.raises(grpc.RpcError) as caught:
            stub.SubmitJob(submission())
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        from tensorhop.rpc.status import from_error

        assert from_error(caught.value).fault.retry_after == 10


def test_a_time_to_live_ends_with_everything(address, tmp_path: Path):
    with jobs_of(address, jobs_dir=tmp_path / "jobs") as stub:
        job = stub.SubmitJob(submission(time_to_live=Duration(seconds=1), idempotency_key="k")).job
        wait_for(lambda: time.time() > job.expires.seconds + 1)
        for call in (
            lambda: stub.GetJob(pb.GetJobRequest(id=job.id)),
            lambda: stub.GetJobResults(pb.GetJobResultsRequest(id=job.id)),
            lambda: stub.CancelJob(pb.CancelJobRequest(id=job.id)),
        ):
            code, message = refusal(call)
            assert (code, "expired" in message) == ("NOT_FOUND", True)
        assert stub.SubmitJob(submission(idempotency_key="k")).job.id != job.id
        from tensorhop.orchestrator.jobs.folder_store import FolderStore

        FolderStore(str(tmp_path / "jobs")).remove_expired()
    assert not (tmp_path / "jobs" / job.id).exists()


def other_request() -> AnyMessage:
    held = AnyMessage()
    held.Pack(segment_pb2.SegmentRequest())
    return held


@pytest.mark.parametrize(
    ("request_", "code", "part"),
    [
        (pb.SubmitJobRequest(), "INVALID_ARGUMENT", "request is missing"),
        (pb.SubmitJobRequest(request=other_request()), "INVALID_ARGUMENT", "tensorhop.v1.SegmentRequest"),
        (submission(chain="cats"), "INVALID_ARGUMENT", "'cats'; known are pipeline, views"),
        (submission(chain="views"), "INVALID_ARGUMENT", "known are tensorhop.v1.ViewsServiceProcessRequest"),
        (submission(priority=9), "INVALID_ARGUMENT", "priority"),
        (submission(idempotency_key="k" * 201), "INVALID_ARGUMENT", "201 characters"),
        (submission(time_to_live=Duration(seconds=0)), "INVALID_ARGUMENT", "time_to_live is 0 s"),
        (submission(time_to_live=Duration(seconds=31 * 86_400)), "INVALID_ARGUMENT", "30 days"),
        (submission(webhook="http://example.com/"), "FAILED_PRECONDITION", "--webhook-secret-file"),
        (
            pb.SubmitJobRequest(
                request=AnyMessage(type_url="x/tensorhop.v1.ProcessRequest", value=b"\xff\xff\xff"),
            ),
            "INVALID_ARGUMENT",
            "request is no tensorhop.v1.ProcessRequest",
        ),
    ],
)
def test_what_is_refused_at_submit(idle_jobs, request_, code, part):
    found, message = refusal(lambda: idle_jobs.SubmitJob(request_))
    assert found == code
    assert part in message


@pytest.mark.parametrize(
    "job", ["", "x", "../../etc/passwd", new_id(86_400)], ids=["empty", "short", "path", "own form"]
)
def test_an_unknown_id_is_not_found(idle_jobs, job):
    for call in (
        lambda: idle_jobs.GetJob(pb.GetJobRequest(id=job)),
        lambda: idle_jobs.WatchJob(pb.WatchJobRequest(id=job)),
        lambda: idle_jobs.RetryJob(pb.RetryJobRequest(id=job)),
    ):
        code, message = refusal(call)
        assert (code, "no job has this id" in message) == ("NOT_FOUND", True)
