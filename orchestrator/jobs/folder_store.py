"""Jobs in a folder: one folder a job, and files that are written whole or not at all."""

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3
from google.protobuf import json_format

from tensorhop.errors import InvalidInput, Overloaded
from tensorhop.files import write_file
from tensorhop.orchestrator.jobs.identity import FORM, expires_at
from tensorhop.orchestrator.jobs.store import UNFINISHED, Change, Claim, StoredEvent
from tensorhop.v1 import jobs_pb2 as pb

FULL = (errno.ENOSPC, errno.EDQUOT)
RETRY_SECONDS = 60.0  # after which a full disk may have room


def default_folder() -> str:
    """Where jobs are if nobody says: the state folder of the user."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return str(Path(home) / "tensorhop" / "jobs")


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Raises Overloaded: the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Overloaded(f"the folder of the jobs is full: {error.strerror}; try again later", RETRY_SECONDS) from error


def names_in(folder: Path) -> list[str]:
    """The names in a folder, of which there may be many thousands."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


class FolderStore:
    """Jobs in a folder, of one or several processes of one machine.

        ID/job.json        the record
        ID/request.bin     the chain's request
        ID/events/000002.object-1
        unfinished/ID      an empty file for each job that is queued or running
        keys/DIGEST        of an idempotency key: the job's id and its request's digest

    A file system that loses power may lose what was written in the seconds before: nothing is flushed to the disk.

    Raises:
        InvalidInput: the folder cannot be made, or written to.
    """

    def __init__(self, folder: str) -> None:
        self._root = Path(folder)
        try:
            for name in ("unfinished", "keys"):
                (self._root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(self._root, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise InvalidInput("--jobs-dir", f"names {folder}, which cannot be used: {error.strerror}") from error

    def create(self, job: pb.Job, request: bytes, digest: str) -> Claim:
        claim = Claim(job.id, digest)
        with room():
            folder = self._root / f".{job.id}"  # not a job's name yet
            try:
                (folder / "events").mkdir(parents=True, mode=0o700)
                (folder / "request.bin").write_bytes(request)
                (folder / "job.json").write_text(json_format.MessageToJson(job))
                if not job.idempotency_key:
                    return self._publish(folder, claim)
                with self._locked(self._root / "keys" / "lock"):  # the key and the job appear as one
                    key = self._root / "keys" / blake3(job.idempotency_key.encode()).hexdigest()
                    with contextlib.suppress(FileNotFoundError):
                        held = Claim(*key.read_text().split())
                        if self.read(held.job) is not None:  # otherwise it has expired, or was never published
                            return held
                    write_file(key, " ".join(claim).encode())
                    return self._publish(folder, claim)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _publish(self, folder: Path, claim: Claim) -> Claim:
        (self._root / "unfinished" / claim.job).touch()
        folder.rename(self._root / claim.job)
        return claim

    def read(self, job: str) -> pb.Job | None:
        folder = self._folder(job)
        if folder is None:
            return None
        try:
            record = json_format.Parse((folder / "job.json").read_text(), pb.Job())
            record.events = len(names_in(folder / "events"))
        except FileNotFoundError:
            return None
        return record

    def change(self, job: str, change: Change) -> pb.Job | None:
        folder = self._folder(job)
        if folder is None:
            return None
        with room(), self._locked(folder / "lock"):
            record = self.read(job)
            if record is None or not change(record):
                return record
            marker = self._root / "unfinished" / job
            if record.state in UNFINISHED:
                marker.touch()
            write_file(folder / "job.json", json_format.MessageToJson(record).encode())
            if record.state not in UNFINISHED:
                marker.unlink(missing_ok=True)
            return record

    def request(self, job: str) -> bytes:
        try:
            return (self._root / job / "request.bin").read_bytes()
        except FileNotFoundError:
            raise KeyError(job) from None

    def add_event(self, job: str, event: StoredEvent) -> bool:
        folder = self._root / job
        with room(), self._locked(folder / "lock"):
            known = names_in(folder / "events")
            if any(name.partition(".")[2] == event.key for name in known):
                return False
            # Beside the folder of the events: there, all files count.
            part = folder / "event.part"
            part.write_bytes(event.data)
            part.rename(folder / "events" / f"{len(known):06}.{event.key}")
            return True

    def event(self, job: str, index: int) -> StoredEvent | None:
        return next((event for event in self._events(job, f"{index:06}.")), None)

    def find_event(self, job: str, key: str) -> tuple[int, StoredEvent] | None:
        for name in self._names(job):
            if name.partition(".")[2] == key:
                found = self.event(job, int(name[:6]))
                return None if found is None else (int(name[:6]), found)
        return None

    def _events(self, job: str, prefix: str) -> Iterator[StoredEvent]:
        for name in self._names(job):
            if name.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):
                    yield StoredEvent(name.partition(".")[2], (self._root / job / "events" / name).read_bytes())

    def _names(self, job: str) -> list[str]:
        try:
            return names_in(self._root / job / "events")
        except FileNotFoundError:
            return []

    def jobs(self, before: str, most: int) -> list[str]:
        found = [name for name in names_in(self._root) if FORM.fullmatch(name) and (not before or name < before)]
        return sorted(found, reverse=True)[:most]

    def waiting(self) -> int:
        return len(names_in(self._root / "unfinished"))

    def unfinished(self) -> list[str]:
        return sorted(names_in(self._root / "unfinished"))

    def remove_expired(self) -> None:
        now = time.time()
        for name in names_in(self._root):
            if FORM.fullmatch(name) and expires_at(name) <= now:
                (self._root / "unfinished" / name).unlink(missing_ok=True)
                shutil.rmtree(self._root / name, ignore_errors=True)
        for marker in self.unfinished():
            if expires_at(marker) <= now:
                (self._root / "unfinished" / marker).unlink(missing_ok=True)
        for key in (self._root / "keys").iterdir():
            with contextlib.suppress(OSError, IndexError, ValueError):
                if expires_at(key.read_text().split()[0]) <= now:
                    key.unlink()

    def close(self) -> None:
        pass

    def _folder(self, job: str) -> Path | None:
        """The folder of a job that still lives."""
        if not FORM.fullmatch(job) or expires_at(job) <= time.time():
            return None
        return self._root / job

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Between threads and processes alike: each time the file is opened anew."""
        try:
            file = path.open("ab")
        except FileNotFoundError:  # the job has just been removed
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
