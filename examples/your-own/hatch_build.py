"""Generates swatches/v1 from protos/ when the package is built or installed."""

from pathlib import Path
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

import tensorhop


class BuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        folders = [root / "protos", Path(tensorhop.__file__).parents[1]]  # tensorhop/v1 has its protos beside its stubs
        outputs = [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
        protos = sorted(root.glob("protos/swatches/v1/*.proto"))
        if protoc.main(["protoc", *(f"-I{folder}" for folder in folders), *outputs, *map(str, protos)]):
            raise RuntimeError("protoc failed; its message is above")
        build_data["artifacts"].append("/swatches/v1/*")  # also where git ignores it
