"""Sources of models: the files that `--model` names, found on this machine or fetched from the hub."""

import hashlib
import importlib.util
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tensorhop.errors import InvalidInput
from tensorhop.extras import groundingdino_command, install_command, models_command, osediff_command
from tensorhop.models.own_files import own_files
from tensorhop.models.presets import PRESETS, ModelPreset

EMBEDDED = "embedded"
REMOTE, SCHEME = "oip", "oip://"  # a network on another server, by the Open Inference Protocol
WEIGHTS = (".safetensors", ".bin", ".onnx", ".onnx_data", ".pth")
QUANTIZED = ("nf4", "int8")  # weights of 4 and 8 bits, by bitsandbytes
DTYPES = ("float32", "bfloat16", "float16", *QUANTIZED)
QUANTIZES = ("describe", "detect", "quality")  # the services that run such weights

# The modules that a backend imports beyond those of a plain install.
NEEDS = {
    "embedded": (),
    "onnx": (),
    REMOTE: (),
    "transformers": ("torch", "transformers"),
    "osediff": ("torch", "transformers", "diffusers"),
    "groundingdino": (
        *("torch", "torchvision", "transformers", "groundingdino"),
        *("addict", "matplotlib", "pycocotools", "timm", "yapf"),
    ),
}
INSTALL = {"osediff": osediff_command, "groundingdino": groundingdino_command}  # of the others: models_command
# The number types that a backend can be told to compute in.
COMPUTES = {
    "embedded": ("float32",),
    "onnx": (),
    REMOTE: (),
    "transformers": DTYPES,
    "osediff": ("float32", "bfloat16", "float16"),
    "groundingdino": ("float32",),
}
ONNX_DEVICES = ("tensorrt", "openvino")  # beside those that PyTorch has, too
REMOTE_URL = re.compile(r"oip://(?P<address>[^/\s]+:\d+)/(?P<name>[^/@\s]+)(?:@(?P<version>[^/@\s]+))?")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelChoice:
    """Which model an operator asked for, and how to run it."""

    model: str = EMBEDDED  # or a preset, a hub id, a directory, an .onnx file, oip://HOST:PORT/NAME
    device: str = "auto"  # auto, cpu, cuda or cuda:N; for .onnx files also tensorrt, tensorrt:N or openvino
    dtype: str = "auto"  # auto, float32, bfloat16, float16, nf4 or int8
    revision: str = ""  # of a hub id: a branch, tag or commit
    trust_remote_code: bool = False  # run the Python code in a repository
    accept_license: bool = False  # fetch a preset whose license forbids commercial use


@dataclass(frozen=True)
class ModelSource:
    """A model's files on this machine, and how to run them."""

    choice: ModelChoice
    backend: str  # which of a service's classes runs it
    path: Path  # a directory, or an .onnx file; of a network on another server, its name there
    revision: str = ""  # the hub's commit; empty for an operator's own files
    preset: ModelPreset | None = None

    @property
    def name(self) -> str:
        return self.choice.model

    @property
    def where(self) -> str:
        """What names it in messages: its path, or the address of a network on another server."""
        return self.choice.model if self.backend == REMOTE else str(self.path)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights in hexadecimal; several files are taken in the order of their names.

        Raises:
            InvalidInput: there are no weights.
        """
        files = [self.path] if self.path.is_file() else sorted(p for p in self.path.iterdir() if p.suffix in WEIGHTS)
        if not files:
            raise InvalidInput("--model", f"{self.path} holds no weights ({', '.join(WEIGHTS)})")
        return digest_of_files(files)


def check_choice(service: str, choice: ModelChoice, backends: Collection[str]) -> tuple[str, Path | None]:
    """Whether a service can run what an operator chose, as far as that is known without its libraries and the hub.

    Args:
        backends: the service's.

    Returns:
        The backend, and the path of an operator's own files.

    Raises:
        InvalidInput: there is no such model, it belongs to another service, a file is missing, or the model cannot use
            one of the options.
    """
    parse_device(choice.device)
    if choice.dtype not in ("auto", *DTYPES):
        raise InvalidInput("--dtype", f"is {choice.dtype!r}; it must be auto, {', '.join(DTYPES[:-1])} or {DTYPES[-1]}")
    preset = PRESETS.get(choice.model)
    if preset and preset.service != service:
        other = f"{choice.model}-{service}"
        hint = f"; {service}'s is {other}" if other in PRESETS else ""
        raise InvalidInput("--model", f"{choice.model} is a model of {preset.service}, not of {service}{hint}")
    if choice.model == EMBEDDED:
        backend, path = EMBEDDED, None
    elif preset:
        backend, path = preset.backend, None
    elif choice.model.startswith(SCHEME):
        backend, path = REMOTE, Path(parse_remote(choice.model).name)
    else:
        backend, path = own_files(service, choice.model, backends) or _hub_id(service, choice.model)
    if backend == REMOTE and REMOTE not in backends:
        raise InvalidInput(
            "--model", f"is {choice.model}, a network on another server, which {service} cannot use; name another model"
        )
    if backend not in backends:
        raise InvalidInput("--model", f"{choice.model} is for {backend}, which {service} does not have")
    _check_options(service, choice, backend, from_hub=bool(preset and preset.repo) or (not preset and path is None))
    return backend, path


class RemoteName(NamedTuple):
    """Where a network on another server is."""

    address: str
    name: str
    version: str  # "" leaves it to the server


def parse_remote(model: str) -> RemoteName:
    """The parts of "oip://HOST:PORT/NAME" or "oip://HOST:PORT/NAME@VERSION". Raises InvalidInput: another form."""
    found = REMOTE_URL.fullmatch(model)
    if not found:
        raise InvalidInput("--model", f"is {model!r}; it must be oip://HOST:PORT/NAME or oip://HOST:PORT/NAME@VERSION")
    return RemoteName(found["address"], found["name"], found["version"] or "")


def takes_code(choice: ModelChoice) -> bool:
    """Whether a model may bring Python code: a hub id or a directory may, and presets that say so."""
    preset = PRESETS.get(choice.model)
    own = choice.model == EMBEDDED or choice.model.endswith(".onnx") or choice.model.startswith(SCHEME)
    return preset.own_code if preset else not own


def is_noncommercial(choice: ModelChoice) -> bool:
    """Whether the license of a model forbids commercial use, as far as that is known."""
    preset = PRESETS.get(choice.model)
    return preset is not None and preset.noncommercial


def check_license(model: str, preset: ModelPreset | None, accepted: bool) -> None:
    """Raises InvalidInput: the license of a preset to be fetched forbids commercial use, and is not accepted."""
    if preset and preset.noncommercial and not accepted:
        raise InvalidInput(
            "--accept-license",
            f"is missing; the license of {model}, {preset.licence}, forbids commercial use: "
            f"read it ({preset.reference}), then add --accept-license",
        )


def find_model(service: str, choice: ModelChoice, backends: Collection[str]) -> ModelSource:
    """The files that `--model` names; fetched from the hub if they are not on this machine.

    Args:
        backends: the service's.

    Raises:
        InvalidInput: as `check_choice`; or it needs a package that is not installed, or it cannot be fetched.
    """
    backend, path = check_choice(service, choice, backends)
    preset, revision = PRESETS.get(choice.model), ""
    if backend == EMBEDDED:
        return ModelSource(choice, backend, Path())
    name = choice.model if preset or path else f"{choice.model} (a hub id: there is no such folder here)"
    check_installed(name, NEEDS[backend], INSTALL.get(backend, models_command))
    if choice.dtype in QUANTIZED:
        check_installed(f"--dtype {choice.dtype}", ("accelerate", "bitsandbytes"), lambda: install_command("quantize"))
    if path is None:
        path, revision = _fetched(choice, preset)
    return ModelSource(choice, backend, path, revision, preset)


def _check_options(service: str, choice: ModelChoice, backend: str, from_hub: bool) -> None:
    """Raises InvalidInput: an option is given that the model cannot use."""
    rather = "leave it out, or name another --model"
    if parse_device(choice.device)[0] in ONNX_DEVICES and backend not in (EMBEDDED, "onnx"):
        raise InvalidInput("--device", f"is {choice.device}, which runs .onnx files, not {choice.model}; {rather}")
    if backend == REMOTE and choice.device != "auto":
        raise InvalidInput("--device", f"is {choice.device}, but the server of {choice.model} decides that; {rather}")
    if backend == EMBEDDED and choice.device not in ("auto", "cpu"):
        raise InvalidInput("--device", f"is {choice.device}, but the embedded model runs on the CPU; {rather}")
    if choice.dtype in QUANTIZED and service not in QUANTIZES:
        raise InvalidInput(
            "--dtype",
            f"is {choice.dtype}, which {' and '.join(QUANTIZES)} run, not {choice.model} in {service}; {rather}",
        )
    if choice.dtype != "auto" and choice.dtype not in COMPUTES[backend]:
        computes = ", ".join(COMPUTES[backend]) or "the number type of its file"
        raise InvalidInput("--dtype", f"is {choice.dtype}, but {choice.model} computes in {computes}; {rather}")
    if choice.revision and (backend == EMBEDDED or not from_hub):
        raise InvalidInput("--revision", f"is {choice.revision}, but {choice.model} is not from the hub; {rather}")
    if choice.trust_remote_code and (backend != "transformers" or not takes_code(choice)):
        raise InvalidInput("--trust-remote-code", f"is given, but {choice.model} brings no Python code; {rather}")
    if choice.accept_license and not is_noncommercial(choice):
        raise InvalidInput(
            "--accept-license", f"is given, but no license has to be accepted for {choice.model}; {rather}"
        )


def check_installed(model: str, modules: Iterable[str], install: Callable[[], str] = models_command) -> None:
    """Raises InvalidInput: a module that a model needs is not installed. The message has the command to install it."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidInput("--model", f"{model} needs {' and '.join(missing)}; install with: {install()}")


def _fetched(choice: ModelChoice, preset: ModelPreset | None) -> tuple[Path, str]:
    """The files and their commit: from this machine, or else from the hub."""
    if preset and preset.own_code and not choice.trust_remote_code:
        raise InvalidInput(
            "--trust-remote-code",
            f"is missing; {choice.model} runs the Python code of {preset.repo}: read it, then add --trust-remote-code",
        )
    if choice.trust_remote_code and not choice.revision:
        raise InvalidInput(
            "--revision",
            f"is missing; --trust-remote-code runs code of {choice.model}, which may change from one day to the next: "
            "name the version that you have read, best by its full commit hash",
        )
    if importlib.util.find_spec("huggingface_hub") is None:  # so the model is not here either
        check_license(choice.model, preset, choice.accept_license)
    check_installed(choice.model, ["huggingface_hub"])
    from tensorhop.models import hub

    here = hub.local(choice.model, choice.revision, preset)
    if not here:
        check_license(choice.model, preset, choice.accept_license)
    try:
        return here or hub.pull(choice.model, choice.revision, preset, choice.trust_remote_code)
    except InvalidInput as error:
        if preset:
            raise
        raise InvalidInput(error.field, f"{error.message}; there is no folder {choice.model} here either") from error


def _hub_id(service: str, model: str) -> tuple[str, None]:
    """The backend of a hub id. Raises InvalidInput: it is none, nor anything else."""
    if _HUB_ID.fullmatch(model):
        return "transformers", None
    known = [EMBEDDED, *(name for name, preset in PRESETS.items() if preset.service == service)]
    raise InvalidInput(
        "--model",
        f"is {model!r}, and there is no such folder here; it must be one of {', '.join(known)}, a hub id (owner/name), "
        "a directory, an .onnx file or oip://HOST:PORT/NAME",
    )


def digest_of_all(digests: Sequence[str]) -> str:
    """One digest for all files: of one file its own; of several the SHA-256 of their hexadecimal digests, joined."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode("ascii")).hexdigest()


def digest_of_files(files: Iterable[Path]) -> str:
    """The SHA-256 of a file in hexadecimal; of several, `digest_of_all` of theirs."""
    return digest_of_all([_sha256(file) for file in files])


def parse_device(name: str) -> tuple[str, int | None]:
    """The kind of device (auto, cpu, cuda, tensorrt or openvino) that `--device` names, and its number if one is named.

    Raises:
        InvalidInput: it is none of them, or has a number and is neither cuda nor tensorrt.
    """
    found = re.fullmatch(r"(auto|cpu|openvino)|(cuda|tensorrt)(?::([0-9]{1,4}))?", name)
    if not found:
        raise InvalidInput(
            "--device",
            f"is {name!r}; it must be auto, cpu, cuda or cuda:N, or for .onnx files tensorrt, tensorrt:N or openvino",
        )
    return found[1] or found[2], int(found[3]) if found[3] else None


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
