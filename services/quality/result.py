"""What a model says of a picture's quality."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class QualityResult:
    """The quality of a picture or a pair."""

    score: float | None  # 0 (worst) to 1 (best); None if the model gave none
    scores: Mapping[str, float] = field(default_factory=dict)  # further ones by name
    text: str = ""  # what a model that answers in words said, without control characters
