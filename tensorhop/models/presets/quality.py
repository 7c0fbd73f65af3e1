"""Networks that score pictures in words: those of describe that chat, and are of the Qwen family."""

from dataclasses import replace

from tensorhop.models.presets.describe import DESCRIBE
from tensorhop.models.presets.preset import ModelPreset

QUALITY: dict[str, ModelPreset] = {
    f"{name}-quality": replace(preset, service="quality", question="")
    for name, preset in DESCRIBE.items()
    if name.startswith("qwen")
}
