"""A scripted chain, and a server of jobs in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_jobs import Chain, jobs_of, serving

from tensorhop.v1 import jobs_pb2_grpc


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def address(chain: Chain) -> Iterator[str]:
    with serving(chain) as at:
        yield at


@pytest.fixture
def jobs(address: str, tmp_path: Path) -> Iterator[jobs_pb2_grpc.JobServiceStub]:
    with jobs_of(address, jobs_dir=tmp_path / "jobs") as stub:
        yield stub


@pytest.fixture(scope="module")
def idle_jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[jobs_pb2_grpc.JobServiceStub]:
    """A server of jobs that runs none, for what it refuses."""
    with jobs_of("127.0.0.1:9", jobs_dir=tmp_path_factory.mktemp("jobs")) as stub:
        yield stub
