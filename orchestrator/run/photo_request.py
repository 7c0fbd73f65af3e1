"""What to do with one photo: the options that may differ from photo to photo, and what follows from them."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from blake3 import blake3
from pydantic import ConfigDict, Field, create_model

from tensorhop.errors import InvalidInput
from tensorhop.files import suffix_of
from tensorhop.options.arguments import default_arguments, process_arguments
from tensorhop.options.table import OPTIONS, Option
from tensorhop.orchestrator.run.files import MAX_LABEL, TEMPLATE, WrongUse, check_template, encoding_of, fill
from tensorhop.orchestrator.run.inputs import Input
from tensorhop.orchestrator.run.own_files import PhotoFiles, Rights
from tensorhop.orchestrator.run.own_options import OVERLAY
from tensorhop.values.colours import read_colour
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.geometry import Box
from tensorhop.values.images import decode_image
from tensorhop.values.output_options import TRANSPARENT
from tensorhop.values.results import Detection

# Options that are lists belong to a photo itself: in a manifest they are beside its options.
PHOTO_OPTIONS = {option.name: option for option in (*OPTIONS, OVERLAY) if not option.kind.many}
MASK_FIELD = re.compile(r"masks\[(\d+)\](?:\.alpha)?")
STEPS_REPORT = "words.json"  # among the intermediates of a photo
MOST_OBJECTS = 1000  # whose names are looked at beforehand; no server takes more
LONGEST = 0.12345678901234568  # a score with as many digits as there can be
WITHOUT_EFFECT = ("max_parallel", "cache", "ordered")  # on the files


def dashed(name: str) -> str:
    """A field's name as the command line writes it: "max-objects"."""
    return name.replace("_", "-")


def _field(option: Option) -> Any:
    kind = Literal[option.kind.choices] if option.kind.choices else option.kind.type
    return kind | None, Field(None, ge=option.least)


_FromTable: Any = create_model(
    "_FromTable",
    __config__=ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=dashed, populate_by_name=True),
    **{name: _field(option) for name, option in PHOTO_OPTIONS.items()},
)


class PhotoOptions(_FromTable):
    """The options that may differ from photo to photo, by their names in the table. None is the default."""

    def under(self, given: "PhotoOptions") -> "PhotoOptions":
        """These options, but where `given` says something, that."""
        return self.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})

    def values(self) -> dict[str, Any]:
        """What was chosen, by name, as JSON has it."""
        return {name: value for name, value in self if value is not None}


@dataclass(frozen=True)
class Destination:
    """Where the results of a run go."""

    out: Path | None  # a directory; a file, if `single`; None for standard output
    single: bool = False  # only the best object is written, as one file
    template: str | None = None  # of the files' names, in a directory
    steps: Path | None = None  # where intermediates go
    rights: Rights = field(default_factory=Rights, compare=False)

    def files(self, photo: Input) -> PhotoFiles | None:
        """The photo's files in the directory; None without one."""
        if self.single or self.out is None:
            return None
        return PhotoFiles(self.out / photo.folder, f"{photo.stem}.json", photo.file, self.rights)

    def step_files(self, photo: Input) -> PhotoFiles | None:
        """The photo's intermediates; None where they are not kept."""
        if self.steps is None:
            return None
        return PhotoFiles(self.steps / photo.folder / photo.stem, STEPS_REPORT, photo.file, self.rights)


@dataclass(frozen=True)
class PhotoRequest:
    """What to do with a photo."""

    request: dict[str, Any]  # arguments of PipelineClient.process, which ask for files
    destination: Destination
    template: str  # of the files' names, with their suffix
    overlay: bool = True
    mask_files: tuple[str, ...] = ()

    def in_own_words(self, text: str) -> str:
        """What the pipeline says of the request, with masks named as the command line names them."""
        if not self.mask_files:
            return text
        return MASK_FIELD.sub(lambda found: f"--mask {self.mask_files[int(found[1])]}", text)

    def facts(self) -> dict[str, Any]:
        """Everything that decides what comes out, as JSON can hold it; masks as digests."""
        request = {name: request_json(value) for name, value in self.request.items() if name not in WITHOUT_EFFECT}
        steps = None if self.destination.steps is None else str(self.destination.steps)
        return request | {"name": self.template, "overlay": self.overlay, "save_steps": steps}

    def name(self, photo: Input, detection: Detection) -> str:
        """The name of an object's file."""
        return fill(self.template, photo.stem, detection, photo.words)

    def names(self, photo: Input, detections: Sequence[Detection] = ()) -> list[str]:
        """The names of the photo's files in the output directory: the report, the overview, and those of objects.

        Args:
            detections: the objects; before they are known, there are as many as may be found.
        """
        names = [f"{photo.stem}.json", *([f"{photo.stem}-overview.png"] if self.overlay else [])]
        return names + [self.name(photo, detection) for detection in detections or self.possible()]

    def possible(self) -> list[Detection]:
        """Stand-ins for the objects that may be found, with the longest label and score that a name can have."""
        given = self.request["boxes"] or self.request["masks"]
        most = 1 if self.request["merge"] else len(given) or min(self.request["max_objects"], MOST_OBJECTS)
        return [Detection(index, "x" * MAX_LABEL, 0, LONGEST, Box(0, 0, 1, 1)) for index in range(most)]

    @property
    def names_known(self) -> bool:
        """Whether the names do not depend on what is found."""
        return "{label" not in self.template and "{score" not in self.template


@dataclass(frozen=True)
class PhotoTask:
    """One photo and what to do with it, or why nothing can be done."""

    photo: Input
    wanted: PhotoRequest | InvalidInput
    line: int = 0  # of the manifest, from 1; 0 without one


def photo_request(
    chosen: PhotoOptions,
    destination: Destination,
    *,
    phrases: Sequence[str] = (),
    boxes: Sequence[Sequence[float]] = (),
    masks: Sequence[np.ndarray] = (),
    mask_files: Sequence[str] = (),
    folder: Path = Path(),
) -> PhotoRequest:
    """The request that the options make.

    Args:
        folder: what the background's file is relative to.

    Raises:
        WrongUse: they contradict each other, or the background's file cannot be read or is no picture.
        InvalidInput: a value is out of its range.
    """
    values = {name: read_option(PHOTO_OPTIONS[name], value) for name, value in chosen.values().items()}
    check_canvas_options(values)
    if encoding := encoding_of_names(destination, values.get("format")):
        values["format"] = encoding
    picture = background_file(values.get("background", ""), folder)
    if picture:
        del values["background"]
    overlay = values.get("overlay", not destination.single)
    request = default_arguments() | process_arguments(values)
    DetectOptions(request.get("score_threshold"), request.get("iou_threshold")).check("detect")
    request["describe"].check("describe")
    request["finish"].check()
    request["output"].check()
    if picture:
        destination.rights.read(picture)
        request["output"] = replace(request["output"], background_image=read_background(picture))
    template = destination.template or TEMPLATE + suffix_of(request["output"].encoding)
    check_template(template)
    request |= {
        "phrases": list(phrases),
        "boxes": [tuple(box) for box in boxes],
        "masks": list(masks),
        "return_masks": overlay or destination.steps is not None,
        "return_layers": destination.steps is not None,
    }
    return PhotoRequest(request, destination, template, overlay, tuple(mask_files))


def read_option(option: Option, value: Any) -> Any:
    """A value as the option's kind reads it. Raises WrongUse: it is of another kind."""
    try:
        return option.kind.from_json(value)
    except (ValueError, OverflowError) as error:
        raise WrongUse(f"{option.flags} {value!r} is not {option.kind.metavar}; give {option.kind.expects}") from error


def background_file(text: str, folder: Path) -> Path | None:
    """The file that --background names; None for a colour, which goes first: a file beside it has ./ before its name.

    Raises WrongUse: it is neither.
    """
    if text in ("", TRANSPARENT):
        return None
    try:
        read_colour(text, "--background")
    except InvalidInput as error:
        path = folder / text
        if path.is_file() or path.suffix:
            return path
        raise WrongUse(f"{error}, transparent, or the file of a picture") from error
    return None


@lru_cache(4)  # the lines of a manifest mostly share it
def read_background(path: Path) -> bytes:
    """Raises WrongUse: the file cannot be read or is no picture."""
    try:
        data = path.read_bytes()
        decode_image(data, f"--background {path}")
    except (OSError, ValueError) as error:
        reason = f"--background {path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise WrongUse(reason) from error
    return data


def check_canvas_options(values: dict[str, Any]) -> None:
    """Raises WrongUse: a canvas for an object that stays where it is."""
    if values.get("center") is False and (lost := values.keys() & {"canvas", "fill", "max_scale"}):
        names = " and ".join(PHOTO_OPTIONS[name].flags for name in sorted(lost))
        raise WrongUse(f"{names} would have no effect with --no-center: the canvas is the photo")


def encoding_of_names(destination: Destination, given: str | None) -> str | None:
    """The encoding that the names of the files ask for, if they do. Raises WrongUse: another one was given."""
    if destination.single:
        return None if destination.out is None else encoding_of(str(destination.out), "--out", given)
    if destination.template and Path(destination.template).suffix:
        return encoding_of(destination.template, "--name", given)
    return None


def request_json(value: Any) -> Any:
    """A value of a request as JSON gives it back."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes {blake3(value).hexdigest()}"
    if isinstance(value, np.ndarray):
        shape = "x".join(map(str, value.shape))
        return f"{value.dtype} {shape} {blake3(np.ascontiguousarray(value).data).hexdigest()}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: request_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [request_json(one) for one in value]
    return value
