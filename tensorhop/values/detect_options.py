"""How objects are detected: the caller's choices and their ranges."""

from dataclasses import dataclass

from tensorhop.errors import InvalidInput


@dataclass(frozen=True)
class DetectOptions:
    """Which detections to keep. None leaves the model's own threshold."""

    score_threshold: float | None = None  # the least score, 0 to 1
    iou_threshold: float | None = None  # overlap above which the worse of two detections is dropped, 0 to 1

    def check(self, field: str = "options") -> None:
        """Raises InvalidInput: a threshold is not from 0 to 1."""
        for name in ("score_threshold", "iou_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InvalidInput(f"{field}.{name}", f"is {value}; it must be from 0 to 1")
