"""Generate tensorhop/v1 from protos/, for the wheel's build and for `make protos`."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "tensorhop/v1"


def generate(root: Path) -> list[Path]:
    """Write the stubs, one module for each proto file, and return them. Stubs of removed protos are deleted."""
    import grpc_tools
    from grpc_tools import protoc

    target = root / PACKAGE
    target.mkdir(exist_ok=True)
    for old in target.glob("*_pb2*"):
        old.unlink()
    (target / "__init__.py").write_text('"""Generated from protos/tensorhop/v1 by `make protos`; never edited."""\n')
    protos = sorted((root / "protos" / PACKAGE).glob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    outputs = [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
    command = ["protoc", f"-I{root / 'protos'}", f"-I{well_known}", *outputs, *map(str, protos)]
    if protoc.main(command) != 0:
        raise RuntimeError(f"protoc failed: {' '.join(command)}")
    for proto in protos:  # files without a service get an empty gRPC module
        if "\nservice " not in proto.read_text():
            (target / f"{proto.stem}_pb2_grpc.py").unlink()
    return sorted(target.glob("*.py*"))


class ProtoBuildHook(BuildHookInterface):
    """Runs before the wheel is put together, and before an editable install."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Generate the stubs and add them to the build, which otherwise leaves out what git ignores."""
        root = Path(self.root)
        if self.target_name == "wheel":
            build_data["artifacts"] += [f"/{path.relative_to(root)}" for path in generate(root)]


if __name__ == "__main__":
    generate(Path(__file__).parent)
