"""How a photo is described: what a caller can choose."""

from dataclasses import dataclass

from tensorhop.errors import InvalidInput

LOOKS = ("central_object", "whole")
MAX_PROMPT = 200  # characters
MAX_NEW_TOKENS, NUM_BEAMS = 20, 1  # the defaults
MOST_NEW_TOKENS, MOST_BEAMS = 100, 8


@dataclass(frozen=True)
class DescribeOptions:
    """What to look at, and how to write about it; None leaves the default."""

    look: str = "central_object"  # or "whole": what of the photo the model sees
    prompt: str = ""  # the answer's beginning, or a question; no part of the answer
    max_new_tokens: int | None = None  # the longest answer; default MAX_NEW_TOKENS
    num_beams: int | None = None  # beginnings of an answer that are followed at once; default NUM_BEAMS

    def check(self, field: str = "options") -> None:
        """Raises InvalidInput: an unknown look, a long prompt, a number out of its range."""
        if self.look not in LOOKS:
            raise InvalidInput(f"{field}.look", f"is {self.look!r}; it must be one of {', '.join(LOOKS)}")
        if len(self.prompt) > MAX_PROMPT:
            raise InvalidInput(
                f"{field}.prompt", f"has {len(self.prompt)} characters; at most {MAX_PROMPT} are allowed"
            )
        for name, most in (("max_new_tokens", MOST_NEW_TOKENS), ("num_beams", MOST_BEAMS)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise InvalidInput(f"{field}.generation.{name}", f"is {value}; it must be from 1 to {most}")
