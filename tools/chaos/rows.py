"""A row of the table: a fault, and what became of the requests."""

from dataclasses import dataclass

from load import Tally

HEADER = """| fault | requests | told | lost | wrong | slowest | recovered after | |
|---|---|---|---|---|---|---|---|"""


@dataclass
class Row:
    """One fault.

    Args:
        told: requests that ended with the fault that the row expects: a refusal, UNAVAILABLE of the step, a deadline.
        recovered: seconds from the fault until the next good answer.
        note: what else was measured.
        problem: what was not as it should be, beside lost and wrong requests.
    """

    fault: str
    tally: Tally
    told: int = 0
    recovered: float | None = None
    note: str = ""
    problem: str = ""

    @property
    def good(self) -> bool:
        return not (self.tally.lost or self.tally.wrong or self.problem)

    def line(self) -> str:
        reasons = "; ".join(f"{count}x {reason}" for reason, count in self.tally.reasons.most_common(3))
        words = [text for text in (self.note, reasons, self.problem and f"PROBLEM: {self.problem}") if text]
        recovered = "" if self.recovered is None else f"{self.recovered:.1f} s"
        slowest = f"{self.tally.slowest:.1f} s" if self.tally.slowest else ""
        cells = (
            self.fault, self.tally.requests, self.told, self.tally.lost, self.tally.wrong, slowest, recovered,
            "; ".join(words),
        )  # fmt: skip
        return "| " + " | ".join(str(cell) for cell in cells) + " |"
