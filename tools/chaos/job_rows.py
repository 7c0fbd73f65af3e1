"""Jobs: workers, Redis, the pipeline and receivers of webhooks that end, and many jobs at once."""

import argparse
import base64
import contextlib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from cluster import Cluster, Process, free_port
from google.protobuf.any_pb2 import Any as AnyMessage
from load import Tally, photos
from rows import Row
from standardwebhooks import Webhook

from bench_peers.redis_queue import server_path
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.jobs.redis_store import connect
from tensorhop.rpc.server import Server
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.v1 import jobs_pb2_grpc, pipeline_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

SECRET = "whsec_" + base64.b64encode(b"chaos" * 6).decode()
GUARD = 240.0  # seconds in which all jobs of a row must have ended
HOUR = 3600.0
COMPRESSED = 250.0  # times as fast as in life the pauses of webhooks are


class Office:
    """A Redis with an appended file, a server of jobs, and workers, each a process.

    Args:
        pipeline: its address.
        workers: how many start.
        parallel: jobs of each priority at once, of each worker.
        env: further variables of the server and of the workers.
    """

    def __init__(self, pipeline: str, workers: int = 1, parallel: int = 1, env: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tensorhop-chaos-")
        folder = Path(self._folder.name)
        (folder / "secret").write_text(SECRET)
        port = free_port("127.0.0.1")
        self.url = f"redis://127.0.0.1:{port}"
        words = ["--port", str(port), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        words += ["--maxmemory", "1gb", "--maxmemory-policy", "noeviction", "--dir", str(folder)]
        self.redis = Process(
            "redis", f"127.0.0.1:{port}", [server_path() or "redis-server", *words], {}, folder / "log"
        )
        variables = {
            "TENSORHOP_JOBS_REDIS": self.url,
            "TENSORHOP_JOBS_PARALLEL": str(parallel),
            "TENSORHOP_WEBHOOK_SECRET_FILE": str(folder / "secret"),
            "TENSORHOP_ALLOW_PRIVATE_WEBHOOKS": "true",
            **(env or {}),
        }
        command = [sys.executable, "-P", "-m", "tensorhop.orchestrator"]
        at = f"127.0.0.1:{free_port('127.0.0.1')}"
        serve = [*command, "serve", "jobs", "--listen", at, "--pipeline", pipeline]
        self.server = Process("jobs", at, serve, variables, folder / "jobs.log")
        self.workers = [
            Process(f"worker{one}", "", [*command, "worker", "--pipeline", pipeline], variables, folder / f"{one}.log")
            for one in range(workers)
        ]

    def __enter__(self) -> Self:
        try:
            self.start_redis()
            self.server.start()
            for worker in self.workers:
                worker.start()
            self.server.wait_healthy()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._channel = grpc.insecure_channel(self.server.address, [("grpc.max_receive_message_length", -1)])
        self.stub = jobs_pb2_grpc.JobServiceStub(self._channel)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in (*self.workers, self.server, self.redis):
            process.kill()
        self._folder.cleanup()

    def start_redis(self) -> None:
        """Start it, with its file, and wait until that is read."""
        self.redis.start()
        client = connect(self.url)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                if client.ping():
                    return
            time.sleep(0.05)
        raise RuntimeError("redis-server did not start")

    def submit(self, held: AnyMessage, **more: Any) -> str:
        """The id of a new job; an outage of the server or of Redis is waited for, as a caller would."""
        end = time.monotonic() + GUARD
        while True:
            try:
                return self.stub.SubmitJob(pb.SubmitJobRequest(request=held, **more)).job.id
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def record(self, job: str) -> pb.Job:
        while True:
            try:
                return self.stub.GetJob(pb.GetJobRequest(id=job)).job
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(0.2)

    def wait(self, job: str, *states: "pb.JobState") -> pb.Job:
        """The record, when it is in one of the states."""
        end = time.monotonic() + GUARD
        while (record := self.record(job)).state not in states and time.monotonic() < end:
            time.sleep(0.05)
        return record

    def names(self, job: str) -> list[str]:
        """What the events of a job are, each by its name and the index of its object."""
        found = []
        for one in self.stub.GetJobResults(pb.GetJobResultsRequest(id=job)):
            answer = pipeline_pb2.ProcessResponse()
            one.event.event.Unpack(answer)
            index = answer.object.detection.index if answer.HasField("object") else ""
            found.append(f"{one.event.name}{index}")
        return found

    def judge(self, jobs: Sequence[str]) -> Tally:
        """Wait until all jobs have ended. Lost: not done. Wrong: an event is missing, or comes twice."""
        tally = Tally(requests=len(jobs))
        for job in jobs:
            record = self.wait(job, *ENDED)
            if record.state != pb.JOB_STATE_DONE:
                tally.lost += 1
                tally.reasons[f"{pb.JobState.Name(record.state)}: {record.fault.message}"[:80]] += 1
            elif sorted(self.names(job)) != EXPECTED:
                tally.wrong += 1
                tally.reasons[" ".join(self.names(job))] += 1
        return tally


ENDED = (pb.JOB_STATE_DONE, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED, pb.JOB_STATE_DEAD)
EXPECTED = ["description", "detections", "object0", "object1", "summary"]


def request_of(photo: bytes) -> AnyMessage:
    held = AnyMessage()
    request = pipeline_pb2.ProcessRequest()
    request.image.encoded = photo
    held.Pack(request)
    return held


def jobs(arguments: argparse.Namespace) -> Iterator[Row]:
    """Workers, Redis and the pipeline are killed."""
    held = [request_of(photo) for photo in photos()]
    with Cluster(1, seconds=2.0) as cluster, Office(cluster.pipeline.address, workers=2) as office:
        yield worker_killed(office, held[0])
        yield pipeline_killed(office, cluster, held[1])
        yield poison(office, held[2])
    with Cluster(1) as cluster, Office(cluster.pipeline.address, workers=2) as office:
        yield redis_killed(office, held)
        yield twice(office, held)


def worker_killed(office: Office, held: AnyMessage) -> Row:
    """The only job is with one of two workers; the other one is idle."""
    job = office.submit(held)
    office.wait(job, pb.JOB_STATE_RUNNING)
    holder = holder_of(office)
    holder.kill()
    at = time.monotonic()
    while office.record(job).attempts < 2 and time.monotonic() < at + GUARD:
        time.sleep(0.05)
    took = time.monotonic() - at
    tally = office.judge([job])
    holder.start()
    problem = "" if took < 30 else f"the other worker had it only after {took:.0f} s"
    return Row("SIGKILL of a worker in mid-job", tally, recovered=took, note="until the other has it", problem=problem)


def holder_of(office: Office) -> Process:
    """The worker that has a call under way: it has a connection to the pipeline, and the other one may have none."""
    client = connect(office.url)
    acks = [key.decode() for key in client.keys("tensorhop:queue:__acks__.*.jobs-normal")]
    assert acks, "no worker has a job"
    return min(office.workers, key=lambda worker: idle(worker.pid))


def idle(pid: int) -> int:
    """Established connections of a process, negated: the worker that calls has more of them."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return -sum(link.startswith("socket:") for link in links)


def pipeline_killed(office: Office, cluster: Cluster, held: AnyMessage) -> Row:
    job = office.submit(held)
    office.wait(job, pb.JOB_STATE_RUNNING)
    time.sleep(2.5)
    cluster.pipeline.kill()
    at = time.monotonic()
    time.sleep(8)
    cluster.pipeline.start()
    tally = office.judge([job])
    note = f"started again after 8 s; {office.record(job).attempts} attempts"
    return Row("SIGKILL of the pipeline in mid-job", tally, recovered=time.monotonic() - at, note=note)


def poison(office: Office, held: AnyMessage) -> Row:
    """A job at which each worker ends, whichever takes it."""
    at = time.monotonic()
    job = office.submit(held)
    killed = 0
    while (record := office.record(job)).state not in ENDED and time.monotonic() < at + GUARD:
        if record.state == pb.JOB_STATE_RUNNING and record.attempts > killed:
            for worker in office.workers:
                worker.kill()
                worker.start()
            killed = record.attempts
        time.sleep(0.05)
    after = office.judge([office.submit(held)])  # the next one runs
    told = record.state == pb.JOB_STATE_DEAD
    problem = "" if told else f"it ended as {pb.JobState.Name(record.state)}"
    note = f"dead after {record.attempts} attempts and {time.monotonic() - at:.0f} s: {record.fault.message}"
    after.requests += 1
    return Row("a job at which every worker ends", after, int(told), note=note, problem=problem)


def redis_killed(office: Office, held: Sequence[AnyMessage]) -> Row:
    """Submissions go on meanwhile."""
    stop, found = threading.Event(), list[str]()

    def submit_on() -> None:
        while not stop.is_set():
            found.append(office.submit(held[len(found) % len(held)]))

    with ThreadPoolExecutor(2) as threads:
        going = [threads.submit(submit_on) for _ in range(2)]
        time.sleep(2)
        office.redis.kill()
        at = time.monotonic()
        time.sleep(3)
        office.start_redis()
        back = len(found)
        while len(found) == back and time.monotonic() < at + 60:
            time.sleep(0.05)
        recovered = time.monotonic() - at
        time.sleep(1)
        stop.set()
        for one in going:
            one.result()
    tally = office.judge(found)
    return Row("SIGKILL of Redis, started again with its file after 3 s", tally, recovered=recovered)


def twice(office: Office, held: Sequence[AnyMessage]) -> Row:
    """Each key is submitted four times at once."""
    keys = [f"key {number}" for number in range(25)] * 4
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda key: office.submit(held[int(key[4:]) % len(held)], idempotency_key=key), keys))
    tally = office.judge([*dict.fromkeys(found)])
    attempts = sum(office.record(job).attempts for job in dict.fromkeys(found))
    problem = "" if (tally.requests, attempts) == (25, 25) else f"{tally.requests} jobs, {attempts} attempts"
    return Row("100 submissions with 25 keys", tally, note="25 jobs, each run once", problem=problem)


class Receiver:
    """A receiver of webhooks that answers 503 for a while; what it accepted, by id."""

    def __init__(self, seconds: float) -> None:
        self.accepted: Counter[str] = Counter()
        self.refused = 0
        receiver, until = self, time.monotonic() + seconds

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                up = time.monotonic() > until
                if up:
                    Webhook(SECRET).verify(body, dict(self.headers))
                    receiver.accepted[self.headers["webhook-id"]] += 1
                else:
                    receiver.refused += 1
                self.send_response(204 if up else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def webhooks(arguments: argparse.Namespace) -> Iterator[Row]:
    """The receiver is down for an hour; all pauses are 250 times as short as in life."""
    env = {"TENSORHOP_WEBHOOK_PAUSE": f"{1000 * 5 / COMPRESSED:.0f}ms"}
    with Cluster(1) as cluster, Office(cluster.pipeline.address, parallel=4, env=env) as office:
        receiver = Receiver(HOUR / COMPRESSED)
        held = [request_of(photo) for photo in photos()]
        found = [office.submit(held[n % len(held)], webhook=receiver.url) for n in range(20)]
        tally = office.judge(found)
        wanted, end = 3 * len(found), time.monotonic() + GUARD  # two objects and the end
        while len(receiver.accepted) < wanted and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1)
        receiver.close()
        again = sum(receiver.accepted.values()) - len(receiver.accepted)
        problem = "" if len(receiver.accepted) == wanted and not again else f"{len(receiver.accepted)} of {wanted} came"
        note = f"{wanted} webhooks came, none twice, after {receiver.refused} refusals"
        yield Row("a receiver of webhooks is down for an hour, 250 times as fast", tally, note=note, problem=problem)


def many_jobs(arguments: argparse.Namespace) -> Iterator[Row]:
    """As many jobs as --jobs says are queued before the first worker starts; one in 50 is a photo."""
    held = [request_of(photo) for photo in photos()]
    refused = pipeline_pb2.ProcessRequest()
    refused.image.path = "nowhere.jpg"
    short = AnyMessage()
    short.Pack(refused)
    count = arguments.jobs
    with Cluster(1, seconds=0.0) as cluster, Office(cluster.pipeline.address, workers=2, parallel=4) as office:
        for worker in office.workers:
            worker.kill()
        before, at = office.server.resident(), time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda n: office.submit(short if n % 50 else held[n // 50 % 4]), range(count)))
        queued = time.monotonic() - at
        memory = connect(office.url).info("memory")["used_memory"] / 2**20
        at = time.monotonic()
        for worker in office.workers:
            worker.start()
        tally = office.judge(found[::50])
        end = time.monotonic() + arguments.jobs / 10
        while (left := waiting(office)) and time.monotonic() < end:
            time.sleep(0.5)
        took = time.monotonic() - at
        failed = sum(office.record(job).state == pb.JOB_STATE_FAILED for n, job in enumerate(found) if n % 50)
        wanted = count - len(found[::50])
        tally.requests = count
        largest = max(worker.resident() for worker in office.workers)
        note = (
            f"queued in {queued:.0f} s, run in {took:.0f} s; Redis {memory:.0f} MiB, the server grew by "
            f"{office.server.resident() - before:.0f} MiB, a worker has {largest:.0f} MiB"
        )
        problem = "" if failed == wanted and not left else f"{failed} of {wanted} were refused, {left} are left"
        yield Row(f"{count:,} jobs queued", tally, failed, note=note, problem=problem)


def waiting(office: Office) -> int:
    return int(connect(office.url).zcard("tensorhop:jobs:unfinished"))


class SlowChain:
    """A pipeline that takes as long as it is told for one photo, and answers an object every ten seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self.calls = seconds, 0

    def Process(self, packet: Packet, context: grpc.ServicerContext) -> Iterable[Packet]:
        self.calls += 1
        end, index = time.monotonic() + self._seconds, 0
        while time.monotonic() < end and context.is_active():
            made = pipeline_pb2.ObjectResult(picture=pipeline_pb2.Picture(encoded=b"-"))
            made.detection.index = index
            yield Packet(pipeline_pb2.ProcessResponse(object=made), Payloads())
            time.sleep(min(10.0, self._seconds))
            index += 1
        yield Packet(pipeline_pb2.ProcessResponse(summary=pipeline_pb2.Summary()), Payloads())


def long_job(arguments: argparse.Namespace) -> Iterator[Row]:
    """A job as long as --job-seconds says, and short ones behind it."""
    chain = SlowChain(arguments.job_seconds)
    server = Server(PIPELINE, chain, "127.0.0.1:0")
    try:
        with Office(server.address, workers=2) as office:
            job = office.submit(request_of(b"-"))
            end = time.monotonic() + arguments.job_seconds + 30
            while (record := office.record(job)).state not in ENDED and time.monotonic() < end:
                time.sleep(0.5)
            names = office.names(job)
            good = record.state == pb.JOB_STATE_DONE and len(set(names)) == len(names) and chain.calls == 1
            problem = "" if good else f"{pb.JobState.Name(record.state)}, {chain.calls} calls"
            note = f"one attempt, {len(names)} events"
            yield Row(f"a job of {arguments.job_seconds:.0f} s", Tally(requests=1), note=note, problem=problem)
    finally:
        server.stop(0).wait()
