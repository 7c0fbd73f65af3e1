"""How a chain connects to its services."""

from pathlib import Path

from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.settings import Settings, current_settings


def test_shared_memory_and_cache_are_as_the_settings_say(tmp_path: Path) -> None:
    steps = Steps.connect(SERVICE, {}, settings=Settings(shm_dir=str(tmp_path), shm_bytes=0, cache="none"))
    assert (steps.pool.folder, steps.pool.most, steps.cache) == (tmp_path, 0, None)
    steps.close()


def test_without_settings_they_are_the_processs_own() -> None:
    steps, own = Steps.connect(SERVICE, {}), current_settings()
    assert (steps.pool.folder, steps.pool.most) == (Path(own.shm_dir), own.shm_bytes)
    assert steps.cache is not None
    steps.close()
