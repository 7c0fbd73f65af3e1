"""`make bench-pipeline`: one photo, through the services and through the monolith that they replace.

The photo is tiled to hold more objects. Of one object and of four, describe and detect find them; of sixteen the boxes
are given. On the embedded models both compute the same; the services may overlap what the monolith does in turn. Then
the same on the simulated accelerator, where the models leave the cores to postprocess.
"""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter

import numpy as np

from bench_chain.monolith import Models, monolith
from bench_chain.product_chain import caller, start_chain
from bench_chain.simulated import SimulatedDescriber, SimulatedDetector, SimulatedSegmenter, cells
from bench_chain.turn import Turn, Want
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.values.png import encode_png

OBJECTS = (1, 4, 16)
FOUND = 4  # up to so many objects are found by describe and detect


def pipeline(photo: np.ndarray, rounds: int, objects: Sequence[int] = OBJECTS, embedded: bool = True) -> list[Row]:
    """Time both with as many copies of the photo as there are to be objects, each a square number.

    Args:
        photo: height x width x 3, uint8, with one object.
        embedded: use the embedded models, too.
    """
    rows = []
    for count in objects:
        if embedded:
            rows += compared(f"{count} objects", photo, count, {}, rounds)
        simulated: Models = {
            "describe": SimulatedDescriber,
            "detect": partial(SimulatedDetector, count),
            "segment": SimulatedSegmenter,
        }
        rows += compared(f"{count} objects, simulated", photo, count, simulated, rounds)
    return rows


def compared(name: str, photo: np.ndarray, objects: int, models: Models, rounds: int) -> list[Row]:
    """A row for each method, in processes of their own; each takes its turn in every round."""
    file, want = tiled(photo, objects)
    with processes() as start:
        address, _ = start_chain(start, models)
        methods = {"monolith": start(monolith, models), "pipeline": start(caller, address)}
        for process in methods.values():
            process.answer()
        turns: dict[str, list[Turn]] = {method: [] for method in methods}
        for number in range(-1, rounds):
            for method, process in methods.items():
                turn = process.ask(file, want)
                if number >= 0:
                    turns[method].append(turn)
    return rows_about(name, turns)


def tiled(photo: np.ndarray, objects: int) -> tuple[bytes, Want]:
    """A photo with as many objects, as a file, and what to ask for."""
    side = round(objects**0.5)
    whole = np.tile(photo, (side, side, 1))
    boxes = [] if objects <= FOUND else cells(whole, objects)
    return encode_png(whole), Want(boxes=boxes, most=objects)


def rows_about(name: str, turns: Mapping[str, Sequence[Turn]]) -> list[Row]:
    """Medians until all objects were done and until the first was, and of their ratios to the monolith's by round.

    By round, because on a shared machine the load drifts, and both turns of a round meet about the same.
    """
    rows: list[Row] = []
    for method, taken in turns.items():
        row: Row = {"payload": name, "method": method, "objects": taken[0].objects}
        for short, part in (("", attrgetter("seconds")), ("first_", attrgetter("first"))):
            ratios = [part(turn) / part(unit) for turn, unit in zip(taken, turns["monolith"], strict=True)]
            row[f"{short}median_ms"] = round(statistics.median(map(part, taken)) * 1000, 3)
            row[f"{short}to_monolith"] = round(statistics.median(ratios), 4)
        rows.append(row)
    return rows
