"""JobService: the gRPC front of jobs."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import grpc
from blake3 import blake3
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from tensorhop.client.jobs import PREFIX, STATES
from tensorhop.client.remotes import Remotes
from tensorhop.errors import InvalidInput, Overloaded, ServiceFault
from tensorhop.orchestrator.jobs.chains import method_of, method_of_chain, packed, repeatable, without_pixels
from tensorhop.orchestrator.jobs.identity import expires_at, missing, new_id, refusal, submitted_at
from tensorhop.orchestrator.jobs.queue import Queue
from tensorhop.orchestrator.jobs.runner import Runner, end_cancelled, end_key
from tensorhop.orchestrator.jobs.store import UNFINISHED, StoredEvent, open_store
from tensorhop.orchestrator.jobs.webhooks import Webhooks
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.wire.codec import Packet, decode
from tensorhop.wire.messages import read_choice
from tensorhop.wire.payloads import Payloads

M = TypeVar("M", bound=Message)
LONGEST_KEY = 200  # characters
LONGEST_LIFE = 30 * 86_400  # seconds
MOST_LISTED, LISTED = 100, 50
LOOK_SECONDS = 0.2  # between two looks at a job that is watched
SWEEP_SECONDS = 30.0  # between two looks for what has expired, and for jobs whose message was lost
FULL_SECONDS = 10.0  # after which a full queue may have room

log = logging.getLogger(__name__)


class Jobs:
    """The store, the queue and what runs their jobs: what a server and a worker have in common.

    Args:
        chains: addresses by the chain's name; the default address of each that is not among them.

    Raises:
        InvalidInput: the store, the queue, the secret or an address cannot be used.
    """

    def __init__(self, chains: Mapping[str, str] | None = None, settings: Settings | None = None) -> None:
        self.settings = settings = settings or current_settings()
        self.store = open_store(settings)
        self.webhooks = Webhooks(self.store, settings)
        self._remotes = Remotes(chains or {}, settings=settings)
        self._runner = Runner(self.store, self._remotes)
        self.queue = Queue(settings.jobs_redis, self._runner.run, self.webhooks.deliver, settings.webhook_pause)
        self._runner.queue = self.queue

    def work(self) -> None:
        """Begin to run jobs and to deliver webhooks, in threads."""
        self.queue.work(self.settings.jobs_parallel)

    def close(self) -> None:
        """Give back what is under way, and stop."""
        self._runner.stop()
        self.queue.close()
        self._remotes.close()
        self.store.close()


class JobServicer:
    """Takes jobs. Where their queue is in this process, it also runs them; otherwise workers do.

    Args:
        chains: as of `Jobs`, and so are the errors.
    """

    def __init__(self, chains: Mapping[str, str] | None = None, settings: Settings | None = None) -> None:
        self._jobs = Jobs(chains, settings)
        self._store, self._queue = self._jobs.store, self._jobs.queue
        self._settings = self._jobs.settings
        self._stopped = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="jobs", daemon=True)
        if self._queue.in_process:
            for job in self._store.unfinished():
                self._put_again(job)
            self._jobs.work()
        self._sweeper.start()

    def close(self) -> None:
        """Stop, and give jobs back that are under way."""
        self._stopped.set()
        self._sweeper.join()
        self._jobs.close()

    def SubmitJob(
        self, packet: Packet[pb.SubmitJobRequest], context: grpc.ServicerContext
    ) -> Packet[pb.SubmitJobResponse]:
        request, payloads = packet
        method = method_of(request.request.type_url, request.chain)
        data = bytes(payloads.get(request.request.value))
        asked = decode(method.request, data).message  # refuses what is no such message
        seconds = self._read_life(request)
        key = request.idempotency_key
        if len(key) > LONGEST_KEY:
            raise InvalidInput("idempotency_key", f"has {len(key)} characters; at most {LONGEST_KEY} are allowed")
        priority = read_choice(pb.JobPriority, request.priority, "priority") or "normal"
        if request.webhook:
            self._check_webhook(request.webhook)
        job = pb.Job(
            id=new_id(seconds),
            chain=method.chain.name,
            state=pb.JOB_STATE_QUEUED,
            priority=f"JOB_PRIORITY_{priority.upper()}",
            idempotency_key=key,
        )
        if request.webhook:
            job.webhooks.url = request.webhook
        job.submitted.FromMilliseconds(int(1000 * submitted_at(job.id)))
        job.expires.FromSeconds(int(expires_at(job.id)))
        waiting = self._store.waiting()
        if waiting >= self._settings.max_jobs:
            raise Overloaded(f"{waiting:,} jobs are unfinished, the most that may be; try again later", FULL_SECONDS)
        digest = digest_of(request, method.chain.name, data)
        claim = self._store.create(job, data + repeatable(method, asked, job.id), digest)
        if claim.job == job.id:
            self._queue.put(job)
        elif claim.digest != digest:
            raise refusal(
                fault_pb2.CODE_ALREADY_EXISTS,
                "idempotency_key",
                f"is {key!r}, which job {claim.job} has with another request; use another key",
            )
        return _answer(pb.SubmitJobResponse(job=self._read(claim.job)))

    def GetJob(self, packet: Packet[pb.GetJobRequest], context: grpc.ServicerContext) -> Packet[pb.GetJobResponse]:
        return _answer(pb.GetJobResponse(job=self._read(packet.message.id)))

    def WatchJob(
        self, packet: Packet[pb.WatchJobRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.WatchJobResponse]]:
        job, index = packet.message.id, read_index(packet.message.first_event)
        told: pb.Job | None = None
        for record in self._records(job, context):
            ended = record.state not in UNFINISHED
            if told is None or not (ended or record == told):  # the job comes first, also one that has ended
                yield _answer(pb.WatchJobResponse(job=record))
            for at, event in self._events(record, index):
                message = without_pixels(decode(method_of_chain(record.chain).response, event.data).message)
                made = pb.JobEvent(index=at, name=event.name, event=packed(message))
                yield _answer(pb.WatchJobResponse(event=made))
                index = at + 1
            if ended:
                yield _answer(pb.WatchJobResponse(job=record))
                return
            told = record

    def GetJobResults(
        self, packet: Packet[pb.GetJobResultsRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.GetJobResultsResponse]]:
        job, index = packet.message.id, read_index(packet.message.first_event)
        for record in self._records(job, context):
            url = PREFIX + method_of_chain(record.chain).descriptor.output_type.full_name
            for at, event in self._events(record, index):
                payloads = Payloads()
                held = AnyMessage(type_url=url, value=payloads.put(event.data))
                made = pb.JobEvent(index=at, name=event.name, event=held)
                yield Packet(pb.GetJobResultsResponse(event=made), payloads)
                index = at + 1
            if record.state not in UNFINISHED:
                if record.state == pb.JOB_STATE_CANCELLED:
                    raise refusal(fault_pb2.CODE_ABORTED, "id", f"is {job!r}, a job that was cancelled")
                if record.state != pb.JOB_STATE_DONE:
                    raise ServiceFault(record.fault)
                return

    def CancelJob(
        self, packet: Packet[pb.CancelJobRequest], context: grpc.ServicerContext
    ) -> Packet[pb.CancelJobResponse]:
        job = packet.message.id
        record = self._change(job, end_cancelled)
        if record.state != pb.JOB_STATE_CANCELLED:
            raise refusal(fault_pb2.CODE_FAILED_PRECONDITION, "id", f"is {job!r}, a job that is {STATES[record.state]}")
        if record.webhooks.url and end_key(record) not in record.webhooks.delivered:
            self._queue.put_webhook(job, end_key(record))
        return _answer(pb.CancelJobResponse(job=record))

    def ListJobs(
        self, packet: Packet[pb.ListJobsRequest], context: grpc.ServicerContext
    ) -> Packet[pb.ListJobsResponse]:
        request = packet.message
        read_choice(pb.JobState, request.state, "state")
        size = request.page_size or LISTED
        if not 1 <= size <= MOST_LISTED:
            raise InvalidInput("page_size", f"is {size}; it must be from 1 to {MOST_LISTED}")
        answer, before = pb.ListJobsResponse(), request.page_token
        while len(answer.jobs) < size and (found := self._store.jobs(before, MOST_LISTED)):
            for before in found:
                record = self._store.read(before)
                if record is None or request.state not in (0, record.state):
                    continue
                if record.HasField("webhooks"):
                    record.webhooks.ClearField("delivered")
                answer.jobs.append(record)
                if len(answer.jobs) == size:
                    answer.next_page_token = before if self._store.jobs(before, 1) else ""
                    break
        return _answer(answer)

    def RetryJob(
        self, packet: Packet[pb.RetryJobRequest], context: grpc.ServicerContext
    ) -> Packet[pb.RetryJobResponse]:
        job, dead = packet.message.id, list[str]()

        def begin_anew(one: pb.Job) -> bool:
            dead[:] = one.webhooks.dead
            if one.state == pb.JOB_STATE_DONE and dead:
                del one.webhooks.dead[:]
                return True
            if one.state in (*UNFINISHED, pb.JOB_STATE_DONE):
                raise refusal(
                    fault_pb2.CODE_FAILED_PRECONDITION,
                    "id",
                    f"is {job!r}, a job that is {STATES[one.state]}; those that failed, are dead or were cancelled can "
                    "be run again",
                )
            one.state, one.attempts = pb.JOB_STATE_QUEUED, 0
            one.ClearField("fault")
            one.ClearField("ended")
            return True

        record = self._change(job, begin_anew)
        if record.state in UNFINISHED:
            self._queue.put(record)
        for key in dead:
            self._queue.put_webhook(job, key)
        return _answer(pb.RetryJobResponse(job=record))

    def _read(self, job: str) -> pb.Job:
        """The record. Raises ServiceFault: there is none."""
        record = self._store.read(job)
        if record is None:
            raise missing(job)
        return record

    def _change(self, job: str, change: Callable[[pb.Job], bool]) -> pb.Job:
        record = self._store.change(job, change)
        if record is None:
            raise missing(job)
        return record

    def _records(self, job: str, context: grpc.ServicerContext) -> Iterator[pb.Job]:
        """The record as it is, and again and again, until the caller has gone."""
        while context.is_active():
            yield self._read(job)
            if self._stopped.wait(LOOK_SECONDS):
                raise ConnectionError("the server of the jobs stops")

    def _events(self, record: pb.Job, first: int) -> Iterator[tuple[int, StoredEvent]]:
        """The events that there are from an index on."""
        for index in range(first, record.events):
            event = self._store.event(record.id, index)
            if event is None:
                raise missing(record.id)
            yield index, event

    def _read_life(self, request: pb.SubmitJobRequest) -> int:
        if not request.HasField("time_to_live"):
            return self._settings.jobs_seconds
        seconds = request.time_to_live.seconds
        if not 1 <= seconds <= LONGEST_LIFE:
            raise InvalidInput("time_to_live", f"is {seconds} s; it must be from 1 s to 30 days")
        return int(seconds)

    def _check_webhook(self, url: str) -> None:
        if not self._jobs.webhooks.signs:
            raise refusal(
                fault_pb2.CODE_FAILED_PRECONDITION,
                "webhook",
                "needs a secret to sign with, and this server has none; start it with --webhook-secret-file",
            )
        self._jobs.webhooks.check(url)

    def _sweep(self) -> None:
        """Remove what has expired, and queue jobs again whose message was lost, as by a Redis without a file."""
        while True:
            try:
                self._store.remove_expired()
                if not self._queue.in_process:
                    known, late = self._queue.known(), time.time() - SWEEP_SECONDS
                    for job in self._store.unfinished():
                        if job not in known and submitted_at(job) < late:
                            self._put_again(job)
            except Exception as error:  # whatever a store raises; it may be back at the next look
                log.warning("the store of the jobs: %s", error)
            if self._stopped.wait(SWEEP_SECONDS):
                return

    def _put_again(self, job: str) -> None:
        record = self._store.read(job)
        if record is not None and record.state in UNFINISHED:
            self._queue.put(record)


def digest_of(request: pb.SubmitJobRequest, chain: str, data: bytes) -> str:
    """Of all that makes two requests with one idempotency key the same."""
    rest = pb.SubmitJobRequest()
    rest.CopyFrom(request)
    rest.ClearField("request")
    rest.chain = chain
    return blake3(rest.SerializeToString(deterministic=True) + data).hexdigest()


def read_index(index: int) -> int:
    if index < 0:
        raise InvalidInput("first_event", f"is {index}; it must be at least 0")
    return index


def _answer(message: M) -> Packet[M]:
    return Packet(message, Payloads())
