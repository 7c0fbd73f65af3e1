"""The options of `tensorhop run`: what each is called and says, and how their texts become values."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.run.files import TEMPLATE, WrongUse, check_writable, encoding_of
from tensorhop.values.describe_options import LOOKS
from tensorhop.values.finish_options import SHADOWS, Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import ENCODINGS, QUALITY, Output

LOOK, FINISH, OUTPUT = "What to look for", "Finish", "Output"
DEFAULT = Finish()

Encoding = StrEnum("Encoding", [name for name in ENCODINGS if name != "tensor"])  # type: ignore[misc]
ShadowKind = StrEnum("ShadowKind", [*SHADOWS])  # type: ignore[misc]
Preset = StrEnum("Preset", [*FINISH_PRESETS])  # type: ignore[misc]


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


# What to look for.
Images = Annotated[
    list[str] | None, typer.Argument(metavar="[IMAGE]...", help="Files, directories, or - (standard input).")
]
ManifestFile = Annotated[
    str | None,
    option(
        "A JSON object a line that names an image and what to do with it; - is standard input.",
        "--manifest",
        metavar="FILE",
    ),
]
Prompt = Annotated[list[str] | None, option("Look for this; repeatable. Skips describe.", metavar="TEXT", panel=LOOK)]
LookAt = StrEnum("LookAt", [*LOOKS])  # type: ignore[misc]
LookOption = Annotated[LookAt | None, option("What describe looks at.", "--look", panel=LOOK, show_default=LOOKS[0])]
DescribePrompt = Annotated[
    str, option("How the description starts, if the model takes one: a photo of.", metavar="TEXT", panel=LOOK)
]
BoxText = Annotated[
    list[str] | None,
    option("An object is here, in pixels; repeatable. Skips detect too.", "--box", metavar="X0,Y0,X1,Y1", panel=LOOK),
]
MaskFile = Annotated[
    list[Path] | None,
    option(
        "An object is what is white, or opaque, in this picture of the photo's size. Skips segment too.",
        "--mask",
        metavar="FILE",
        panel=LOOK,
    ),
]
MaxObjects = Annotated[int, option("How many objects to cut out, best first.", min=1, panel=LOOK)]
MaxParallel = Annotated[int, option("How many objects may be finished at once.", min=1, panel=LOOK)]
Merge = Annotated[bool, option("Finish all objects as one, as a pair of shoes.", "--merge", panel=LOOK)]
Recursive = Annotated[bool, option("Look into the folders of directories.", "--recursive", "-r", panel=LOOK)]

# Which models run.
StepModel = Annotated[
    list[str] | None,
    option(
        "Model of a step: a preset, a hub id, a directory or an .onnx file; repeatable.",
        metavar="STEP=NAME",
        show_default="embedded",
    ),
]
StepDevice = Annotated[
    list[str] | None,
    option(
        "auto, cpu, cuda or cuda:N, of every named model or of a step's.", metavar="[STEP=]NAME", show_default="auto"
    ),
]
StepDtype = Annotated[
    list[str] | None,
    option("auto, float32, bfloat16 or float16, likewise.", metavar="[STEP=]NAME", show_default="auto"),
]
StepRevision = Annotated[
    list[str] | None, option("Branch, tag or commit of a step's hub id; repeatable.", metavar="STEP=COMMIT")
]

# Finish. None is what was not given: then the preset says, or else the default.
PresetName = Annotated[
    Preset | None,
    option(
        "Options that belong together; those given beside it win. marketplace: a square JPEG, pure white, the object "
        "over 85 % of it, without a shadow.",
        "--preset",
        panel=FINISH,
    ),
]
Center = Annotated[
    bool | None,
    option(
        "Center the object on a canvas, or leave it where it is in the photo.",
        "--center/--no-center",
        panel=FINISH,
        show_default="center",
    ),
]
Canvas = Annotated[
    str | None,
    option(
        "Size of a centered object's canvas in pixels.",
        metavar="WxH",
        panel=FINISH,
        show_default=f"{DEFAULT.canvas.width}x{DEFAULT.canvas.height}",
    ),
]
Fill = Annotated[
    float | None,
    option(
        "Part of the canvas that a centered object fills, above 0 to 1.",
        metavar="PART",
        panel=FINISH,
        show_default=str(DEFAULT.fill),
    ),
]
MaxScale = Annotated[
    float | None,
    option(
        "How far a small object may be enlarged to fill it, 1 to 100.",
        metavar="FACTOR",
        panel=FINISH,
        show_default=str(DEFAULT.max_scale),
    ),
]
Refine = Annotated[
    bool | None,
    option(
        "Bring a coarse mask's edges onto the object's.", "--refine/--no-refine", panel=FINISH, show_default="refine"
    ),
]
Decontaminate = Annotated[
    bool | None,
    option(
        "Take the background's colour out of soft edges.",
        "--decontaminate/--no-decontaminate",
        panel=FINISH,
        show_default="decontaminate",
    ),
]
Shadow = Annotated[
    ShadowKind | None,
    option(
        "No shadow, a soft one where the object stands, or that and the one it casts.",
        "--shadow",
        panel=FINISH,
        show_default=DEFAULT.shadow,
    ),
]
Rot = Annotated[
    float | None,
    option(
        "Where the cast shadow falls: 0 away from the viewer, 90 right.",
        metavar="DEGREES",
        panel=FINISH,
        show_default=f"{DEFAULT.rot:g}",
    ),
]
ShadowLength = Annotated[
    float | None,
    option(
        "Of the cast shadow, in heights of the object, 0 to 4.",
        metavar="HEIGHTS",
        panel=FINISH,
        show_default=str(DEFAULT.length),
    ),
]
ShadowSoftness = Annotated[
    float | None,
    option(
        "Blur of the cast shadow, in lengths of the light's way, 0 to 0.25.",
        metavar="PART",
        panel=FINISH,
        show_default=str(DEFAULT.softness),
    ),
]
ShadowOpacity = Annotated[
    float | None,
    option(
        "Part of the light that the cast shadow lacks, 0 to 1.",
        metavar="PART",
        panel=FINISH,
        show_default=str(DEFAULT.opacity),
    ),
]

# Output.
Format = Annotated[
    Encoding | None,
    option("Of the files.", "--format", panel=OUTPUT, show_default="as --out or --name ends, else png"),
]
Quality = Annotated[
    int | None,
    option("Of webp and jpeg, 1 to 100.", metavar="NUMBER", panel=OUTPUT, show_default=str(QUALITY)),
]
Background = Annotated[
    str | None,
    option(
        "Put the object on this: a CSS colour name, #rgb or #rrggbb.",
        metavar="COLOUR",
        panel=OUTPUT,
        show_default="none, or white for jpeg",
    ),
]
Out = Annotated[
    str,
    option(
        "A directory; or, for the best object only, a file or - (standard output).",
        "--out",
        "-o",
        metavar="PATH",
        panel=OUTPUT,
    ),
]
NameTemplate = Annotated[
    str | None,
    option(
        "File names, made of {stem}, {index}, {label} and {score}.",
        "--name",
        metavar="TEMPLATE",
        panel=OUTPUT,
        show_default=f"{TEMPLATE}.png",
    ),
]
Overlay = Annotated[
    bool | None,
    option(
        "Write an overview with boxes and labels too.",
        "--overlay/--no-overlay",
        panel=OUTPUT,
        show_default="on for a directory",
    ),
]
AsJson = Annotated[bool, option("Print one JSON object an event.", "--json", panel=OUTPUT)]
SaveSteps = Annotated[
    Path | None, option("Write every intermediate here, as a picture and an .npy.", metavar="DIR", panel=OUTPUT)
]

# The run.
NoCache = Annotated[bool, option("Compute everything anew.", "--no-cache")]
Jobs = Annotated[int, option("How many photos may be under way at once.", min=1, max=64)]
Resume = Annotated[bool, option("Skip photos that an earlier run finished with the same options.", "--resume")]
FailFast = Annotated[bool, option("Stop at the first photo that fails.", "--fail-fast")]
Endpoint = Annotated[
    str | None,
    option(
        "A running pipeline. Without it the services start in this process.",
        metavar="HOST:PORT",
        envvar="TENSORHOP_ENDPOINT",
    ),
]


def finish(preset: str | None, **given: Any) -> Finish:
    """The preset's choices, or the defaults, under those that were given (not None).

    Raises:
        WrongUse: a canvas for an object that stays where it is.
        InvalidInput: a value out of its range.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen.get("center") is False and (lost := chosen.keys() & {"canvas", "fill", "max_scale"}):
        names = " and ".join(f"--{name.replace('_', '-')}" for name in sorted(lost))
        raise WrongUse(f"{names} would have no effect with --no-center: the canvas is the photo")
    result = replace(FINISH_PRESETS[preset]["finish"] if preset else DEFAULT, **chosen)
    result.check()
    return result


def output(
    preset: str | None,
    encoding: str | None,
    file: str,
    template: str | None,
    quality: int | None,
    background: str | None,
) -> Output:
    """The preset's choices, or the defaults, under those that were given.

    Args:
        file: what --out says, if it is one file and not a directory.
        template: what --name says.

    Raises:
        WrongUse: --format is not what the file's name says.
        InvalidInput: an unknown colour, or a quality out of range or of a lossless encoding.
    """
    if file not in ("", "-"):
        encoding = encoding_of(file, "--out", encoding)
    elif not file and template and Path(template).suffix:
        encoding = encoding_of(template, "--name", encoding)
    given = {"encoding": encoding, "quality": quality, "background": background}
    chosen = {name: value for name, value in given.items() if value is not None}
    result = replace(FINISH_PRESETS[preset]["output"] if preset else Output(), **chosen)  # type: ignore[arg-type]
    result.check()
    return result


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


def parse_box(text: str) -> tuple[float, ...]:
    """Raises WrongUse: not four finite numbers, or inverted."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise WrongUse(f"--box {text!r} is not x0,y0,x1,y1") from error
    if not all(map(math.isfinite, (x0, y0, x1, y1))) or x0 >= x1 or y0 >= y1:
        raise WrongUse(f"--box {text!r} must be finite, with x0 < x1 and y0 < y1")
    return x0, y0, x1, y1


def parse_canvas(text: str | None) -> Size | None:
    """Raises WrongUse: not two whole numbers."""
    if text is None:
        return None
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise WrongUse(f"--canvas {text!r} is not WxH, as 1200x800") from error
    return Size(width, height)


def read_mask_file(path: Path) -> np.ndarray:
    """Raises WrongUse: the file cannot be read or is no picture."""
    from tensorhop.values.images import decode_mask

    try:
        return decode_mask(path.read_bytes(), f"--mask {path}")
    except (OSError, InvalidInput) as error:
        raise WrongUse(str(error)) from error
