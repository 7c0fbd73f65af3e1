"""A copy of the repository, and the wheel that it gives: made once, since both take seconds."""

from pathlib import Path

import pytest
from wheels import built, copied


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as in a clone that was worked in; git's own folder is left empty."""
    copy = copied(tmp_path_factory.mktemp("tree") / "tensorhop")
    (copy / ".git").mkdir()
    return copy


@pytest.fixture(scope="session")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel from the tree."""
    return built(tree, "wheel", tmp_path_factory.mktemp("wheel"))
