"""The families of networks that score pictures in words, by the `model_type` in a checkpoint's config.json."""

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from tensorhop.models.model import Model
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.families import Family, load_family

SCORER = "tensorhop.services.quality.chat:ChatScorer"
FAMILIES = dict.fromkeys(
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    Family(
        "AutoModelForImageTextToText's with a chat template, such as Qwen-VL, Gemma 3, InternVL and SmolVLM", SCORER
    ),
)


def load(source: ModelSource) -> Model:
    """The model that a checkpoint holds. Raises InvalidInput: quality cannot run it."""
    model: Model = load_family("quality", source, FAMILIES, own_code=SCORER)
    return model
