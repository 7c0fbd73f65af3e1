"""Memory that processes of one host share: slots, each a file in /dev/shm that its owner lends to services it calls.

A slot's life: an owner's `Pool` makes it and hands it to the `Loan` of a request. Each call that refers to it runs
inside `Carrying`. A service reads and writes it in place, through its `Attachments`. The owner uses a slot again only
if every call that carried it ended with the service's own status. Otherwise a handler may still be using it, so the
file is unlinked and never written again.
"""

import contextlib
import mmap
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import grpc

from tensorhop.errors import InvalidInput, NotShared
from tensorhop.observe import metrics
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import tensor_pb2 as pb
from tensorhop.wire.calls import code_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUPPORTED = fcntl is not None and hasattr(os, "posix_fallocate")  # elsewhere, messages carry all bytes
NAME = re.compile(r"tensorhop-[0-9a-f]{32}")
SMALLEST = 64 * 1024  # bytes of a slot; smaller tensors are as fast inside the message
OWN_STATUS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)  # no proxy or client makes these
POPULATE = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)  # map all pages now, not one by one when touched


class Slot:
    """A mapped file of shared memory. Its owner holds a lock on it until the owner closes it or dies."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.name, self.size = path, path.name, size
        self._calls = 0  # calls that carry it and have not ended with the service's own status
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._file).st_nlink == 0:
                raise FileNotFoundError(f"{path} was removed as an orphan before it was locked")
            os.posix_fallocate(self._file, 0, size)  # fails on a full tmpfs; a later write would kill the process
            self.memory = memoryview(mmap.mmap(self._file, size, POPULATE))
        except OSError:
            self.unlink()
            raise

    def part(self, offset: int, size: int) -> pb.SharedMemory:
        """The reference to some of the slot's bytes."""
        return pb.SharedMemory(name=self.name, offset=offset, size=size)

    def enter(self) -> None:
        """Count a call that carries the slot, when it starts."""
        with self._lock:
            self._calls += 1

    def leave(self) -> None:
        """Discount a call that has ended with the service's own status: its handler is done."""
        with self._lock:
            self._calls -= 1

    @property
    def tainted(self) -> bool:
        """Whether a handler may still be using the slot."""
        return self._calls > 0

    def unlink(self) -> None:
        """Remove the file. Processes that have it mapped keep their view; the last one to unmap it frees the memory."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)


class Pool:
    """An owner's slots. They are reused, since a fresh one costs as much as sending its bytes.

    Args:
        folder: of the files.
        most: the largest number of bytes of all slots together.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._free: list[Slot] = []
        self._used = 0
        self._closed = False
        self._lock = threading.Lock()
        metrics.watch_pool(self)
        if SUPPORTED:
            remove_orphans(folder)

    @classmethod
    def of(cls, settings: Settings | None = None) -> Self:
        """A pool in the folder and of the size that settings state; this process's if not given."""
        settings = settings or current_settings()
        return cls(Path(settings.shm_dir), settings.shm_bytes)

    @property
    def used(self) -> int:
        """Bytes of all slots."""
        return self._used

    @property
    def lent(self) -> int:
        """Bytes of the slots that requests have borrowed."""
        with self._lock:
            return self._used - sum(slot.size for slot in self._free)

    def take(self, size: int) -> Slot | None:
        """A slot of at least `size` bytes; None if there is no room, or shared memory is unsupported or no faster."""
        size = rounded(size) if size >= SMALLEST else 0
        if not 0 < size <= self.most or not SUPPORTED:
            return None
        with self._lock:
            fitting = [slot for slot in self._free if size <= slot.size <= 2 * size]
            if fitting:
                best = min(fitting, key=lambda slot: slot.size)
                self._free.remove(best)
                return best
            while self._free and self._used + size > self.most:
                self._discard(self._free.pop(0))
            if self._used + size > self.most:
                return None
            self._used += size
        try:
            return Slot(self.folder / f"tensorhop-{secrets.token_hex(16)}", size)
        except OSError:  # the folder is full or does not exist
            with self._lock:
                self._used -= size
            return None

    def give_back(self, slot: Slot) -> None:
        """Keep a slot for the next caller; a tainted one is unlinked instead."""
        with self._lock:
            if slot.tainted or self._closed:
                self._discard(slot)
            else:
                self._free.append(slot)

    def close(self) -> None:
        """Remove the files of all free slots, and those of lent slots when they come back."""
        with self._lock:
            self._closed = True
            for slot in self._free:
                self._discard(slot)
            self._free.clear()

    def _discard(self, slot: Slot) -> None:
        self._used -= slot.size
        slot.unlink()


class Loan:
    """The slots that one request, or a part of it, has borrowed from a pool, until it ends."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._slots: list[Slot] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close()

    def borrow(self, size: int) -> Slot | None:
        """A slot of at least `size` bytes; None if the pool has none."""
        slot = self._pool.take(size)
        if slot is not None:
            with self._lock:
                self._slots.append(slot)
        return slot

    def give_back(self, slots: Iterable[Slot]) -> None:
        """Give slots back before the request ends, when nobody reads or writes them any more."""
        for slot in slots:
            with self._lock:
                self._slots.remove(slot)
            self._pool.give_back(slot)

    def close(self) -> None:
        """Give all slots back, when no call is in flight any more."""
        self.give_back(list(self._slots))


class Carrying:
    """The context of a call that refers to slots. They are tainted until the call ends with the service's own status.

    That is the service's last answer, or a status that no proxy or client makes. After a cancel, a deadline or a broken
    connection, the slots stay tainted.
    """

    __slots__ = ("_slots",)

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots

    def __enter__(self) -> None:
        for slot in self._slots:
            slot.enter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or (isinstance(error, grpc.RpcError) and code_of(error) in OWN_STATUS):
            for slot in self._slots:
                slot.leave()


def rounded(size: int) -> int:
    """A size rounded up to one of four sizes between two powers of two, so that a slot fits more than one use."""
    step = max(SMALLEST, 1 << max(0, size.bit_length() - 3))
    return -(-size // step) * step


def remove_orphans(folder: Path) -> None:
    """Unlink the slots of owners that have ended: nobody holds the lock on them."""
    for path in folder.glob("tensorhop-*"):
        if not NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(file)


# At the service.


class Attachments:
    """The slots of other processes that this process has mapped, the most recently used last."""

    MOST = 64

    def __init__(self) -> None:
        self._maps: OrderedDict[str, tuple[int, memoryview]] = OrderedDict()
        self._lock = threading.Lock()

    def view(self, part: pb.SharedMemory, field: str) -> memoryview:
        """The bytes that a reference names, writable.

        Raises:
            InvalidInput: it is malformed, or reaches beyond the slot.
            NotShared: this process cannot open the slot.
        """
        name, start = part.name, part.offset
        end = start + part.size
        with self._lock:
            if name not in self._maps:
                self._maps[name] = self._open(name, field)
            self._maps.move_to_end(name)
            file, memory = self._maps[name]
            size = min(os.fstat(file).st_size, memory.nbytes)  # its owner may have made it shorter
        if end > size:
            raise InvalidInput(field, f"is bytes {start} to {end} of a slot that has {size}")
        return memory[start:end]

    def _open(self, name: str, field: str) -> tuple[int, memoryview]:
        if not NAME.fullmatch(name):
            raise InvalidInput(f"{field}.name", f"is {name!r:.80}; it is tensorhop- and 32 hexadecimal digits")
        if not SUPPORTED:
            raise NotShared(field, "names a slot, and this platform has no shared memory")
        self._drop_dead()
        try:
            path = Path(current_settings().shm_dir) / name
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise NotShared(field, f"names a slot that cannot be opened here: {error.strerror}") from error
        try:
            if os.fstat(file).st_uid != os.getuid():
                raise NotShared(field, "names a slot of another user")
            return file, memoryview(mmap.mmap(file, 0, POPULATE))
        except (OSError, ValueError) as error:
            os.close(file)
            raise NotShared(field, f"names a slot that cannot be mapped here: {error}") from error
        except NotShared:
            os.close(file)
            raise

    def _drop_dead(self) -> None:
        """Drop slots that are unlinked, and the least recently used beyond MOST. Views in use keep their memory."""
        for name, (file, _) in list(self._maps.items()):
            if os.fstat(file).st_nlink == 0 or len(self._maps) >= self.MOST:
                del self._maps[name]
                os.close(file)


ATTACHMENTS = Attachments()
