"""Known models by short names: data only."""

from tensorhop.models.presets.describe import DESCRIBE
from tensorhop.models.presets.detect import DETECT
from tensorhop.models.presets.postprocess import POSTPROCESS
from tensorhop.models.presets.preset import BIREFNET, U2NET, ModelPreset, OnnxFormat
from tensorhop.models.presets.quality import QUALITY
from tensorhop.models.presets.segment import SEGMENT
from tensorhop.models.presets.upscale import UPSCALE

__all__ = ["BIREFNET", "PRESETS", "U2NET", "ModelPreset", "OnnxFormat"]

PRESETS: dict[str, ModelPreset] = {**DESCRIBE, **DETECT, **SEGMENT, **POSTPROCESS, **UPSCALE, **QUALITY}
