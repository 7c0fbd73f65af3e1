"""What the wheel is made of: stubs generated from protos/, and the folders of this repository that are sub-packages.

The repository keeps services/, orchestrator/ and web/ at its top; in Python they are `tensorhop.services` and so on.
A link for each in tensorhop/ makes that so for an editable install, mypy and the wheel alike.
"""

import os
import shutil
import subprocess
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STUBS = "tensorhop/v1"
LINKED = ("orchestrator", "services", "web")


def link_packages(root: Path) -> list[Path]:
    """Link each folder of LINKED into tensorhop/, and return the links. On Windows they are junctions."""
    links = []
    for name in LINKED:
        link = root / "tensorhop" / name
        links.append(link)
        if link.exists():
            continue
        if os.name == "nt":  # a symbolic link would need a privilege
            subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(root / name)], check=True, capture_output=True)
        else:
            link.symlink_to(Path("..") / name, target_is_directory=True)
    return links


def generate_stubs(root: Path) -> list[Path]:
    """Write the stubs, one module for each proto file, and return all that is there. What was there before is deleted.

    The protos lie beside them, where protoc finds those that another package's proto imports.
    """
    import grpc_tools
    from grpc_tools import protoc

    target = root / STUBS
    target.mkdir(exist_ok=True)
    for old in (*target.glob("*_pb2*"), *target.glob("*.proto")):
        old.unlink()
    (target / "__init__.py").write_text('"""Generated from protos/tensorhop/v1 by `make protos`; never edited."""\n')
    protos = sorted((root / "protos" / STUBS).glob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    outputs = [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
    command = ["protoc", f"-I{root / 'protos'}", f"-I{well_known}", *outputs, *map(str, protos)]
    if protoc.main(command) != 0:
        raise RuntimeError(f"protoc failed: {' '.join(command)}")
    oip = root / "tensorhop/rpc/oip"  # its messages get a descriptor pool of their own, and so no module
    described = ["protoc", f"-I{oip}", f"--descriptor_set_out={target / 'inference.binpb'}", "inference.proto"]
    if protoc.main(described) != 0:
        raise RuntimeError(f"protoc failed: {' '.join(described)}")
    for proto in protos:
        shutil.copy(proto, target)
        if "\nservice " not in proto.read_text():  # a file without a service gets an empty gRPC module
            (target / f"{proto.stem}_pb2_grpc.py").unlink()
    return sorted((*target.glob("*.py*"), *target.glob("*.proto"), *target.glob("*.binpb")))


class BuildHook(BuildHookInterface):
    """Runs before the wheel is put together, and before an editable install."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Make the stubs and the links, and add them to the build, which otherwise leaves out what git ignores."""
        root = Path(self.root)
        build_data["artifacts"] += [f"/{path.relative_to(root).as_posix()}" for path in generate_stubs(root)]
        build_data["artifacts"] += [f"/{path.relative_to(root).as_posix()}/**" for path in link_packages(root)]


if __name__ == "__main__":
    generate_stubs(Path(__file__).parent)
    link_packages(Path(__file__).parent)
