"""The families of detectors that transformers runs, by the `model_type` in a checkpoint's config.json."""

from tensorhop.models.model import Model
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.families import Family, load_family

_HERE = "tensorhop.services.detect.families"

GROUNDING_DINO = f"{_HERE}.grounding_dino:GroundingDino"
CLOSED_SET = f"{_HERE}.closed_set:ClosedSet"
SAM3 = Family("SAM 3", f"{_HERE}.sam3:Sam3")
FAMILIES = {
    "grounding-dino": Family("GroundingDINO", GROUNDING_DINO),
    "mm-grounding-dino": Family("MM-GroundingDINO and LLMDet", GROUNDING_DINO),
    "florence2": Family("Florence-2", f"{_HERE}.florence:Florence"),
    "owlv2": Family("OWLv2", f"{_HERE}.owlv2:Owlv2"),
    "omdet-turbo": Family("OmDet-Turbo", f"{_HERE}.omdet_turbo:OmDetTurbo"),
    "rt_detr": Family("RT-DETR", CLOSED_SET),
    "rt_detr_v2": Family("RT-DETRv2", CLOSED_SET),
    "d_fine": Family("D-FINE", CLOSED_SET),
    "rf_detr": Family("RF-DETR", CLOSED_SET),
    "sam3": SAM3,
    "sam3_video": SAM3,  # the published files, which hold SAM 3 and its tracker
}


def load(source: ModelSource) -> Model:
    """The model that a checkpoint holds. Raises InvalidInput: detect cannot run it."""
    model: Model = load_family("detect", source, FAMILIES, own_code=GROUNDING_DINO)
    return model
