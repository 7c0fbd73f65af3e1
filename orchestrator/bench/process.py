"""Processes of a benchmark: each is told by a pipe what to do, and ends when the pipe is closed."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

STOP_SECONDS = 20.0  # until a process that was asked to end is killed

# What a process runs: takes its arguments, and yields once it is ready. It gets a function, which answers questions,
# or None if it only has to be there.
Job = Callable[..., contextlib.AbstractContextManager[Any]]


class Process:
    """A child in which a job runs.

    A new interpreter, not a fork: gRPC's threads and the allocator's settings are not inherited. However the parent
    ends, its end of the pipe is closed, and so the child ends too.
    """

    def __init__(self, job: Job, *args: Any) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, job, args), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def ask(self, *question: Any) -> Any:
        """What the job's function answers. Raises what it raises."""
        self.pipe.send(question)
        return self.answer()

    def answer(self) -> Any:
        """What the child says next; the first is what its job yields, if that is no function."""
        try:
            answer = self.pipe.recv()
        except EOFError:
            raise ConnectionError("a process of the benchmark has ended; its message is above") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Ask the child to end, and see to it that it does."""
        self.pipe.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def work(pipe: Connection, job: Job, args: tuple[Any, ...]) -> None:
    """The child's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    try:
        with job(*args) as made:
            pipe.send(None if callable(made) else made)
            answer(pipe, made)
    except Exception as error:
        tell(pipe, error)


def answer(pipe: Connection, function: Callable[..., Any]) -> None:
    """Answer questions until the pipe is closed."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            question = pipe.recv()
            try:
                pipe.send(function(*question))
            except Exception as error:
                tell(pipe, error)


def tell(pipe: Connection, error: Exception) -> None:
    """Hand an error on as one that every process knows."""
    with contextlib.suppress(OSError):
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


@contextlib.contextmanager
def processes() -> Iterator[Callable[..., Process]]:
    """A function that starts a process, whose first answer is what its job yields; all are ended at the end."""
    with contextlib.ExitStack() as stack:

        def start(job: Job, *args: Any) -> Process:
            process = Process(job, *args)
            stack.callback(process.close)
            return process

        yield start
