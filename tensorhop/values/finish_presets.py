"""Finish and Output that belong together, by the name of what they are for: data only.

They are keywords of PipelineClient.process: `client.process(photo, **FINISH_PRESETS["marketplace"])`.
"""

from typing import TypedDict

from tensorhop.values.finish_options import Finish
from tensorhop.values.output_options import Output


class FinishPreset(TypedDict):
    """Keywords of PipelineClient.process."""

    finish: Finish
    output: Output


FINISH_PRESETS: dict[str, FinishPreset] = {
    # What shops ask for: a square, pure white to the pixel, the object over 85 % of it, without a shadow.
    "marketplace": {
        "finish": Finish(shadow="none", fill=0.85, max_scale=100),
        "output": Output("jpeg", background="white"),
    },
}
