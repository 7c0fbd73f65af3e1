"""Webhooks: signed, one for each item and the end, tried again, given up at last, and never to private places."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from scripted_jobs import SECRET, Chain, Receiver, ended, fail, jobs_of, secret_file, submission
from standardwebhooks import Webhook
from waiting import wait_for

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.jobs.destination import checked_addresses, is_public, post, read_url
from tensorhop.orchestrator.jobs.webhooks import read_secret
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.v1 import jobs_pb2_grpc


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def jobs(address: str, tmp_path: Path) -> Iterator[jobs_pb2_grpc.JobServiceStub]:
    with jobs_of(
        address,
        jobs_dir=tmp_path / "jobs",
        webhook_secret_file=secret_file(tmp_path),
        allow_private_webhooks=True,
        webhook_pause=0.02,
    ) as stub:
        yield stub


def test_each_item_and_the_end_are_told_and_signed(jobs, chain: Chain, receiver: Receiver):
    chain.script = [fail("UNAVAILABLE", retryable=True)]  # the first object comes in both attempts
    job = jobs.SubmitJob(submission(webhook=receiver.url + "/hook?shop=7")).job
    ended(jobs, job.id)
    wait_for(lambda: len(receiver.received) >= 3)
    told = [Webhook(SECRET).verify(body, headers) for headers, body in receiver.received]
    assert sorted(one["type"] for one in told) == ["job.ended", "job.item", "job.item"]
    items = {one["data"]["index"]: one["data"] for one in told if one["type"] == "job.item"}
    assert items[1]["name"] == "object"
    assert "encoded" not in items[1]["event"]["object"]["picture"]
    end = next(one["data"] for one in told if one["type"] == "job.ended")
    assert (end["id"], end["state"]) == (job.id, "JOB_STATE_DONE")
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 3
    wait_for(lambda: len(jobs.GetJob(pb.GetJobRequest(id=job.id)).job.webhooks.delivered) == 3)


def test_what_fails_is_sent_again_by_the_same_id(jobs, receiver: Receiver):
    receiver.statuses = [500, 302, 503]
    job = jobs.SubmitJob(submission(webhook=receiver.url)).job
    wait_for(lambda: len(receiver.received) == 6)
    ids = [headers["webhook-id"] for headers, _ in receiver.received]
    assert len(set(ids)) == 3
    wait_for(lambda: len(jobs.GetJob(pb.GetJobRequest(id=job.id)).job.webhooks.delivered) == 3)


def test_what_is_given_up_is_kept_and_retry_sends_it(jobs, receiver: Receiver, monkeypatch):
    monkeypatch.setattr("tensorhop.orchestrator.jobs.webhooks.MOST_RETRIES", 1)
    receiver.statuses = [500] * 6
    job = jobs.SubmitJob(submission(webhook=receiver.url)).job
    wait_for(lambda: len(jobs.GetJob(pb.GetJobRequest(id=job.id)).job.webhooks.dead) == 3)
    assert jobs.GetJob(pb.GetJobRequest(id=job.id)).job.webhooks.message == "HTTP status 500"
    assert len(receiver.received) == 6
    jobs.RetryJob(pb.RetryJobRequest(id=job.id))
    wait_for(lambda: len(receiver.received) == 9)
    wait_for(lambda: not jobs.GetJob(pb.GetJobRequest(id=job.id)).job.webhooks.dead)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "fe80::1%1"),
    ],
)
def test_private_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com/", "http://", "http://[::1", "http://x:99999/", "http://user@8.8.8.8/"),
        *("http://8.8.8.8/a b", "http://127.0.0.1/", "http://localhost:8080/", "http://2130706433/", "http://[::1]/"),
        "http://8.8.8.8/" + "a" * 2000,
    ],
)
def test_urls_that_are_refused(url):
    with pytest.raises(InvalidInput, match="webhook is"):
        read_url(url, allow_private=False)


def test_a_private_webhook_is_refused_at_submit(address, tmp_path: Path):
    with (
        jobs_of(address, jobs_dir=tmp_path / "jobs", webhook_secret_file=secret_file(tmp_path)) as stub,
        pytest.raises(grpc.RpcError, match="not public; --allow-private-webhooks allows it"),
    ):
        stub.SubmitJob(submission(webhook="http://localhost/"))


def test_a_name_that_means_another_address_later_is_not_called(receiver: Receiver, monkeypatch):
    port = urlsplit(receiver.url).port
    answers = iter(["93.184.215.14", "127.0.0.1"])

    def rebinding(host, wanted, **more):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), wanted))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    parts = read_url(f"http://rebinding.example:{port}/", allow_private=False)
    with pytest.raises(PermissionError, match=r"127\.0\.0\.1, which is not public"):
        post(parts, b"{}", {}, allow_private=False)
    assert not receiver.received


def test_one_private_address_among_several_is_enough(monkeypatch):
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **more: both)
    with pytest.raises(PermissionError):
        checked_addresses(urlsplit("http://two.example/"), allow_private=False)


@pytest.mark.parametrize("text", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_!!!!"])
def test_a_secret_that_is_none(tmp_path: Path, text):
    (tmp_path / "secret").write_text(text)
    with pytest.raises(InvalidInput, match="--webhook-secret-file names"):
        read_secret(str(tmp_path / "secret"))
