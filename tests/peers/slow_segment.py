"""The segment service with a model that takes its time, and says on which node of Ray it works."""

import os
import time
from pathlib import Path
from typing import Any

import ray

from tensorhop.rpc.service import Service
from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.services.segment.service import SERVICE as SEGMENT

SECONDS = 3.0  # for a mask
FOLDER = "SLOW_SEGMENT_FOLDER"  # the variable that names where each node at work has an empty file of its id


class SlowSegmenter(EmbeddedSegmenter):
    """The embedded model, after some time."""

    def predict(self, *args: Any) -> Any:
        work()
        return super().predict(*args)

    def predict_grown(self, *args: Any) -> Any:
        work()
        return super().predict_grown(*args)


def work() -> None:
    Path(os.environ[FOLDER], ray.get_runtime_context().get_node_id()).touch()
    time.sleep(SECONDS)


SLOW_SEGMENT = Service(
    name="segment",
    contract=SEGMENT.contract,
    servicer=SEGMENT.servicer,
    models={"embedded": "slow_segment:SlowSegmenter"},
)
