"""System shared memory of the Open Inference Protocol: regions that callers own and register by name.

They are read and written by system calls, not mapped: a caller that makes its region shorter meanwhile, or a full
/dev/shm, then fails one call, where a mapping would kill this process.
"""

import contextlib
import os
import re
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.v1 import fault_pb2
from tensorhop.wire.shared_memory import NAME as SLOT

FOLDER = Path("/dev/shm")  # where POSIX shared memory is
KEY = re.compile(r"/?(?!\.{1,2}$)[^/\0]{1,200}")
MOST = 256  # regions
LONGEST = 256  # characters of a name
LOOPBACK = ("ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D", "unix:")  # how gRPC names peers on this machine


@dataclass(frozen=True)
class Region:
    """A registered part of a caller's file."""

    key: str
    offset: int
    size: int
    file: int  # its descriptor


class Regions:
    """The regions of all callers, by name.

    Args:
        service: name of the service whose faults these are.
        enabled: whether there is shared memory at all.
        tokens: whether every call has shown a token; otherwise only callers on this machine may use regions.
    """

    def __init__(self, service: str, enabled: bool, tokens: bool) -> None:
        self._service, self.enabled, self._tokens = service, enabled, tokens
        self._regions: dict[str, Region] = {}
        self._lock = threading.Lock()

    def check_allowed(self, context: grpc.ServicerContext) -> None:
        """Whether the caller may use regions.

        Raises:
            NotImplementedError: they are off.
            ServiceFault: PERMISSION_DENIED, the caller is on another machine and has no token.
        """
        if not self.enabled:
            raise NotImplementedError(
                f"shared memory of the Open Inference Protocol is off; start {self._service} with --oip-shm"
            )
        if not (self._tokens or context.peer().startswith(LOOPBACK)):
            raise self._fault(
                fault_pb2.CODE_PERMISSION_DENIED,
                "shared memory is for callers on this machine, or with a token (--token-file)",
            )

    def register(self, name: str, key: str, offset: int, size: int) -> None:
        """Make a part of a POSIX shared memory object known by a name.

        Raises:
            InvalidInput: a malformed name or key, or the part reaches beyond the object.
            ServiceFault: ALREADY_EXISTS, the name is taken; NOT_FOUND, there is no such object of this user;
                RESOURCE_EXHAUSTED, there are MOST already.
        """
        if not 0 < len(name) <= LONGEST:
            raise InvalidInput("name", f"has {len(name):,} characters; it must have from 1 to {LONGEST}")
        if not KEY.fullmatch(key):
            raise InvalidInput("key", f"is {key!r:.80}; it must name a POSIX shared memory object, as /pictures")
        if SLOT.fullmatch(key.removeprefix("/")):
            raise InvalidInput("key", "names a slot of Tensorhop's own; they are lent in its own protocol only")
        if size < 1:
            raise InvalidInput("byte_size", f"is {size}; it must be at least 1")
        file = self._open(key)
        try:
            held = os.fstat(file).st_size
            if offset + size > held:
                raise InvalidInput("byte_size", f"is {size:,} from {offset:,} on; {key} has {held:,} bytes")
            with self._lock:
                if name in self._regions:
                    raise self._fault(
                        fault_pb2.CODE_ALREADY_EXISTS, f"the region {name!r} is registered already; unregister it first"
                    )
                if len(self._regions) >= MOST:
                    raise self._fault(
                        fault_pb2.CODE_RESOURCE_EXHAUSTED, f"{MOST} regions are registered, the most that may be"
                    )
                self._regions[name] = Region(key, offset, size, file)
        except Exception:
            os.close(file)
            raise

    def unregister(self, name: str) -> None:
        """Forget a region, or all if the name is empty. Raises ServiceFault: NOT_FOUND."""
        with self._lock:
            if name and name not in self._regions:
                raise self._unknown(name)
            for one in [name] if name else [*self._regions]:
                os.close(self._regions.pop(one).file)

    def known(self, name: str) -> dict[str, Region]:
        """A region, or all if the name is empty. Raises ServiceFault: NOT_FOUND."""
        with self._lock:
            if name and name not in self._regions:
                raise self._unknown(name)
            return {name: self._regions[name]} if name else dict(self._regions)

    def read(self, name: str, offset: int, size: int, field: str) -> bytes:
        """The bytes of a part of a region. Raises InvalidInput: it reaches beyond; ServiceFault: NOT_FOUND."""
        with self._part(name, offset, size, field) as (file, start):
            found = os.pread(file, size, start)
        if len(found) != size:
            raise InvalidInput(field, f"is in the region {name!r}, which its owner has made shorter")
        return found

    def write(self, name: str, offset: int, data: memoryview, field: str) -> None:
        """Write bytes into a region.

        Raises:
            InvalidInput: they reach beyond it.
            ServiceFault: NOT_FOUND; or RESOURCE_EXHAUSTED, the memory is full.
        """
        with self._part(name, offset, data.nbytes, field) as (file, start):
            if os.fstat(file).st_size < start + data.nbytes:
                raise InvalidInput(field, f"is in the region {name!r}, which its owner has made shorter")
            while data.nbytes:
                try:
                    done = os.pwrite(file, data, start)
                except OSError as error:
                    raise self._fault(
                        fault_pb2.CODE_RESOURCE_EXHAUSTED,
                        f"the region {name!r} cannot be written: {error.strerror}",
                    ) from error
                data, start = data[done:], start + done

    @contextlib.contextmanager
    def _part(self, name: str, offset: int, size: int, field: str) -> Iterator[tuple[int, int]]:
        """The file of a region, open meanwhile even if the region is forgotten, and where the part begins."""
        with self._lock:
            region = self._regions.get(name)
            if region is None:
                raise self._unknown(name)
            if offset + size > region.size:
                raise InvalidInput(
                    field, f"is {size:,} bytes from {offset:,} on in the region {name!r}, which has {region.size:,}"
                )
            file = os.dup(region.file)
        try:
            yield file, region.offset + offset
        finally:
            os.close(file)

    def _open(self, key: str) -> int:
        """An object's file. Raises ServiceFault: NOT_FOUND, there is none, or it is no file of this user's."""
        try:
            file = os.open(FOLDER / key.removeprefix("/"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            reason = f"there is no shared memory {key!r} that can be opened here: {error.strerror}"
            raise self._fault(fault_pb2.CODE_NOT_FOUND, reason) from error
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            os.close(file)
            raise self._fault(fault_pb2.CODE_NOT_FOUND, f"there is no shared memory {key!r} of this service's user")
        return file

    def _unknown(self, name: str) -> ServiceFault:
        return self._fault(fault_pb2.CODE_NOT_FOUND, f"no region {name!r:.80} is registered")

    def _fault(self, code: fault_pb2.Code, message: str) -> ServiceFault:
        return ServiceFault(fault_pb2.Fault(code=code, service=self._service, message=message))
