"""How a photo is described: the caller's choices, their defaults and their ranges."""

from dataclasses import dataclass

from tensorhop.errors import InvalidInput

LOOKS = ("central_object", "whole")
MAX_PROMPT = 200  # characters
MAX_NEW_TOKENS, NUM_BEAMS = 20, 1  # the defaults
MOST_NEW_TOKENS, MOST_BEAMS = 100, 8


@dataclass(frozen=True)
class DescribeOptions:
    """What part of the photo to describe, and how to generate the text. None leaves the default."""

    look: str = "central_object"  # the part of the photo that the model sees; or "whole"
    prompt: str = ""  # the beginning of the answer, or a question; the answer's text does not repeat it
    max_new_tokens: int | None = None  # the longest answer, in tokens; default MAX_NEW_TOKENS
    num_beams: int | None = None  # of the beam search; default NUM_BEAMS

    def check(self, field: str = "options") -> None:
        """Raises InvalidInput: the look is unknown, the prompt is too long, or a number is out of its range."""
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
