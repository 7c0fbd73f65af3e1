"""Time BLIP and GroundingDINO at full size on this machine: python tools/measure_models.py [--help]

The networks have the published sizes (BLIP base, GroundingDINO with Swin-T) and random weights, which take as long as
trained ones; only that a trained BLIP mostly ends a caption before its longest, 20 tokens, and this one never does.
They are loaded and called as the services do. Nothing is downloaded. Needs 4 GB of memory and 2 GB of disk.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_tiny_models import blip_processor, grounding_dino_processor
from tiny_checkpoints import SEED
from transformers import (
    BertConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    SwinConfig,
)

from tensorhop.cpu_count import cpu_count
from tensorhop.models.sources import ModelChoice, find_model
from tensorhop.services.describe.captioner import Captioner
from tensorhop.services.detect.families.grounding_dino import GroundingDino
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.images import decode_image

PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "coffee.jpg"
BATCH = 4
PLAIN, LAST = torch.contiguous_format, torch.channels_last
DTYPES = ("float32", "bfloat16")
VARIANTS = [*itertools.product(DTYPES, (PLAIN, LAST), (1,)), ("float32", PLAIN, BATCH)]


def blip_base(out: Path) -> None:
    text = {"hidden_size": 768, "num_attention_heads": 12, "encoder_hidden_size": 768}
    config = BlipConfig(text_config={**text, "bos_token_id": 30522}, vision_config={"image_size": 384})
    BlipForConditionalGeneration(config).save_pretrained(out)
    blip_processor(384).save_pretrained(out)


def grounding_dino_tiny(out: Path) -> None:
    backbone = SwinConfig(
        embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, out_indices=[2, 3, 4]
    )
    config = GroundingDinoConfig(backbone_config=backbone, text_config=BertConfig())
    GroundingDinoForObjectDetection(config).save_pretrained(out)
    grounding_dino_processor(800, 1333).save_pretrained(out)


def caption(model: Captioner, photos: list[np.ndarray]) -> None:
    model.predict(photos, DescribeOptions(look="whole"))


def look_for_cup(model: GroundingDino, photos: list[np.ndarray]) -> None:
    model.predict(photos, [["cup"]] * len(photos))


MODELS: list[tuple[str, str, Callable[[Path], None], Any, Callable[[Any, list[np.ndarray]], None]]] = [
    ("BLIP base, 384 x 384", "describe", blip_base, Captioner, caption),
    ("GroundingDINO Swin-T, 800 to 1333", "detect", grounding_dino_tiny, GroundingDino, look_for_cup),
]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--only", choices=[service for _, service, *_ in MODELS], help="one service's network")
    arguments.add_argument("--photo", type=Path, default=PHOTO)
    chosen = arguments.parse_args()
    photo = decode_image(chosen.photo.read_bytes())
    print(f"torch {torch.__version__}, {cpu_count()} cpu_count, {torch.backends.cpu.get_cpu_capability()}")
    print("| network | number type | memory format | photos a run | seconds a photo: median | least | most | of CPU |")
    print("|---|---|---|---|---|---|---|---|")
    for title, service, make, kind, use in MODELS:
        if chosen.only not in (None, service):
            continue
        for (dtype, format_, batch), runs in measured(service, make, kind, use, photo, chosen.runs).items():
            seconds, cpu = zip(*runs, strict=True)
            figures = [statistics.median(seconds), min(seconds), max(seconds), statistics.median(cpu)]
            name = str(format_).removeprefix("torch.").removesuffix("_format")
            row = " | ".join(f"{figure:.2f}" for figure in figures)
            print(f"| {title} | {dtype} | {name} | {batch} | {row} |", flush=True)


def measured(
    service: str, make: Callable[[Path], None], kind: Any, use: Callable, photo: np.ndarray, runs: int
) -> dict[tuple[str, torch.memory_format, int], list[tuple[float, float]]]:
    """Seconds a photo, and of those the CPU's, by number type, memory format and photos a run.

    All take their turns, run for run, so that what else the machine does hits each of them alike.
    """
    found: dict[tuple[str, torch.memory_format, int], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(SEED)
        make(Path(folder))
        models = {
            dtype: kind(find_model(service, ModelChoice(folder, "cpu", dtype), ["transformers"])) for dtype in DTYPES
        }
    for run in range(-1, runs):  # the first one is to warm up
        for dtype, format_, batch in VARIANTS:
            model = models[dtype]
            model._checkpoint.network.to(memory_format=format_)
            model.largest_batch = batch
            started, cpu = time.perf_counter(), time.process_time()
            use(model, [photo] * batch)
            if run >= 0:
                figures = ((time.perf_counter() - started) / batch, (time.process_time() - cpu) / batch)
                found.setdefault((dtype, format_, batch), []).append(figures)
                print(f"{service} {dtype} {format_} {batch}: {figures[0]:.2f} s", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
