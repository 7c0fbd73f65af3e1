"""The families of networks that describe photos, by the `model_type` in a checkpoint's config.json."""

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from tensorhop.models.model import Model
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.families import Family, load_family

CAPTIONER = "tensorhop.services.describe.captioner:Captioner"
FAMILIES = dict.fromkeys(
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    Family(
        "AutoModelForImageTextToText's, such as BLIP, Florence-2, SmolVLM, Gemma 3, InternVL and Qwen-VL", CAPTIONER
    ),
)


def load(source: ModelSource) -> Model:
    """The model that a checkpoint holds. Raises InvalidInput: describe cannot run it."""
    model: Model = load_family("describe", source, FAMILIES, own_code=CAPTIONER)
    return model
