"""One photo through a system, and what is timed of it."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorhop.values.geometry import Box


@dataclass(frozen=True)
class Want:
    """What is asked for, of the monolith and of the pipeline alike."""

    boxes: list[Box] = field(default_factory=list)  # none: describe and detect find them
    most: int = 4  # objects
    finish: Mapping[str, Any] = field(default_factory=dict)  # Finish's choices


@dataclass(frozen=True)
class Turn:
    """Seconds until all of a photo's objects were done, and until the first was; how many they were."""

    seconds: float
    first: float
    objects: int


def timed(files: Iterable[bytes]) -> Turn:
    """Take a photo's files as they get done.

    Raises:
        ValueError: there is none, so nothing was timed.
    """
    started = time.perf_counter()
    done = [time.perf_counter() - started for _ in files]
    if not done:
        raise ValueError("no object was found in the photo; name one that holds some")
    return Turn(time.perf_counter() - started, done[0], len(done))
