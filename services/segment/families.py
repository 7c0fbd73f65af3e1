"""The families of segmenters that transformers runs, by the `model_type` in a checkpoint's config.json."""

from tensorhop.models.model import Model
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.families import Family, load_family

OWN_CODE = "tensorhop.services.segment.hub_code:HubCodeSegmenter"
PROMPTED = "tensorhop.services.segment.prompted:PromptedSegmenter"
FAMILIES = {
    "sam2": Family("SAM 2", PROMPTED),
    "sam2_video": Family("SAM 2", PROMPTED),  # as its authors publish it: the network for videos, which holds this one
    "sam_hq": Family("SAM-HQ", PROMPTED),
    "sam": Family("SAM", PROMPTED),
    "edgetam": Family("EdgeTAM", PROMPTED),
    "edgetam_video": Family("EdgeTAM", PROMPTED),
}


def load(source: ModelSource) -> Model:
    """The model that a checkpoint holds. Raises InvalidInput: segment cannot run it."""
    others = ("BiRefNet and its relatives with their own code", ".onnx files")
    model: Model = load_family("segment", source, FAMILIES, OWN_CODE, others)
    return model
