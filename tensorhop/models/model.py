"""What every model class says about itself."""

from typing import Protocol


class Model(Protocol):
    """What every model class says about itself."""

    name: str
    revision: str
    digest: str  # SHA-256 of the weights, in hexadecimal
    largest_batch: int  # of how many inputs at once pay on its device

    def warm_up(self) -> None:
        """Run once, so that the first request does not pay for what is done at the first run only."""
