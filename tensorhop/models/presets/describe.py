"""Networks that describe photos. Licences are those of their pages on the hub."""

from tensorhop.models.presets.preset import HUB, ModelPreset

APACHE, BSD, MIT = "Apache-2.0", "BSD-3-Clause", "MIT"
CENTRAL = "Describe the main (central) object in this image in a few words, such as 'a red mug'."


def _preset(repo: str, licence: str = "", question: str = "", noncommercial: bool = False) -> ModelPreset:
    reference = HUB + repo if licence else ""
    return ModelPreset(
        "describe",
        "transformers",
        repo,
        question=question,
        licence=licence,
        noncommercial=noncommercial,
        reference=reference,
    )


DESCRIBE: dict[str, ModelPreset] = {
    "blip-base": _preset("Salesforce/blip-image-captioning-base", BSD),
    "blip-large": _preset("Salesforce/blip-image-captioning-large", BSD),
    "blip2-opt-2.7b": _preset("Salesforce/blip2-opt-2.7b", MIT, "Describe the main (central) object in this image"),
    "florence-2-base": _preset("florence-community/Florence-2-base", MIT, "<CAPTION>"),
    "florence-2-large": _preset("florence-community/Florence-2-large", MIT, "<CAPTION>"),
    "smolvlm2-256m": _preset("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", APACHE, CENTRAL),
    "smolvlm2-500m": _preset("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", APACHE, CENTRAL),
    "smolvlm2-2.2b": _preset("HuggingFaceTB/SmolVLM2-2.2B-Instruct", APACHE, CENTRAL),
    "qwen2.5-vl-3b": _preset("Qwen/Qwen2.5-VL-3B-Instruct", "LicenseRef-Qwen-Research", CENTRAL, noncommercial=True),
    "qwen2.5-vl-7b": _preset("Qwen/Qwen2.5-VL-7B-Instruct", APACHE, CENTRAL),
    "qwen3-vl-2b": _preset("Qwen/Qwen3-VL-2B-Instruct", APACHE, CENTRAL),
    "qwen3-vl-4b": _preset("Qwen/Qwen3-VL-4B-Instruct", APACHE, CENTRAL),
    "qwen3-vl-8b": _preset("Qwen/Qwen3-VL-8B-Instruct", APACHE, CENTRAL),
}
