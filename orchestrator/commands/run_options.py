"""The options of `tensorhop run` that are for the run itself, and what is refused among them."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tensorhop.errors import InvalidInput
from tensorhop.options.table import LOOK, OUTPUT
from tensorhop.orchestrator.run.files import TEMPLATE, WrongUse, check_writable
from tensorhop.serving.command import TrustRemoteCode


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


# The photos.
Images = Annotated[
    list[str] | None,
    typer.Argument(metavar="[IMAGE]...", help="Read these files or directories, or - (standard input)."),
]
ManifestFile = Annotated[
    str | None,
    option(
        "Read a JSON object from each line, which names an image and what to do with it; - is standard input.",
        "--manifest",
        metavar="FILE",
    ),
]
MaskFile = Annotated[
    list[Path] | None,
    option(
        "Cut out what is white, or opaque, in this picture of the photo's size; repeatable. Skips segment too.",
        "--mask",
        metavar="FILE",
        panel=LOOK,
    ),
]
Recursive = Annotated[bool, option("Look into the folders of directories.", "--recursive", "-r", panel=LOOK)]

# Which models run.
StepModel = Annotated[
    list[str] | None,
    option(
        "Run this model in a step: a preset, a hub id, a directory or an .onnx file; repeatable.",
        metavar="STEP=NAME",
        show_default="embedded",
    ),
]
StepDevice = Annotated[
    list[str] | None,
    option(
        "Run every named model, or a step's, on auto, cpu, cuda or cuda:N.", metavar="[STEP=]NAME", show_default="auto"
    ),
]
StepDtype = Annotated[
    list[str] | None,
    option(
        "Run every named model, or a step's, in auto, float32, bfloat16 or float16.",
        metavar="[STEP=]NAME",
        show_default="auto",
    ),
]
StepRevision = Annotated[
    list[str] | None, option("Take this branch, tag or commit of a step's hub id; repeatable.", metavar="STEP=COMMIT")
]
MODELS = {
    "model": StepModel,
    "device": StepDevice,
    "dtype": StepDtype,
    "revision": StepRevision,
    "trust_remote_code": TrustRemoteCode,
}

# Output.
Out = Annotated[
    str,
    option(
        "Write into this directory; or write the best object only, to a file or - (standard output).",
        "--out",
        "-o",
        metavar="PATH",
        panel=OUTPUT,
    ),
]
NameTemplate = Annotated[
    str | None,
    option(
        "Make file names of {stem}, {index}, {label} and {score}.",
        "--name",
        metavar="TEMPLATE",
        panel=OUTPUT,
        show_default=f"{TEMPLATE}.png",
    ),
]
AsJson = Annotated[bool, option("Print a JSON object for each event.", "--json", panel=OUTPUT)]
SaveSteps = Annotated[
    Path | None,
    option("Write every intermediate result here, as a picture and an .npy file.", metavar="DIR", panel=OUTPUT),
]

# The run.
Jobs = Annotated[int, option("Work on this many photos at once.", min=1, max=64)]
Resume = Annotated[bool, option("Skip photos that an earlier run finished with the same options.", "--resume")]
FailFast = Annotated[bool, option("Stop at the first photo that fails.", "--fail-fast")]
Endpoint = Annotated[
    str | None,
    option(
        "Use the pipeline that runs there. Without this, the services start in this process.",
        metavar="HOST:PORT",
        envvar="TENSORHOP_ENDPOINT",
    ),
]


def check_out(
    out: str, single: bool, inputs: int, overlay: bool | None, as_json: bool, resume: bool, manifest: bool
) -> None:
    """Raises WrongUse: an --out that the other options contradict, or that cannot be written to."""
    if out != "-":
        check_writable(Path(out).parent if single else Path(out), "--out")
    if not single:
        return
    if inputs > 1:
        raise WrongUse(f"--out {out} is one file, and there are {inputs} photos; name a directory")
    for given, name in ((overlay, "--overlay"), (resume, "--resume"), (manifest, "--manifest")):
        if given:
            raise WrongUse(f"{name} needs a directory; --out is {out}")
    if out == "-" and as_json:
        raise WrongUse("--json and --out - both want standard output")
    if out == "-" and sys.stdout.isatty():
        raise WrongUse("--out - would print a picture on the terminal; send it to a file or a pipe")


def check_manifest(images: Sequence[str], manifest: str | None, only_images: Mapping[str, object]) -> None:
    """Raises WrongUse: neither images nor a manifest, or both, or options beside a manifest that are for images."""
    if not images and manifest is None:
        raise WrongUse("name an IMAGE, a directory or a --manifest")
    if manifest is None:
        return
    if images:
        raise WrongUse(f"--manifest names the photos; {images[0]} cannot be given beside it")
    for name, value in only_images.items():
        if value:
            raise WrongUse(f"{name} has no place beside --manifest, whose lines say that")


def read_mask_file(path: Path) -> np.ndarray:
    """Raises WrongUse: the file cannot be read or is no picture."""
    from tensorhop.values.images import decode_mask

    try:
        return decode_mask(path.read_bytes(), f"--mask {path}")
    except (OSError, InvalidInput) as error:
        raise WrongUse(str(error)) from error
