"""Download of models from a hub or a plain address; they are kept on this machine. Needs the extra `models`."""

import hashlib
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import ModelPreset

# The files of a transformers checkpoint: weights in the new or old format, configuration and tokenizers, code.
WEIGHTS, OLD_WEIGHTS = "*.safetensors", "*.bin"
REST = ["*.json", "*.txt", "*.model", "*.jinja"]
CODE = "*.py"


def local(model: str, revision: str, preset: ModelPreset | None) -> tuple[Path, str] | None:
    """The files of a model and their commit if they are on this machine, else None. Uses no network."""
    if preset and preset.url:
        path = _kept(preset)
        return (path, "") if path.is_file() else None
    repo, file = (preset.repo, preset.file) if preset else (model, "")
    for weights in [file] if file else [WEIGHTS, OLD_WEIGHTS]:
        patterns = _patterns(file, weights)
        try:
            folder = Path(
                snapshot_download(repo, revision=revision or None, allow_patterns=patterns, local_files_only=True)
            )
        except (LocalEntryNotFoundError, IncompleteSnapshotError, HFValidationError):
            continue
        if any(folder.glob(weights)):
            return folder / file, folder.name
    return None


def pull(model: str, revision: str = "", preset: ModelPreset | None = None, code: bool = False) -> tuple[Path, str]:
    """Fetch those files of a model that are missing or have changed. Shows progress, and resumes interrupted downloads.

    Args:
        model: the name that was asked for: a preset's, or a hub id.
        revision: a branch, tag or commit; the hub's default if empty.
        code: fetch the repository's Python code too.

    Returns:
        The model's directory or file, and the commit; "" if the model is not in a repository.

    Raises:
        InvalidInput: there is no such model, it is private or gated, or the network cannot be reached.
    """
    try:
        if preset and preset.url:
            return _download(preset), ""
        repo, file = (preset.repo, preset.file) if preset else (model, "")
        named = revision or None
        names = [Path(one.rfilename) for one in HfApi().model_info(repo, revision=named).siblings or []]
        weights = WEIGHTS if any(name.match(WEIGHTS) for name in names) else OLD_WEIGHTS
        patterns = _patterns(file, weights, code)
        folder = Path(snapshot_download(repo, revision=named, allow_patterns=patterns))
    except (RepositoryNotFoundError, HFValidationError) as error:
        private = "; if it is private or gated, set HF_TOKEN" if not isinstance(error, HFValidationError) else ""
        raise InvalidInput("--model", f"{model}: the hub has no such model{private}") from error
    except RevisionNotFoundError as error:
        raise InvalidInput("--revision", f"{revision} is no branch, tag or commit of {model}") from error
    except GatedRepoError as error:
        raise InvalidInput("--model", f"{model} is gated: accept its terms on the hub, and set HF_TOKEN") from error
    except HfHubHTTPError as error:
        raise InvalidInput("--model", f"{model} cannot be fetched: {error}") from error
    except (OSError, HTTPError) as error:  # the hub's LocalEntryNotFoundError among them
        where = preset.url if preset and preset.url else constants.ENDPOINT
        raise InvalidInput(
            "--model",
            f"{model} is not on this machine, and {where} cannot be reached: fetch it where there is a network "
            f"(tensorhop models pull {model}), or name a directory or file that holds it",
        ) from error
    return folder / file, folder.name


def _patterns(file: str, weights: str, code: bool = False) -> list[str]:
    """Patterns of the files to fetch from a repository: one file, with its external data if any, or a checkpoint."""
    return [file, f"{file}_data"] if file else [weights, *REST, *([CODE] if code else [])]


def _kept(preset: ModelPreset) -> Path:
    return Path(constants.HF_HOME) / "tensorhop" / preset.url.rpartition("/")[2]


def _download(preset: ModelPreset) -> Path:
    path = _kept(preset)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("ab") as file:
        http_get(preset.url, file, resume_size=file.tell(), displayed_filename=path.name)
    with part.open("rb") as file:
        kind, _, stated = preset.checksum.partition(":")
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != stated.lower():
        part.unlink()
        raise InvalidInput("--model", f"{preset.url} has the {kind} {found}, and its publisher states {stated}")
    return part.rename(path)
