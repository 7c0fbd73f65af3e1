"""Train the embedded upscaler, and write it as ONNX: python tools/train_upscaler.py --wallpapers FOLDER

`make train-upscaler` runs it. The seeds are fixed. It took 324 s of one core that computes in bfloat16, and takes about
three times as long on others. The photos are those of tools/upscale_photos.py. After training anew, the SHA-256 of the
file goes to services/embedded/weights.py and to the NOTICE beside the weights.

The network gets the luma of a small photo, computes at that size, and ends in a sub-pixel convolution (Shi et al. 2016,
"Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
arXiv:1609.05158); that it stays narrow in all layers follows Dong et al. 2016, "Accelerating the Super-Resolution
Convolutional Neural Network" (arXiv:1608.00367). It predicts what bicubic enlargement lacks (Kim et al. 2016, "Accurate
Image Super-Resolution Using Very Deep Convolutional Networks", arXiv:1511.04587). No layer pads, so a pixel of the
result depends on MARGIN pixels to each side, and on nothing else: tiles fit together to the bit.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from upscale_photos import REDUCTIONS, TRAINED, jpeg, luma, photo, reduced

CHANNELS, HIDDEN = 32, 6
MARGIN = HIDDEN + 2  # pixels of the small photo to each side
PATCH = 48  # pixels a side of the small photo, without the margin
BATCH = 8
JPEG_SHARE = 0.5  # of the patches
RATE, LAST_RATE, DECAY = 1e-3, 1e-5, 0.4  # the rate falls over the last part of the steps

Pair = tuple[np.ndarray, np.ndarray]  # luma of a small photo, uint8; what its bicubic enlargement lacks, int16


class Upscaler(nn.Module):
    """Luma 0 to 1, N x 1 x height x width, to the residual, N x 1 x 2 (height - 2 MARGIN) x 2 (width - 2 MARGIN)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, CHANNELS, 3)
        self.body = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3) for _ in range(HIDDEN))
        self.tail = nn.Conv2d(CHANNELS, 4, 3)
        for layer in (self.head, *self.body):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.head(x - 0.5))
        for layer in self.body:
            features = torch.relu(layer(features))
        return nn.functional.pixel_shuffle(self.tail(features), 2)


def pair(large: np.ndarray, small: np.ndarray) -> Pair:
    bicubic = cv2.resize(small, large.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    lacking = np.rint(luma(large) - luma(bicubic)).astype(np.int16)
    return np.rint(luma(small)).astype(np.uint8), lacking


def pairs(wallpapers: Path, draw: np.random.Generator) -> tuple[list[Pair], list[Pair]]:
    """Pairs of each photo by each reduction: clean ones, and two JPEGs of quality 50 to 95 each."""
    clean, compressed = [], []
    for name, sides in TRAINED.items():
        for side in sides:
            large = photo(name, side, wallpapers)
            for how in REDUCTIONS:
                small = reduced(large, how)
                clean.append(pair(large, small))
                compressed += [pair(large, jpeg(small, int(draw.integers(50, 96)))) for _ in range(2)]
    return clean, compressed


def patches(kinds: tuple[list[Pair], list[Pair]], draw: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of patches with their residuals, 0 to 1. Each pair comes as often as the root of its size."""
    inputs: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    for _ in range(BATCH):
        one = kinds[int(draw.random() < JPEG_SHARE)]
        shares = np.sqrt([small.size for small, _ in one])
        small, lacking = one[draw.choice(len(one), p=shares / shares.sum())]
        side = PATCH + 2 * MARGIN
        y, x = (int(draw.integers(0, length - side + 1)) for length in small.shape)
        top, left = 2 * (y + MARGIN), 2 * (x + MARGIN)
        turns, mirrored = int(draw.integers(4)), bool(draw.integers(2))
        for into, array in (
            (inputs, small[y : y + side, x : x + side]),
            (targets, lacking[top : top + 2 * PATCH, left : left + 2 * PATCH]),
        ):
            turned = np.rot90(array, turns)
            into.append(np.ascontiguousarray(turned[:, ::-1] if mirrored else turned))
    return tuple(torch.from_numpy(np.stack(some)[:, None].astype(np.float32) / 255) for some in (inputs, targets))


def train(wallpapers: Path, steps: int, out: Path) -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)  # faster than two for patches as small as these
    draw = np.random.default_rng(1)
    kinds = pairs(wallpapers, draw)
    network = Upscaler().to(memory_format=torch.channels_last)
    print(f"{sum(one.numel() for one in network.parameters()):,} parameters, {len(kinds[0]) + len(kinds[1])} pairs")
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    falls = int(steps * (1 - DECAY))
    started, mean = time.process_time(), 0.0
    for step in range(steps):
        left = max(0.0, step - falls) / (steps - falls)
        for group in optimizer.param_groups:
            group["lr"] = min(1, (step + 1) / 200) * RATE * (LAST_RATE / RATE) ** left
        inputs, targets = patches(kinds, draw)
        with torch.autocast("cpu", torch.bfloat16):  # less than half of the time, where the processor has it
            residual = network(inputs.to(memory_format=torch.channels_last))
        loss = (residual.float() - targets).abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        mean += 0.01 * (float(loss) - mean)
        if step % 500 == 499:
            print(f"{step + 1:6} steps, loss {255 * mean:.3f}, {time.process_time() - started:.0f} s", flush=True)
            write(network, out)
    write(network, out)


def write(network: Upscaler, out: Path) -> None:
    """Write the network as ONNX: float32, N x 1 x height x width of any sizes, opset 17."""
    axes = {name: {0: "n", 2: f"{name}_height", 3: f"{name}_width"} for name in ("luma", "residual")}
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 64, 64),),
        str(out),
        input_names=["luma"],
        output_names=["residual"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wallpapers", type=Path, required=True, help="where lomiri-wallpapers-16.04 was unpacked")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--out", type=Path, default=Path("services/embedded/weights/upscaler-x2.onnx"))
    options = parser.parse_args()
    train(options.wallpapers, options.steps, options.out)
