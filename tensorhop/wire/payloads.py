"""The payloads of a message: large buffers that lie beside it, or in slots of shared memory; small ones are inside."""

from collections.abc import Sequence
from typing import Any

from tensorhop.errors import NotShared
from tensorhop.observe import metrics
from tensorhop.v1 import tensor_pb2 as pb
from tensorhop.wire.shared_memory import ATTACHMENTS, SMALLEST, Slot

TOKEN_BYTES = 4  # a `bytes` field of this length holds a token; of any other, the payload itself
SMALL = 16 * 1024  # bytes of payload up to which tokens and a join do not pay: the generated class takes all
ALIGNMENT = 64  # bytes, of each tensor in a slot


class Payloads:
    """The buffers for which tokens stand in a message, and the slots in which large tensors may go instead."""

    __slots__ = ("_buffers", "_inside", "_room", "nbytes", "slots")

    def __init__(self) -> None:
        self.slots: list[Slot] = []  # the caller's own slots to which its message refers
        self.nbytes = 0  # that go inside the message
        self._buffers: list[memoryview] = []
        self._inside = False
        self._room: list[tuple[str, int, memoryview]] = []  # the free part of each slot: its name, offset, memory

    @classmethod
    def into(cls, slots: Sequence[Slot | None]) -> "Payloads":
        """Payloads of a request. Its large tensors go into the caller's own slots as far as they fit."""
        payloads = cls()
        for slot in slots:
            if slot is not None:
                payloads.slots.append(slot)
                payloads._room.append((slot.name, 0, slot.memory))
        return payloads

    @classmethod
    def lent(cls, parts: Sequence[pb.SharedMemory], field: str = "lent") -> "Payloads":
        """Payloads of an answer. Its large tensors go into the caller's slots, except for slots that are not shared.

        Raises:
            InvalidInput: a reference is malformed, or reaches beyond its slot.
        """
        payloads = cls()
        for index, part in enumerate(parts):
            try:
                payloads._room.append((part.name, part.offset, ATTACHMENTS.view(part, f"{field}[{index}]")))
            except NotShared:
                continue
        return payloads

    @classmethod
    def inside(cls) -> "Payloads":
        """Payloads of a message that was parsed whole: its `bytes` fields hold the payloads themselves, not tokens."""
        payloads = cls()
        payloads._inside = True
        return payloads

    def again(self) -> "Payloads":
        """Payloads of one more message that refers to the same buffers and slots; slots lent by it are its own."""
        payloads = type(self)()
        payloads.slots, payloads.nbytes = list(self.slots), self.nbytes
        payloads._buffers, payloads._inside = list(self._buffers), self._inside
        return payloads

    def lend(self, slot: Slot | None) -> list[pb.SharedMemory]:
        """The references by which a request lends a slot for its answer."""
        if slot is None:
            return []
        self.slots.append(slot)
        return [slot.part(0, slot.size)]

    def place(self, size: int) -> tuple[pb.SharedMemory, memoryview] | None:
        """Room in a slot for a tensor of `size` bytes; None if it is small or does not fit."""
        if size >= SMALLEST:
            for index, (name, offset, memory) in enumerate(self._room):
                if size <= memory.nbytes:
                    taken = -(-size // ALIGNMENT) * ALIGNMENT
                    self._room[index] = (name, offset + taken, memory[taken:])
                    metrics.sent_in_slot(size)
                    return pb.SharedMemory(name=name, offset=offset, size=size), memory[:size]
        return None

    def put(self, buffer: Any) -> bytes:
        """Keep a one-dimensional buffer of bytes. Returns what to set in the message: a token, or a small buffer."""
        size = memoryview(buffer).nbytes
        if self.nbytes + size <= SMALL and size != TOKEN_BYTES:
            self.nbytes += size
            return bytes(buffer)
        return self.keep(buffer)

    def keep(self, buffer: Any) -> bytes:
        """Keep a one-dimensional buffer of bytes, however small, and return the token to set in the message."""
        view = memoryview(buffer)
        self._buffers.append(view)
        self.nbytes += view.nbytes
        return (len(self._buffers) - 1).to_bytes(TOKEN_BYTES, "little")

    def get(self, token: bytes) -> memoryview:
        """The buffer that a token stands for, or what is in the message itself; empty for an unset field."""
        if self._inside or len(token) != TOKEN_BYTES:
            return memoryview(token)
        return self._buffers[int.from_bytes(token, "little")]

    def clear(self) -> None:
        """Drop the buffers of a message that has been sent, before the next message of a stream."""
        self._buffers.clear()
        self.nbytes = 0

    @property
    def empty(self) -> bool:
        """Whether no buffer lies beside the message. Then the message holds no tokens."""
        return not self._buffers
