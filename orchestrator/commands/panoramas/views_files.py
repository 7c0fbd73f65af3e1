"""The files of one interval: its pictures, its contact sheet, and the report that names them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.views.events import IntervalDecision, PairResult, ViewFault, ViewResult
from tensorhop.files import suffix_of
from tensorhop.orchestrator.commands.panoramas.contact_sheet import draw_sheet, shrunk
from tensorhop.orchestrator.run.own_files import PhotoFiles, Rights
from tensorhop.orchestrator.run.summary import DONE, FAILED, NOTHING
from tensorhop.values.images import decode_image
from tensorhop.values.images.png import encode_png


class IntervalFiles:
    """What is written for one interval.

    Args:
        panoramas: their files.
        encoding: of the pictures.
        about: what its report begins with.

    Raises:
        NotOurs: a file is in the way that no earlier run wrote.
    """

    def __init__(
        self,
        out: Path,
        panoramas: Sequence[Path],
        interval: int,
        encoding: str,
        about: dict[str, Any],
        rights: Rights,
    ) -> None:
        self.stem, self.suffix, self.about = f"{panoramas[0].stem}-{interval}", suffix_of(encoding), about
        self.panoramas = range(len(panoramas))
        self.files = PhotoFiles(out, f"{self.stem}.json", panoramas[0], rights)
        self.files.check([self.files.report, self.sheet, *(self.name_of_pair(index) for index in self.panoramas)])
        self.interval, self.status = interval, NOTHING
        self.rows: list[dict[str, Any]] = []
        # Small, for the sheet: by panorama, the pair, and the views by weight; the enlarged one, if there is one.
        self.pairs: dict[int, np.ndarray] = {}
        self.views: dict[int, dict[int, np.ndarray]] = {index: {} for index in self.panoramas}

    @property
    def sheet(self) -> str:
        return f"{self.stem}-sheet.png"

    def name_of_pair(self, panorama: int) -> str:
        return f"{self.stem}-pair-{panorama + 1}{self.suffix}"

    def name_of_view(self, event: ViewResult) -> str:
        larger = f"-x{event.scale}" if event.scale > 1 else ""
        return f"{self.stem}-view-{event.panorama + 1}-{event.weight_idx:02}{larger}{self.suffix}"

    def take(self, event: Any) -> str:
        """Keep an event for the report, and write its picture; the picture's name, or ""."""
        name = ""
        if isinstance(event, PairResult | ViewResult):
            assert event.file is not None, "files are asked for"
            name = self.name_of_pair(event.panorama) if isinstance(event, PairResult) else self.name_of_view(event)
            self.files.write(name, event.file)
            small = shrunk(decode_image(event.file))
            if isinstance(event, PairResult):
                self.pairs[event.panorama] = small
            else:
                self.views[event.panorama][event.weight_idx] = small
        if isinstance(event, ViewFault):
            self.status = FAILED
        elif isinstance(event, IntervalDecision) and event.kept and self.status != FAILED:
            self.status = DONE
        row = event_json(event)
        self.rows.append(row | {"file": name} if name else row)
        return name

    def finish(self) -> None:
        """Write the contact sheet, and last the report."""
        if self.pairs:
            self.files.write(self.sheet, encode_png(draw_sheet([self.row(index) for index in self.panoramas])))
        self.files.finish(self.report())

    def fail(self, row: dict[str, Any]) -> None:
        """Write the report of a request that failed as a whole, unless nothing has been written."""
        self.status = FAILED
        self.rows.append(row)
        self.files.fail(self.report())

    def row(self, panorama: int) -> list[np.ndarray]:
        """The left view, the views between, and the right one."""
        views = self.views[panorama]
        between = [views[weight] for weight in sorted(views)]
        if panorama not in self.pairs:
            return between
        left, right = np.array_split(self.pairs[panorama], 2, axis=1)
        return [left, *between, right]

    def report(self) -> dict[str, Any]:
        written = {"status": self.status, "files": list(self.files.written), "events": self.rows}
        return self.about | {"interval": self.interval} | written
