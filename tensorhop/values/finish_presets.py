"""Presets: a Finish and an Output that belong together, by the name of their purpose. Data only.

They are keywords of PipelineClient.process: `client.process(photo, **FINISH_PRESETS["marketplace"])`.
"""

from typing import TypedDict

from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output


class FinishPreset(TypedDict):
    """Keywords of PipelineClient.process."""

    finish: Finish
    output: Output


FINISH_PRESETS: dict[str, FinishPreset] = {
    # What shops ask for: a square with a pure white background, an object that fills 85 % of it, and no shadow.
    "marketplace": {
        "finish": Finish(shadow="none", fill=0.85, max_scale=100),
        "output": Output("jpeg", background="white"),
    },
    # What the Flask server answered that Tensorhop replaces; over HTTP, the default of a multipart answer.
    "flask": {
        "finish": Finish(shadow="backdrop", canvas=Size(512, 512), fill=0.8, max_scale=100),
        "output": Output("jpeg", background="white"),
    },
}
