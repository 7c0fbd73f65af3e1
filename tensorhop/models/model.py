"""The interface of every model class."""

from typing import Protocol


class Model(Protocol):
    """The interface of every model class."""

    name: str
    revision: str
    digest: str  # SHA-256 of the weights, in hexadecimal
    largest_batch: int  # inputs in one run: more would be no faster on the model's device

    def warm_up(self) -> None:
        """Run the model once, so that the first request is not slowed down by one-time work."""
