"""Make services/embedded/weights/brisque-live.npz of OpenCV's model: python tools/make_brisque.py FOLDER

FOLDER is where Debian's package opencv-doc was unpacked: `apt-get download opencv-doc`, `dpkg-deb -x FILE FOLDER`.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

OUT = Path(__file__).parent.parent / "services/embedded/weights/brisque-live.npz"


def main(folder: Path) -> None:
    model, limits = (next(folder.rglob(f"brisque_{name}_live.yml")) for name in ("model", "range"))
    file, ranges = (cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ) for path in (model, limits))
    svm = file.getNode("opencv_ml_svm")
    vectors = svm.getNode("support_vectors")
    function = svm.getNode("decision_functions").at(0)
    alpha = function.getNode("alpha")
    gamma = svm.getNode("kernel").getNode("gamma").real()
    arrays: dict[str, Any] = {
        "vectors": np.array([[one.at(i).real() for i in range(one.size())] for one in nodes(vectors)], np.float32),
        "weights": np.array([one.real() for one in nodes(alpha)]),
        "bias": np.array(-function.getNode("rho").real()),
        "gamma": np.array(gamma),
        "limits": ranges.getNode("range").mat(),
    }
    np.savez(OUT, **arrays)
    print({name: array.shape for name, array in arrays.items()}, OUT.stat().st_size, "bytes")
    print(hashlib.sha256(OUT.read_bytes()).hexdigest())


def nodes(sequence: cv2.FileNode) -> list[cv2.FileNode]:
    return [sequence.at(index) for index in range(sequence.size())]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
