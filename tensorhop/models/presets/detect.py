"""Networks that find what phrases name. Licences are those of their pages on the hub."""

from tensorhop.models.presets.preset import HUB, ModelPreset

APACHE, MIT = "Apache-2.0", "MIT"


def _preset(repo: str, licence: str = APACHE, size: int | None = None) -> ModelPreset:
    return ModelPreset("detect", "transformers", repo, size=size, licence=licence, reference=HUB + repo)


DETECT: dict[str, ModelPreset] = {
    "grounding-dino-tiny": _preset("IDEA-Research/grounding-dino-tiny", size=689_000_000),
    "grounding-dino-base": _preset("IDEA-Research/grounding-dino-base"),
    "mm-grounding-dino-tiny": _preset("openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det"),
    "mm-grounding-dino-base": _preset("openmmlab-community/mm_grounding_dino_base_all"),
    "mm-grounding-dino-large": _preset("openmmlab-community/mm_grounding_dino_large_all"),
    "llmdet-tiny": _preset("iSEE-Laboratory/llmdet_tiny"),
    "llmdet-base": _preset("iSEE-Laboratory/llmdet_base"),
    "llmdet-large": _preset("iSEE-Laboratory/llmdet_large"),
    "owlv2-base": _preset("google/owlv2-base-patch16-ensemble"),
    "owlv2-large": _preset("google/owlv2-large-patch14-ensemble"),
    "omdet-turbo-tiny": _preset("omlab/omdet-turbo-swin-tiny-hf"),
    "florence-2-base-detect": _preset("florence-community/Florence-2-base", MIT),
    "florence-2-large-detect": _preset("florence-community/Florence-2-large", MIT),
    "rt-detrv2-r18": _preset("PekingU/rtdetr_v2_r18vd"),
    "rt-detrv2-r50": _preset("PekingU/rtdetr_v2_r50vd"),
    "d-fine-medium": _preset("ustc-community/dfine-medium-coco"),
    "d-fine-large": _preset("ustc-community/dfine-large-obj2coco-e25"),
    # Answers masks with its boxes, so segment is left out. Its page asks to accept its terms before a download.
    "sam3": _preset("facebook/sam3", "LicenseRef-SAM"),
}
