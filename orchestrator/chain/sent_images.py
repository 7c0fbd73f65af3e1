"""The pictures of a request as services get them: written to shared memory once, or inside each message."""

import threading
from collections.abc import Sequence

import numpy as np

from tensorhop.v1 import image_pb2
from tensorhop.wire.messages import write_image
from tensorhop.wire.payloads import ALIGNMENT, Payloads
from tensorhop.wire.shared_memory import Loan


class SentImages:
    """Pictures that go to services together, in any number of calls and from any thread.

    Args:
        pictures: uint8, height x width x 3, sRGB.
        slots: from which the slot is borrowed that they are written to.
    """

    def __init__(self, pictures: Sequence[np.ndarray], slots: Loan) -> None:
        self.pictures, self._slots = pictures, slots
        self._written: dict[bool, tuple[list[image_pb2.Image], Payloads]] = {}  # by whether they are shared
        self._lock = threading.Lock()

    def message(self, shared: bool) -> tuple[list[image_pb2.Image], Payloads]:
        """The messages of the pictures, and the payloads of a request that they are put into."""
        with self._lock:
            if shared not in self._written:
                size = sum(pixels.nbytes + ALIGNMENT for pixels in self.pictures)
                payloads = Payloads.into([self._slots.borrow(size)]) if shared else Payloads()
                self._written[shared] = [write_image(pixels, payloads) for pixels in self.pictures], payloads
            images, payloads = self._written[shared]
        return images, payloads.again()
