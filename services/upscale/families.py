"""The families of networks that enlarge pictures, by the `model_type` in a checkpoint's config.json."""

from tensorhop.models.model import Model
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.families import Family, load_family

FAMILIES = {"swin2sr": Family("Swin2SR", "tensorhop.services.upscale.swin2sr:Swin2SR")}


def load(source: ModelSource) -> Model:
    """The model that a checkpoint holds. Raises InvalidInput: upscale cannot run it."""
    model: Model = load_family("upscale", source, FAMILIES)
    return model
