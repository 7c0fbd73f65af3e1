"""Networks that enlarge pictures. Licences are those of their pages on the hub."""

from tensorhop.models.presets.preset import HUB, ModelPreset


def _swin2sr(name: str) -> ModelPreset:
    repo = f"caidas/swin2SR-{name}"
    return ModelPreset("upscale", "transformers", repo, licence="Apache-2.0", reference=HUB + repo)


UPSCALE: dict[str, ModelPreset] = {
    "swin2sr-x2": _swin2sr("classical-sr-x2-64"),
    "swin2sr-x4": _swin2sr("classical-sr-x4-64"),
    "swin2sr-realworld-x4": _swin2sr("realworld-sr-x4-64-bsrgan-psnr"),
}
