"""What every store of jobs does: the record of each job, its request, and the chain's events."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from tensorhop.settings import Settings
from tensorhop.v1 import jobs_pb2 as pb

UNFINISHED = (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING)
Change = Callable[[pb.Job], bool]  # changes a record in place; tells whether it is to be kept


class StoredEvent(NamedTuple):
    """An event of the chain."""

    key: str  # EventName.key
    data: bytes  # the chain's own message

    @property
    def name(self) -> str:
        return self.key.partition("-")[0]


class Claim(NamedTuple):
    """Which job has an idempotency key, and the digest of its request."""

    job: str
    digest: str


class Store(Protocol):
    """Where jobs are. All of a job goes when its time to live ends.

    Every method raises Overloaded where there is no room, and ConnectionError or OSError where the store is gone.
    """

    def create(self, job: pb.Job, request: bytes, digest: str) -> Claim:
        """Keep a new job, unless its idempotency key is taken.

        Returns:
            Whose the key is now: the new job's, or an earlier one's, and then nothing is kept.
        """

    def read(self, job: str) -> pb.Job | None:
        """The record, with the number of events; None if there is no such job, or no longer."""

    def change(self, job: str, change: Change) -> pb.Job | None:
        """The record after a change that nobody else's comes in between; None as of `read`."""

    def request(self, job: str) -> bytes:
        """The chain's request. Raises KeyError: the job is gone."""

    def add_event(self, job: str, event: StoredEvent) -> bool:
        """Keep an event, unless one of the same key is there; tells whether it was new."""

    def event(self, job: str, index: int) -> StoredEvent | None:
        """The event of an index; None if there is none yet."""

    def find_event(self, job: str, key: str) -> tuple[int, StoredEvent] | None:
        """The event of a key, and its index."""

    def jobs(self, before: str, most: int) -> list[str]:
        """Ids, the newest first.

        Args:
            before: only those that are older than this id; "" for all.
        """

    def waiting(self) -> int:
        """How many jobs are queued or running."""

    def unfinished(self) -> list[str]:
        """The ids of jobs that are queued or running, the oldest first."""

    def remove_expired(self) -> None: ...

    def close(self) -> None: ...


def open_store(settings: Settings) -> Store:
    """The store that the settings name: the folder if there is one, or else Redis, or else the default folder.

    Raises:
        InvalidInput: the folder or the URL cannot be used.
    """
    if settings.jobs_redis and not settings.jobs_dir:
        from tensorhop.orchestrator.jobs.redis_store import RedisStore

        return RedisStore(settings.jobs_redis)
    from tensorhop.orchestrator.jobs.folder_store import FolderStore, default_folder

    return FolderStore(settings.jobs_dir or default_folder())
