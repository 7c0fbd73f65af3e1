"""A manifest: a JSON object a line, each naming a photo and what to do with it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from tensorhop.errors import InvalidInput
from tensorhop.files import CannotWrite, write_file
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.inputs import STDIN, Input, standard_input, stem_of, words_of
from tensorhop.orchestrator.run.photo_request import PhotoOptions, PhotoRequest, PhotoTask, dashed

MAX_LINE = 1024 * 1024  # bytes; 500 boxes with their labels take a tenth of it
CHUNK = 1024 * 1024
BOM = b"\xef\xbb\xbf"
RESULTS = "results.jsonl"
SHOWN = 60  # characters of a wrong value


class Line(BaseModel):
    """What a line says."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    image: str = Field(min_length=1)
    phrases: list[str] = []
    boxes: list[Annotated[list[float], Field(min_length=4, max_length=4)]] = []
    options: PhotoOptions = PhotoOptions()


def open_manifest(name: str) -> BinaryIO:
    """The manifest, or standard input for "-". Raises WrongUse: it cannot be read."""
    try:
        return standard_input() if name == STDIN else Path(name).open("rb")
    except (OSError, ValueError) as error:
        raise WrongUse(f"--manifest {name}: {error}") from error


class ResultsFile:
    """The results of a manifest's lines: a new file, which takes the place of that of an earlier run.

    Raises:
        CannotWrite: it cannot be made.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / RESULTS
        write_file(self.path, b"", follow=False)
        self.file = self.path.open("ab", buffering=0)

    def write(self, text: str) -> None:
        """Write a line, whole or not at all. Raises CannotWrite."""
        data, size = text.encode(), self.file.tell()
        try:
            while data:
                data = data[self.file.write(data) :]
        except OSError as error:
            self.file.truncate(size)
            raise CannotWrite(error.errno, error.strerror, str(self.path)) from error

    def flush(self) -> None:
        """Each line is in the file when it was written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


def count_lines(name: str) -> int | None:
    """How many lines there are, or None where reading them would use them up."""
    if not Path(name).is_file():
        return None
    count, last = 0, b"\n"
    with Path(name).open("rb") as file:
        while chunk := file.read(CHUNK):
            count, last = count + chunk.count(b"\n"), chunk[-1:]
    return count + (last != b"\n")


def read_tasks(file: BinaryIO, folder: Path, read_options: Callable[[Line], PhotoRequest]) -> Iterator[PhotoTask]:
    """A task for each line that is not blank, read when it is wanted for; a broken line's task says what is wrong.

    Args:
        folder: what images are relative to.
        read_options: what a line's options mean; it may raise WrongUse and InvalidInput.
    """
    for number, text in enumerate(lines(file), 1):
        if text is not None and not text.strip():
            continue
        try:
            if text is None:
                raise InvalidInput("line", f"has over {MAX_LINE:,} bytes; that is the most")
            line = read_line(text)
            request, words = read_options(line), words_of(line.image, f"{number}-")
            photo = Input(line.image, stem_of(words, request.destination.template), folder / line.image, words=words)
            yield PhotoTask(photo, request, number)
        except (InvalidInput, WrongUse) as error:
            fault = error if isinstance(error, InvalidInput) else InvalidInput("options:", str(error))
            yield PhotoTask(Input(image_of(text), str(number)), fault, number)


def lines(file: BinaryIO) -> Iterator[bytes | None]:
    """The lines; None for one that is too long, of which no more than a chunk is held."""
    first = True
    while text := file.readline(MAX_LINE + 1):
        if first:
            text, first = text.removeprefix(BOM), False
        if len(text) <= MAX_LINE or text.endswith(b"\n"):
            yield text
            continue
        while text and not text.endswith(b"\n"):
            text = file.readline(CHUNK)
        yield None


def image_of(text: bytes | None) -> str:
    """The image that a broken line names, or ""."""
    try:
        known = from_json(text or b"")
    except ValueError:
        return ""
    image = known.get("image") if isinstance(known, dict) else None
    return image if isinstance(image, str) else ""


def read_line(text: bytes) -> Line:
    """Raises InvalidInput, which names the field."""
    try:
        return Line.model_validate_json(text)
    except ValidationError as error:
        raise wrong(error.errors(include_url=False)[0]) from error


def wrong(fault: Any) -> InvalidInput:
    """What is wrong with a line, from what pydantic found."""
    path = ""
    for part in fault["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    match fault["type"]:
        case "json_invalid":
            return InvalidInput("line", f"is not JSON: {fault['ctx']['error']}")
        case "model_type" | "model_attributes_type":
            return InvalidInput(path or "line", f"is {shown(fault['input'])}; a JSON object is needed")
        case "extra_forbidden":
            fields = PhotoOptions.model_fields if path.startswith("options.") else Line.model_fields
            return InvalidInput(path, f"is not known; known are {', '.join(map(dashed, fields))}")
        case "missing":
            return InvalidInput(path, "is missing")
        case "too_short" | "too_long" if path.startswith("boxes["):
            return InvalidInput(path, f"is {shown(fault['input'])}; a box is [x0, y0, x1, y1]")
    return InvalidInput(path, f"is {shown(fault['input'])}: {fault['msg'].lower()}")


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 4] + " ..."
