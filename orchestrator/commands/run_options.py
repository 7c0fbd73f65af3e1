"""The options of `tensorhop run` that are for the run itself, and what is refused among them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tensorhop.options.table import LOOK, OUTPUT
from tensorhop.orchestrator.run.files import TEMPLATE
from tensorhop.serving.command import AcceptLicense, TrustRemoteCode


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
        "Run every named model, or a step's, in auto, float32, bfloat16, float16, nf4 or int8.",
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
    "accept_license": AcceptLicense,
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
        "Make file names of {folder}, {file}, {stem}, {index}, {label} and {score}.",
        "--name",
        metavar="TEMPLATE",
        panel=OUTPUT,
        show_default=f"{TEMPLATE}.png",
    ),
]
AsJson = Annotated[bool, option("Print a JSON object for each event.", "--json", panel=OUTPUT)]
SaveSteps = Annotated[
    str | None,
    option("Write every intermediate result here, as a picture and an .npy file.", metavar="DIR", panel=OUTPUT),
]

Overwrite = Annotated[
    bool, option("Replace files that no earlier run wrote; never those that are read.", "--overwrite", panel=OUTPUT)
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
