"""Networks that refine a mask."""

from tensorhop.models.presets.preset import HUB, REMBG_CODE, REMBG_RELEASE, ModelPreset, OnnxFormat

# rembg/matting.py: colours from 0 to 1, "with no mean/std shift". The checkpoints for PyTorch have 0.5 and 0.5.
VITMATTE = OnnxFormat((1024, 1024), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), logits=False)


def _rembg(name: str, checksum: str) -> ModelPreset:
    """A file that the project rembg publishes, with the checksum in its code."""
    return ModelPreset(
        "postprocess",
        "onnx",
        url=f"{REMBG_RELEASE}vitmatte-{name}.onnx",
        checksum=f"sha256:{checksum}",
        onnx=VITMATTE,
        reference=REMBG_CODE + "matting.py",
    )


def _vitmatte(name: str) -> ModelPreset:
    repo = f"hustvl/vitmatte-{name}"
    return ModelPreset("postprocess", "transformers", repo, licence="Apache-2.0", reference=HUB + repo)


POSTPROCESS: dict[str, ModelPreset] = {
    "vitmatte-small": _vitmatte("small-distinctions-646"),
    "vitmatte-base": _vitmatte("base-distinctions-646"),
    "vitmatte-small-composition": _vitmatte("small-composition-1k"),
    "vitmatte-base-composition": _vitmatte("base-composition-1k"),
    "vitmatte-small-onnx": _rembg(
        "small-distinctions-646", "d232841ac9d9657df3e62f6c92ed425ee25df18d337245cd8b903fc1ba183631"
    ),
    "vitmatte-base-onnx": _rembg(
        "base-distinctions-646", "d30190833269c1bec3e37319fe67af151028d3be32f6f60f6663a51b209cc8c1"
    ),
    "vitmatte-small-composition-onnx": _rembg(
        "small-composition-1k", "659b9bb2870f80cffbe20dae4c7f18417fbdf68c0195861d24e9082c28373a24"
    ),
    "vitmatte-base-composition-onnx": _rembg(
        "base-composition-1k", "87bb10979f816061497ba6867b338c65a05cebd7d1507f6dde92a86382dec1f2"
    ),
}
