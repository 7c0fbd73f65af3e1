"""The folder of recordings: which requests are recorded, and how their files come and go.

A recording is written under a hidden name and renamed, so none is ever visible by half. Several chains and pipelines
may share a folder. Nothing of a request waits for it, and nothing that goes wrong here reaches a request.
"""

import contextlib
import logging
import os
import random
import secrets
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from tensorhop.observe import metrics
from tensorhop.orchestrator.recording.document import NAME, contents
from tensorhop.orchestrator.recording.recorder import Memory, Recorder
from tensorhop.settings import Settings
from tensorhop.wire.codec import Packet

log = logging.getLogger(__name__)

PART = ".tensorhop-"  # how the name of a folder begins that is being written, or removed
STALE_SECONDS = 3600.0  # after which such a folder is what a crash has left
LONGEST_NAME = 200  # characters
MEMORY = Memory()  # for all recordings of this process


class Kept(NamedTuple):
    """A recording in the folder."""

    name: str
    seconds: float  # since the epoch, when it was written
    size: int  # bytes


class Recordings:
    """Records requests of a chain into a folder.

    Args:
        folder: where recordings are; it is made, for its owner alone, if it is not there.
        chain: the name of the chain.
        addresses: of the chain's services, by name; they are not recorded.
        settings: sample, pixels, and bounds.
    """

    def __init__(self, folder: Path, chain: str, addresses: Mapping[str, str], settings: Settings) -> None:
        self.folder, self._chain, self._addresses = folder, chain, dict(addresses)
        self._sample, self._pixels = settings.record_sample, settings.record_pixels == "all"
        self._most_bytes, self._most_seconds = settings.record_bytes, settings.record_age
        self._known: dict[str, Kept] = {}
        self._trouble = ""  # told last
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="record")

    @classmethod
    def of(cls, settings: Settings, chain: str, addresses: Mapping[str, str]) -> Self | None:
        """What settings ask for; None if they name no folder."""
        return cls(Path(settings.record), chain, addresses, settings) if settings.record else None

    def begin(self, request_id: str, request: Packet[Any]) -> Recorder | None:
        """Begin to record a request; None if it is not recorded: it is not in the sample, and does not wish it."""
        wished = bool(getattr(request.message, "record", False))
        if not wished and not (self._sample and random.random() < self._sample):
            return None
        try:
            return Recorder(request_id, self._chain, request, MEMORY)
        except Exception as error:  # such as a slot that cannot be opened, which the chain itself will tell
            self._failed(error)
            return None

    def keep(self, recorder: Recorder) -> None:
        """Write a request that has ended, in a thread of its own."""
        recorder.seconds = recorder.now()
        try:
            self._writer.submit(self._keep, recorder)
        except RuntimeError:  # the pipeline has ended, and nothing else waits for this thread
            self._keep(recorder)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._writer.shutdown()

    def _keep(self, recorder: Recorder) -> None:
        try:
            if recorder.error is not None:
                raise recorder.error
            files = contents(recorder, self._pixels, addresses=self._addresses)
            size = sum(map(len, files.values()))
            if size > self._most_bytes:
                raise OSError(f"{recorder.request_id} has {size:,} bytes; record_bytes is {self._most_bytes:,}")
            self.prune(size)
            name = self._write(recorder.request_id, files)
            self._known[name] = Kept(name, time.time(), size)
            metrics.recording("written")
            self._trouble = ""
        except Exception as error:
            self._failed(error)
        finally:
            recorder.close()

    def _write(self, request_id: str, files: Mapping[str, bytes]) -> str:
        """Write a recording, and return its folder's name. Raises OSError; then nothing of it is left."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self.folder / f"{PART}{secrets.token_hex(8)}"
        part.mkdir(mode=0o700)
        try:
            for name, data in files.items():
                with open(part / name, "xb", opener=for_owner) as file:
                    file.write(data)
            return rename(part, self.folder, folder_name(request_id))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    def prune(self, coming: int = 0) -> None:
        """Remove recordings that are too old, and then the oldest ones until there is room for that many bytes."""
        now = time.time()
        kept = sorted(self._find(now), key=lambda one: one.seconds)
        size = sum(one.size for one in kept) + coming
        for one in kept:
            if size <= self._most_bytes and one.seconds >= now - self._most_seconds:
                break
            self._remove(one)
            size -= one.size

    def _find(self, now: float) -> list[Kept]:
        """The recordings that there are, from this process or another. Remains of a crash are removed."""
        found: dict[str, Kept] = {}
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(PART):
                    if now - changed(entry) > STALE_SECONDS:
                        shutil.rmtree(entry.path, ignore_errors=True)
                elif entry.name in self._known:
                    found[entry.name] = self._known[entry.name]
                elif (Path(entry.path) / NAME).is_file():  # anything else is not ours
                    with contextlib.suppress(FileNotFoundError):  # another pipeline removes it
                        size = sum(file.stat().st_size for file in os.scandir(entry.path))
                        found[entry.name] = Kept(entry.name, changed(entry), size)
        self._known = found
        return list(found.values())

    def _remove(self, one: Kept) -> None:
        self._known.pop(one.name, None)
        part = self.folder / f"{PART}{secrets.token_hex(8)}"
        try:
            (self.folder / one.name).rename(part)
        except FileNotFoundError:  # another pipeline was quicker
            return
        shutil.rmtree(part, ignore_errors=True)

    def _failed(self, error: Exception) -> None:
        metrics.recording("failed")
        reason = str(error) or type(error).__name__
        if reason != self._trouble:  # once, as long as it goes on
            log.warning("a request cannot be recorded in %s; it goes on without: %s", self.folder, reason)
        self._trouble = reason


def for_owner(path: str, flags: int) -> int:
    """Open a file that only its owner can read."""
    return os.open(path, flags, 0o600)


def changed(entry: os.DirEntry[str]) -> float:
    """When a folder was changed last; now if it is gone."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return time.time()


def folder_name(request_id: str) -> str:
    """The name of the folder of a request: its id, with % and a code in place of letters that a name cannot have."""
    name = quote(request_id, safe=" !#$&'()+,;=@[]^{}")[:LONGEST_NAME]
    return f"%2E{name[1:]}" if name.startswith(".") else name


def rename(part: Path, folder: Path, name: str) -> str:
    """Give a finished folder its name; if it is taken, as by an earlier request of the same id, one with a number."""
    number = 1
    while True:
        chosen = name if number == 1 else f"{name}~{number}"
        try:
            part.rename(folder / chosen)
        except OSError:
            if not (folder / chosen).exists():
                raise
            number += 1
        else:
            return chosen
