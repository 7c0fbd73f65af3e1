"""An operator's own model files: which backend runs them, or what is missing and what to do about it."""

from collections.abc import Collection
from pathlib import Path

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import PRESETS

CHECKPOINT = (".safetensors", ".bin")  # weights that transformers reads, beside a config.json
BARE = (*CHECKPOINT, ".pth", ".pt", ".ckpt")  # files of weights, which do not say what network they are for
_LISTED = 4  # names of files in a message


def own_files(service: str, model: str, backends: Collection[str]) -> tuple[str, Path] | None:
    """The backend that runs what `--model` names on this machine, and its path; None if it is not a path.

    Args:
        model: a directory or an .onnx file; ~ is the home directory.
        backends: the service's.

    Raises:
        InvalidInput: it is a path, but there is nothing, or not all that a model needs.
    """
    try:
        path = Path(model).expanduser()
        if model and path.is_dir():
            return _folder(service, path, backends)
        if path.is_file():
            return _file(service, path, backends)
    except (OSError, RuntimeError) as error:  # no right to look, too long a name, or no such user's home
        raise InvalidInput("--model", f"is {model!r}, which cannot be read: {error}") from error
    if not looks_like_path(model):
        return None
    raise InvalidInput(
        "--model", f"is {model!r}, but there is no file or folder {path.absolute()}; {_wanted(service, backends)}"
    )


def looks_like_path(model: str) -> bool:
    """Whether it can only be meant as a path; owner/name may be a hub id as well."""
    first, *others = model.split("/")
    return (
        first in ("", ".", "..")
        or first.startswith("~")
        or len(others) > 1
        or model.endswith("/")
        or Path(model).suffix in (".onnx", *BARE)
    ) and model != ""


def _file(service: str, path: Path, backends: Collection[str]) -> tuple[str, Path]:
    if path.suffix == ".onnx":
        return "onnx", path
    if path.suffix not in BARE:
        raise InvalidInput("--model", f"names the file {path}; {_wanted(service, backends)}")
    if (path.parent / "config.json").is_file() and path.suffix in CHECKPOINT:
        raise InvalidInput("--model", f"names the file {path}; name its folder: {path.parent}")
    raise InvalidInput(
        "--model", f"names {path}, which holds weights but not their network; {_wanted(service, backends)}"
    )


def _folder(service: str, path: Path, backends: Collection[str]) -> tuple[str, Path]:
    names = sorted(file.name for file in path.iterdir())
    weights = [name for name in names if Path(name).suffix in CHECKPOINT]
    if "config.json" in names and weights:
        return "transformers", path
    if "osediff" in backends and "unet" in names and "vae" in names:
        if not any(name.endswith(".pkl") for name in names):
            raise InvalidInput(
                "--model",
                f"names the folder {path}, which has no .pkl with OSEDiff's adapters; {_wanted(service, backends)}",
            )
        return "osediff", path
    if "groundingdino" in backends and any(name.endswith(".pth") for name in names):
        return "groundingdino", path
    if "onnx" in backends and (networks := sorted([*path.glob("*.onnx"), *path.glob("onnx/*.onnx")])):
        raise InvalidInput("--model", f"names the folder {path}; name a file in it: {networks[0]}")
    missing = [what for what, found in (("config.json", "config.json" in names), ("weights", weights)) if not found]
    held = ", ".join(names[:_LISTED]) + (" ..." if len(names) > _LISTED else "")
    raise InvalidInput(
        "--model",
        f"names the folder {path}, which has no {' and no '.join(missing)} (it has {held or 'no files'}); "
        f"{_wanted(service, backends)}",
    )


def _wanted(service: str, backends: Collection[str]) -> str:
    """What a path of a model of the service must lead to."""
    kinds = {
        "transformers": "a folder with config.json and model.safetensors, as save_pretrained writes it",
        "osediff": "a folder of Stable Diffusion 2.1-base with OSEDiff's .pkl in it",
        "groundingdino": "a folder with one .pth and its configuration (.py)",
        "onnx": "an .onnx file",
    }
    wanted = [text for backend, text in kinds.items() if backend in backends]
    page = f" (docs/{service}.md)" if any(preset.service == service for preset in PRESETS.values()) else ""
    return f"{service} takes {', or '.join(wanted) or 'its embedded model alone'}{page}"
