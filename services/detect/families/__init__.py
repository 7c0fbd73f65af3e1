"""The families of detectors that transformers runs, by the `model_type` in a checkpoint's config.json."""

from tensorhop.models.model import Model
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.families import Family, load_family

_HERE = "tensorhop.services.detect.families"

GROUNDING_DINO = f"{_HERE}.grounding_dino:GroundingDino"
FAMILIES = {
    "grounding-dino": Family("GroundingDINO", GROUNDING_DINO),
    "mm-grounding-dino": Family("MM-GroundingDINO and LLMDet", GROUNDING_DINO),
    "florence2": Family("Florence-2", f"{_HERE}.florence:Florence"),
}


def load(source: ModelSource) -> Model:
    """The model that a checkpoint holds. Raises InvalidInput: detect cannot run it."""
    model: Model = load_family("detect", source, FAMILIES, own_code=GROUNDING_DINO)
    return model
