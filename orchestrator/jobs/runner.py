"""Running one job: the public client of its chain, from the stored request to stored events."""

import logging
import threading
import time
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tensorhop.client.call import Call
from tensorhop.client.remotes import Remotes
from tensorhop.errors import InvalidInput, ServiceFault, fault_of
from tensorhop.orchestrator.jobs.chains import Method, method_of_chain, name_of
from tensorhop.orchestrator.jobs.identity import expires_at
from tensorhop.orchestrator.jobs.queue import Again, Queue
from tensorhop.orchestrator.jobs.store import UNFINISHED, Store, StoredEvent
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.retries import Retry
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.wire.codec import Packet, decode, encode

MOST_ATTEMPTS = 5
LONGEST_PAUSE = 60.0  # seconds between two attempts; the first is 1 s, and doubles
LOOK_SECONDS = 0.5  # between two looks at whether a job is still wanted
READY_SECONDS = 5.0  # to wait for a chain that does not answer; it costs the job no attempt
YIELD_SECONDS = 60.0  # for which a job lets those of a higher priority go first
# Faults that no further attempt changes. All others may pass: a chain that ends in the middle answers some of them.
LASTING = {
    fault_pb2.CODE_INVALID_ARGUMENT,
    fault_pb2.CODE_NOT_FOUND,
    fault_pb2.CODE_ALREADY_EXISTS,
    fault_pb2.CODE_PERMISSION_DENIED,
    fault_pb2.CODE_FAILED_PRECONDITION,
    fault_pb2.CODE_OUT_OF_RANGE,
    fault_pb2.CODE_UNIMPLEMENTED,
    fault_pb2.CODE_UNAUTHENTICATED,
}

log = logging.getLogger(__name__)


class Runner:
    """Runs jobs, in any number of threads.

    Args:
        remotes: the chains.
    """

    def __init__(self, store: Store, remotes: Remotes) -> None:
        self.queue: Queue  # set before the first job; it is made from `run`
        self._store, self._remotes = store, remotes
        self._running: dict[str, Call[Packet[Any]]] = {}
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="jobs", daemon=True)
        self._watcher.start()

    def run(self, job: str) -> None:
        """Run a job, unless it has ended. Raises Again: it is to be run again later."""
        record = self._store.read(job)
        if record is None or record.state not in UNFINISHED:
            self._tell_end(record)  # the worker that ended it may not have come to that
            return
        self._yield(record)
        try:
            method = method_of_chain(record.chain)
        except InvalidInput as error:
            self._fail(record, fault_of(error, "jobs"))
            return
        remote = self._remotes[record.chain]
        if not remote.ready(READY_SECONDS):
            self._store.change(job, lambda one: _waits(one, remote.address))
            raise Again(READY_SECONDS)
        record = self._store.change(job, _begin)
        if record is None or record.state != pb.JOB_STATE_RUNNING:
            self._tell_end(record)
            return
        try:
            self._call(record, method, remote)
        except ServiceFault as error:
            self._failed(record, error.fault)
        except InvalidInput as error:  # an answer that cannot be read
            self._failed(record, fault_of(error, record.chain))
        except KeyError:
            return  # its time to live has ended
        else:
            self._tell_end(self._store.change(job, lambda one: _end(one, pb.JOB_STATE_DONE)))

    def stop(self) -> None:
        """Give the jobs back that are under way, and begin none."""
        self._stopped.set()
        for call in list(self._running.values()):
            call.close()
        self._watcher.join()

    def _call(self, record: pb.Job, method: Method, remote: Remote) -> None:
        packet = decode(method.request, self._store.request(record.id))
        left = expires_at(record.id) - time.time()
        call = Call(remote, method.descriptor.name, packet, left, Retry(remote.ready), lambda answer: answer)
        del packet  # the call drops it as soon as it needs it no more
        self._running[record.id] = call
        try:
            if self._stopped.is_set():
                call.close()
            for answer in call:
                name = name_of(answer.message)
                self._store.add_event(record.id, StoredEvent(name.key, encode(answer)))
                if name.item:
                    self._tell(record, name.key)
        finally:
            self._running.pop(record.id, None)
            call.close()

    def _failed(self, record: pb.Job, fault: fault_pb2.Fault) -> None:
        """After an attempt that ended with a fault. Raises Again: another follows."""
        if self._stopped.is_set():
            self._store.change(record.id, _give_back)
            raise Again(0)
        if fault.code in LASTING or (fault.code == fault_pb2.CODE_RESOURCE_EXHAUSTED and not fault.retryable):
            self._fail(record, fault)
            return
        found = self._store.change(record.id, lambda one: _again(one, fault))
        if found is not None and found.state == pb.JOB_STATE_QUEUED:
            log.info("job %s failed, attempt %d: %s", record.id, found.attempts, fault.message)
            raise Again(min(LONGEST_PAUSE, 2.0 ** (found.attempts - 1)))
        self._tell_end(found)

    def _fail(self, record: pb.Job, fault: fault_pb2.Fault) -> None:
        self._tell_end(self._store.change(record.id, lambda one: _end(one, pb.JOB_STATE_FAILED, fault)))

    def _tell(self, record: pb.Job, key: str) -> None:
        if record.webhooks.url and key not in record.webhooks.delivered:
            self.queue.put_webhook(record.id, key)

    def _tell_end(self, record: pb.Job | None) -> None:
        if record is not None and record.state not in UNFINISHED:
            self._tell(record, end_key(record))

    def _yield(self, record: pb.Job) -> None:
        """Let jobs of a higher priority go first, for a while."""
        end = time.monotonic() + YIELD_SECONDS
        while self.queue.above(record.priority) and time.monotonic() < end:
            if self._stopped.wait(0.1):
                raise Again(0)

    def _watch(self) -> None:
        """End the calls of jobs that were cancelled, or whose time to live has ended."""
        while not self._stopped.wait(LOOK_SECONDS):
            for job, call in list(self._running.items()):
                try:
                    record = self._store.read(job)
                except Exception as error:  # whatever a store raises; it may be back at the next look
                    log.warning("the store of the jobs: %s", error)
                    break
                if record is None or record.state not in UNFINISHED:
                    call.close()


def end_key(record: pb.Job) -> str:
    """The key of the webhook that tells of a job's end; another one if the job was begun anew, and ended again."""
    return f"end-{record.ended.ToMilliseconds()}"


# Changes of a record.


def now() -> Timestamp:
    made = Timestamp()
    made.GetCurrentTime()
    return made


def _begin(job: pb.Job) -> bool:
    if job.state not in UNFINISHED:
        return False
    if job.attempts >= MOST_ATTEMPTS:  # the last one ended with its worker
        if not job.HasField("fault"):
            job.fault.CopyFrom(fault_pb2.Fault(code=fault_pb2.CODE_INTERNAL, service="jobs"))
            job.fault.message = f"its worker ended in each of {job.attempts} attempts"
        return _end(job, pb.JOB_STATE_DEAD)
    job.state, job.attempts = pb.JOB_STATE_RUNNING, job.attempts + 1
    job.started.CopyFrom(now())
    job.ClearField("fault")
    return True


def _waits(job: pb.Job, address: str) -> bool:
    if job.state not in UNFINISHED:
        return False
    message = f"{job.chain} at {address} does not answer; the job waits for it"
    job.fault.CopyFrom(
        fault_pb2.Fault(code=fault_pb2.CODE_UNAVAILABLE, service=job.chain, message=message, retryable=True)
    )
    job.state = pb.JOB_STATE_QUEUED
    return True


def _again(job: pb.Job, fault: fault_pb2.Fault) -> bool:
    if job.state not in UNFINISHED:
        return False
    if job.attempts >= MOST_ATTEMPTS:
        return _end(job, pb.JOB_STATE_DEAD, fault)
    job.state = pb.JOB_STATE_QUEUED
    job.fault.CopyFrom(fault)
    return True


def _give_back(job: pb.Job) -> bool:
    if job.state != pb.JOB_STATE_RUNNING:
        return False
    job.state, job.attempts = pb.JOB_STATE_QUEUED, job.attempts - 1
    return True


def _end(job: pb.Job, state: pb.JobState, fault: fault_pb2.Fault | None = None) -> bool:
    if job.state not in UNFINISHED:
        return False
    job.state = state
    job.ended.CopyFrom(now())
    if fault is not None:
        job.fault.CopyFrom(fault)
    elif state == pb.JOB_STATE_DONE:
        job.ClearField("fault")
    return True


def end_cancelled(job: pb.Job) -> bool:
    """The change by which a caller cancels a job."""
    return _end(job, pb.JOB_STATE_CANCELLED)
