"""The families of refiners that transformers runs, by the `model_type` in a checkpoint's config.json."""

from tensorhop.models.sources import ModelSource
from tensorhop.services.postprocess.refiners.refiner import Refiner
from tensorhop.services.runtime.families import Family, load_family

FAMILIES = {"vitmatte": Family("ViTMatte", "tensorhop.services.postprocess.refiners.vitmatte:VitMatte")}


def load(source: ModelSource) -> Refiner:
    """The model that a checkpoint holds. Raises InvalidInput: postprocess cannot run it."""
    model: Refiner = load_family("postprocess", source, FAMILIES, others=(".onnx files",))
    return model
