"""`tensorhop run`: photos in, cut-outs, an overview and a summary out; several photos at once."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tensorhop.client.call import is_own
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import Abandoned, InvalidInput, ServiceFault
from tensorhop.files import CannotWrite
from tensorhop.orchestrator.chain.pixel_budget import PixelBudget
from tensorhop.orchestrator.run import summary
from tensorhop.orchestrator.run.own_options import JOBS
from tensorhop.orchestrator.run.photo import Listener, PhotoFailed, process_photo
from tensorhop.orchestrator.run.photo_request import PhotoRequest, PhotoTask
from tensorhop.orchestrator.run.reporter import Reporter
from tensorhop.v1 import fault_pb2

log = logging.getLogger(__name__)

DONE, FAILED, WRONG, NOTHING, UNREACHABLE = 0, 1, 2, 3, 4  # exit codes
CODES = {summary.DONE: DONE, summary.NOTHING: NOTHING, summary.FAILED: FAILED}
WINDOW = 4  # photos that may be begun but not reported, for each job
POLL_SECONDS = 0.1  # a signal does not wake a thread from a lock
STOP_SECONDS = 5.0  # how long a photo under way may take to notice that the run is over

Note = Callable[[], None]  # something to report


class Stopped(Abandoned):
    """The run is over before this photo is."""

    def __init__(self) -> None:
        super().__init__("the run ended before this photo was done")


@dataclass
class Item:
    """A photo on its way."""

    task: PhotoTask
    notes: queue.SimpleQueue[Note | None] = field(default_factory=queue.SimpleQueue)  # None ends them
    code: int | None = None  # its exit code; None if it was stopped


def run(
    tasks: Iterable[PhotoTask],
    client: PipelineClient,
    reporter: Reporter,
    *,
    jobs: int = JOBS,
    resume: bool = False,
    fail_fast: bool = False,
) -> int:
    """Process the tasks, `jobs` at once, and report them in their order; returns the exit code.

    Tasks are asked for only a few ahead of those that are reported. A run that ends early, by an exception too, closes
    the client, which cancels what is under way.
    """
    workers = Workers(client, reporter, resume, fail_fast)
    workers.start(tasks, jobs)
    codes = set()
    try:
        while (item := workers.next(workers.order)) is not None:
            if isinstance(item, OSError):
                reporter.trouble(f"the manifest cannot be read on: {item}")
                codes.add(FAILED)
                continue
            if isinstance(item, Exception):
                raise item
            while (note := workers.next(item.notes)) is not None:
                note()
            codes.add(item.code)
            workers.room.release()
    except BaseException:
        workers.stop()
        raise
    finally:
        workers.join()
    return next((code for code in (UNREACHABLE, WRONG, FAILED, NOTHING) if code in codes), DONE)


class Workers:
    """Threads that work on photos while the main thread reports them."""

    def __init__(self, client: PipelineClient, reporter: Reporter, resume: bool, fail_fast: bool) -> None:
        self.client, self.reporter, self.resume, self.fail_fast = client, reporter, resume, fail_fast
        self.order: queue.SimpleQueue[Item | Exception | None] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.room = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.stopped_at: float | None = None
        self.budget = PixelBudget()

    def start(self, tasks: Iterable[PhotoTask], jobs: int) -> None:
        self.room.release(WINDOW * jobs)
        # Daemons: one that waits for standard input must not keep the process alive.
        threading.Thread(target=self._feed, args=(tasks, jobs), daemon=True, name="feed").start()
        self.threads = [threading.Thread(target=self._work, daemon=True, name=f"job-{n}") for n in range(jobs)]
        for thread in self.threads:
            thread.start()

    def next(self, source: queue.SimpleQueue[Any]) -> Any:
        """The next of a queue; None when it is at its end, or when nothing comes any more after a stop."""
        while True:
            try:
                return source.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self.stopped_at is None:
                    continue
                if source in (self.order, self.ready) or time.monotonic() > self.stopped_at + STOP_SECONDS:
                    return None

    def stop(self) -> bool:
        """End the run early; whether this is the call that did."""
        with self.lock:
            if self.stopped_at is not None:
                return False
            self.stopped_at = time.monotonic()
        self.client.close()
        return True

    def join(self) -> None:
        """Wait until no thread works any more."""
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def check(self) -> None:
        if self.stopped_at is not None:
            raise Stopped

    def _feed(self, tasks: Iterable[PhotoTask], jobs: int) -> None:
        try:
            for task in tasks:
                self.room.acquire()
                if self.stopped_at is not None:
                    break
                item = Item(task)
                self.ready.put(item)
                self.order.put(item)
        except Exception as error:  # the manifest breaks off
            self.order.put(error)
        self.order.put(None)
        for _ in range(jobs):
            self.ready.put(None)

    def _work(self) -> None:
        while (item := self.next(self.ready)) is not None:
            try:
                self._process(item)
            finally:
                if item.code is None:
                    item.notes.put(partial(self.reporter.stopped, item.task))
                item.notes.put(None)

    def _process(self, item: Item) -> None:
        task, began, disk_ends = item.task, time.monotonic(), False

        def say(report: Callable[..., None], *arguments: Any) -> None:
            item.notes.put(partial(report, task, *arguments))

        def room(pixels: int) -> AbstractContextManager[None]:
            return self.budget.room(pixels, self.check)

        listener = Listener(partial(say, self.reporter.start), partial(say, self.reporter.event), self.check, room)
        try:
            self.check()
            if isinstance(task.wanted, InvalidInput):
                raise task.wanted
            outcome = process_photo(task.photo, task.wanted, self.client, self.resume, listener)
            code = CODES[outcome["status"]]
        except Exception as error:
            cause = error.__cause__ if isinstance(error, PhotoFailed) and error.__cause__ else error
            assert isinstance(cause, Exception)
            if self.stopped_at is not None:
                return
            code, row = failure_of(cause)
            if isinstance(task.wanted, PhotoRequest):
                row |= {name: task.wanted.in_own_words(row[name]) for name in ("field", "message")}
            code = FAILED if task.line and code == WRONG else code  # the line is wrong, not the command
            seconds = round(time.monotonic() - began, 3)
            outcome = {"image": task.photo.name, "status": summary.FAILED, "files": [], "seconds": seconds}
            if isinstance(error, PhotoFailed):
                outcome["files"] = error.files
                row |= {"kept": error.kept} if error.kept else {}
            outcome["events"] = [row]
            disk_ends = isinstance(cause, CannotWrite) and cause.ends_run
        ends = code == UNREACHABLE or disk_ends or (self.fail_fast and code in (FAILED, WRONG))
        if ends and not self.stop():
            return  # another photo has ended the run
        item.code = code
        say(self.reporter.end, outcome)


def failure_of(error: Exception) -> tuple[int, dict[str, Any]]:
    """The exit code for a photo that failed as a whole, and the event that says so."""
    fault = summary.fault_from(error)
    if isinstance(error, ServiceFault):
        return code_of(fault), summary.error_row(fault)
    if fault.code == fault_pb2.CODE_INTERNAL and not isinstance(error, OSError):
        log.error("a photo failed", exc_info=error)
    return FAILED, summary.error_row(fault)


def code_of(fault: fault_pb2.Fault) -> int:
    """The exit code for a request that failed as a whole."""
    unreachable = (fault_pb2.CODE_UNAVAILABLE, fault_pb2.CODE_UNAUTHENTICATED)
    if fault.code in unreachable and is_own(fault):
        return UNREACHABLE  # no step's fault: the chain itself did not answer, or did not let us in
    if fault.code == fault_pb2.CODE_INVALID_ARGUMENT and not fault.field.startswith(("image", "panoramas")):
        return WRONG  # an option, not the picture
    return FAILED
