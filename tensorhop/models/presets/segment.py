"""Networks that make the mask of an object.

Licences of .onnx files are those that the repositories of the networks give (ZhengPeng7/BiRefNet, xuebinqin/DIS,
xuebinqin/U-2-Net, SkyTNT/anime-segmentation).
"""

from dataclasses import replace

from tensorhop.models.presets.preset import (
    BIREFNET,
    BIREFNET_2K,
    BIREFNET_DYNAMIC,
    BIREFNET_HR,
    HUB,
    ISNET,
    REMBG_CODE,
    REMBG_RELEASE,
    U2NET,
    ModelPreset,
    OnnxFormat,
)

APACHE, MIT = "Apache-2.0", "MIT"


def _rembg(
    file: str,
    checksum: str,
    onnx: OnnxFormat,
    session: str,
    licence: str = "",
    size: int | None = None,
    noncommercial: bool = False,
) -> ModelPreset:
    """A file that the project rembg publishes, with the checksum in its code."""
    return ModelPreset(
        "segment",
        "onnx",
        url=REMBG_RELEASE + file,
        checksum=checksum,
        onnx=onnx,
        size=size,
        licence=licence,
        noncommercial=noncommercial,
        reference=f"{REMBG_CODE}sessions/{session}.py",
    )


def _birefnet(name: str, onnx: OnnxFormat) -> ModelPreset:
    """A network on PyTorch, run by the code in its repository."""
    repo = f"ZhengPeng7/{name}"
    return ModelPreset("segment", "transformers", repo, own_code=True, onnx=onnx, licence=MIT, reference=HUB + repo)


def _prompted(repo: str) -> ModelPreset:
    """A network of the SAM family."""
    return ModelPreset("segment", "transformers", repo, licence=APACHE, reference=HUB + repo)


def _onnx(repo: str) -> ModelPreset:
    return ModelPreset("segment", "onnx", repo, "onnx/model.onnx", onnx=BIREFNET, licence=MIT, reference=HUB + repo)


SEGMENT: dict[str, ModelPreset] = {
    "birefnet": _onnx("onnx-community/BiRefNet-ONNX"),
    "birefnet-lite": _onnx("onnx-community/BiRefNet_lite-ONNX"),
    "birefnet-general": _rembg(
        "BiRefNet-general-epoch_244.onnx",
        "md5:7a35a0141cbbc80de11d9c9a28f52697",
        BIREFNET,
        "birefnet_general",
        MIT,
    ),
    "birefnet-general-lite": _rembg(
        "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
        "md5:4fab47adc4ff364be1713e97b7e66334",
        BIREFNET,
        "birefnet_general_lite",
        MIT,
    ),
    "birefnet-portrait": _rembg(
        "BiRefNet-portrait-epoch_150.onnx",
        "md5:c3a64a6abf20250d090cd055f12a3b67",
        BIREFNET,
        "birefnet_portrait",
        MIT,
    ),
    "birefnet-dis": _rembg(
        "BiRefNet-DIS-epoch_590.onnx",
        "md5:2d4d44102b446f33a4ebb2e56c051f2b",
        BIREFNET,
        "birefnet_dis",
        MIT,
    ),
    "birefnet-hrsod": _rembg(
        "BiRefNet-HRSOD_DHU-epoch_115.onnx",
        "md5:c017ade5de8a50ff0fd74d790d268dda",
        BIREFNET,
        "birefnet_hrsod",
        MIT,
    ),
    "birefnet-cod": _rembg(
        "BiRefNet-COD-epoch_125.onnx",
        "md5:f6d0d21ca89d287f17e7afe9f5fd3b45",
        BIREFNET,
        "birefnet_cod",
        MIT,
    ),
    "birefnet-massive": _rembg(
        "BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx",
        "md5:33e726a2136a3d59eb0fdf613e31e3e9",
        BIREFNET,
        "birefnet_massive",
        MIT,
    ),
    "birefnet-hr": _birefnet("BiRefNet_HR", BIREFNET_HR),
    "birefnet-hr-matting": _birefnet("BiRefNet_HR-matting", BIREFNET_HR),
    "birefnet-matting": _birefnet("BiRefNet-matting", BIREFNET),
    "birefnet-dynamic": _birefnet("BiRefNet_dynamic", BIREFNET_DYNAMIC),
    "birefnet-lite-2k": _birefnet("BiRefNet_lite-2K", BIREFNET_2K),
    # Its answer is scaled to the range from 0 to 1 by rembg; it ends in a sigmoid.
    "rmbg-2.0": _rembg(
        "bria-rmbg-2.0.onnx",
        "sha256:5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
        replace(BIREFNET, logits=False),
        "bria_rmbg",
        "CC-BY-NC-4.0",
        noncommercial=True,
    ),
    "isnet-general-use": _rembg(
        "isnet-general-use.onnx",
        "md5:fc16ebd8b0c10d971d3513d564d01e29",
        ISNET,
        "dis_general_use",
        APACHE,
    ),
    "isnet-anime": _rembg(
        "isnet-anime.onnx",
        "md5:6f184e756bb3bd901c8849220a83e38e",
        replace(ISNET, mean=(0.485, 0.456, 0.406)),
        "dis_anime",
        APACHE,
    ),
    "silueta": _rembg("silueta.onnx", "md5:55e59e0d8062d2f5d013f4725ee84782", U2NET, "silueta"),
    "u2net": _rembg("u2net.onnx", "md5:60024c5c889badc19c04ad937298a77b", U2NET, "u2net", APACHE),
    "u2net-human-seg": _rembg(
        "u2net_human_seg.onnx",
        "md5:c09ddc2e0104f800e3e1bb4652583d1f",
        U2NET,
        "u2net_human_seg",
        APACHE,
    ),
    "u2netp": _rembg("u2netp.onnx", "md5:8e83ca70e441ab06c318d82300c84806", U2NET, "u2netp", APACHE, 4_574_861),
    "sam2.1-tiny": _prompted("facebook/sam2.1-hiera-tiny"),
    "sam2.1-small": _prompted("facebook/sam2.1-hiera-small"),
    "sam2.1-base-plus": _prompted("facebook/sam2.1-hiera-base-plus"),
    "sam2.1-large": _prompted("facebook/sam2.1-hiera-large"),
    "sam-hq-base": _prompted("syscv-community/sam-hq-vit-base"),
    "sam-hq-large": _prompted("syscv-community/sam-hq-vit-large"),
    "sam-hq-huge": _prompted("syscv-community/sam-hq-vit-huge"),
    "sam-base": _prompted("facebook/sam-vit-base"),
    "sam-large": _prompted("facebook/sam-vit-large"),
    "sam-huge": _prompted("facebook/sam-vit-huge"),
    "edgetam": _prompted("yonigozlan/EdgeTAM-hf"),
}
