"""Times `tensorhop run PHOTO` beside `rembg i -m u2netp PHOTO`: processes, from their start to their end, in turn.

`make compare-coldstart` runs it, with both packages in one environment and the same weights. tensorhop finds, names and
finishes the object, and writes its cut-out, an overview and a summary; rembg writes a cut-out. Each runs once uncounted
first, which fills the caches of files and of compiled code.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tensorhop.orchestrator.bench.table import show

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = [ROOT / "examples" / "photos" / name for name in ("coffee.jpg", "cat.jpg")]
WEIGHTS = ROOT / "services" / "embedded" / "weights"  # has u2netp.onnx, which rembg would download otherwise
BIN = Path(sys.executable).parent
# Where compiled code may not be kept, only what pip has compiled is: rembg's, and not that of an editable checkout.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["U2NET_HOME"] = str(WEIGHTS)


def seconds(command: list[str]) -> float:
    """The time that a process takes; ends this one with its message if it fails."""
    started = time.perf_counter()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return taken


def compare(photo: Path, rounds: int, folder: Path) -> list[dict[str, object]]:
    """A row for each command; `to_rembg` is the median of the ratios of the pairs."""
    commands = {
        "tensorhop run": [str(BIN / "tensorhop"), "run", str(photo), "--out", str(folder / "out")],
        "rembg i -m u2netp": [str(BIN / "rembg"), "i", "-m", "u2netp", str(photo), str(folder / "rembg.png")],
    }
    turns = [{name: seconds(command) for name, command in commands.items()} for _ in range(rounds + 1)][1:]
    rows: list[dict[str, object]] = []
    for name in commands:
        ratios = [turn[name] / turn["rembg i -m u2netp"] for turn in turns]
        times = [turn[name] for turn in turns]
        rows.append(
            {
                "payload": photo.name,
                "command": name,
                "median_s": round(statistics.median(times), 3),
                "best_s": round(min(times), 3),
                "to_rembg": round(statistics.median(ratios), 3),
                "least": round(min(ratios), 3),
                "most": round(max(ratios), 3),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    parser.add_argument("--rounds", type=int, default=9, help="how often each command takes its turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for photo in given.photos for row in compare(photo, given.rounds, Path(folder))]
    show(rows, "From a cold start", given.json)


if __name__ == "__main__":
    main()
