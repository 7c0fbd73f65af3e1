"""What is checked before any work: the names of the files that will be written, and what is there under these names."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.recording.document import NAME as RECORDING
from tensorhop.orchestrator.run.files import WrongUse, existing, wrong_name
from tensorhop.orchestrator.run.inputs import Input
from tensorhop.orchestrator.run.manifest import RESULTS
from tensorhop.orchestrator.run.own_files import REFUSED_SINGLE, NotOurs, Rights, are_results, file_digest
from tensorhop.orchestrator.run.photo_request import STEPS_REPORT, Destination, PhotoRequest, PhotoTask
from tensorhop.orchestrator.run.summary import read_summary

# The names of a photo's intermediates.
STEP_NAME = re.compile(
    r"(photo|describe|detect|image|background_image|\d+-(segment|shadow|cutout|picture|file|mask))(-\d+)?\.\w+"
    rf"|{re.escape(RECORDING)}|{re.escape(STEPS_REPORT)}"
)


def check_files(
    destination: Destination, tasks: Callable[[], Iterable[PhotoTask]], reads: Iterable[Path], resume: bool
) -> None:
    """Check all files that a run may write, before it begins.

    Args:
        tasks: gives all of them anew; those of a manifest answer for their names themselves, each for its own.
        reads: what the run reads beside the photos.

    Raises:
        WrongUse: a file that is there would be replaced and may not be, two photos would have files of one name, or a
            name is too long, or leaves its folder.
    """
    for path in reads:
        destination.rights.read(path)
    folders = [folder for folder in (destination.out, destination.steps) if folder]
    if anything_there(folders, destination.single):
        for task in tasks():
            if task.photo.file:
                destination.rights.read(task.photo.file)
    taken: dict[str, str] = {}
    refused: list[NotOurs] = []
    for task in tasks():
        if isinstance(task.wanted, InvalidInput):
            continue
        try:
            if not task.line:
                check_names(task.photo, task.wanted)
                check_apart(task.photo, task.wanted, taken)
            check_free(task.photo, task.wanted)
        except InvalidInput as error:
            raise WrongUse(str(error).removeprefix("image ")) from error
        except NotOurs as error:
            if not (resume and is_done(task.photo, task.wanted)):
                refused.append(error)
    if refused:
        more = f" (so it is with {len(refused):,} photos)" if len(refused) > 1 else ""
        raise WrongUse(f"{refused[0].filename} {refused[0].strerror}{more}")


def anything_there(folders: Iterable[Path], single: bool) -> bool:
    """Whether a file could be replaced at all."""
    return single or any(folder.is_dir() and any(True for _ in os.scandir(folder)) for folder in folders)


def is_done(photo: Input, wanted: PhotoRequest) -> bool:
    """Whether an earlier run has finished the photo, so that nothing is written for it."""
    files = wanted.destination.files(photo)
    digest = file_digest(photo.file) if photo.file else None
    return files is not None and digest is not None and read_summary(files.path, digest, wanted.facts()) is not None


def check_names(photo: Input, wanted: PhotoRequest) -> None:
    """Raises InvalidInput: a file for the photo would not fit the file system, or would not stay in its folder."""
    destination = wanted.destination
    if destination.out and not destination.single:
        check_each(photo, destination.out / photo.folder, [*wanted.names(photo), f".{photo.stem}.part.json"])
    if destination.steps:
        check_each(photo, destination.steps / photo.folder, [f"{photo.stem}/{STEPS_REPORT}"])


def check_each(photo: Input, folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if wrong := wrong_name(folder, name):
            raise InvalidInput("image", f"{photo.name!r} cannot have its files in {folder}: {wrong}")


def check_apart(photo: Input, wanted: PhotoRequest, taken: dict[str, str]) -> None:
    """Raises WrongUse: the photo's files would have names of another photo's; `taken` has those of all so far."""
    if wanted.destination.single or wanted.destination.out is None:
        return
    for name in wanted.names(photo):
        path = str(Path(photo.folder, name))
        other = taken.setdefault(unicodedata.normalize("NFC", path).casefold(), photo.name)  # as some file systems do
        if other != photo.name:
            raise WrongUse(
                f"{other} and {photo.name} would both have a file {name!r}; {how_to_part(other, photo, wanted)}"
            )


def how_to_part(other: str, photo: Input, wanted: PhotoRequest) -> str:
    """What to do about two photos whose files have the same names."""
    suffix, here, there = Path(wanted.template).suffix, Path(photo.name), Path(other)
    if here.name.casefold() != there.name.casefold() and here.stem.casefold() == there.stem.casefold():
        return f'--name "{{file}}-{{index}}{suffix}" keeps them apart'
    if here.name == there.name and here.absolute().parent.name != there.absolute().parent.name:
        return f'--name "{{folder}}-{{stem}}-{{index}}{suffix}" keeps them apart'
    return "run one after the other, each with an --out of its own"


def check_free(photo: Input, wanted: PhotoRequest) -> None:
    """Raises NotOurs: a file is there that would have to be replaced for the photo, and may not be."""
    if wanted.destination.single and wanted.destination.out:
        check_single(wanted.destination.out, wanted.destination.rights)
    if files := wanted.destination.files(photo):
        files.check(wanted.names(photo) if wanted.names_known else [files.report])
    if steps_files := wanted.destination.step_files(photo):
        paths = steps_files.folder.iterdir() if steps_files.folder.is_dir() else ()
        steps_files.check([path.name for path in paths if STEP_NAME.fullmatch(path.name)])


def check_single(out: Path, rights: Rights) -> None:
    """Raises NotOurs: the one file is there and may not be replaced. A pipe or a device is written into."""
    if not out.exists() or out.is_file() or out.is_dir():
        rights.check(out, why=REFUSED_SINGLE)


def check_results(out: Path, rights: Rights) -> None:
    """Raises WrongUse: the file for a manifest's results is there, and is something else."""
    path = out / RESULTS
    try:
        rights.check(path, ours=path.is_file() and are_results(path))
    except NotOurs as error:
        raise WrongUse(f"{path} {error.strerror}") from error
    if wrong := wrong_name(out, RESULTS):
        raise WrongUse(f"{path}: {wrong} ({existing(out)})")
