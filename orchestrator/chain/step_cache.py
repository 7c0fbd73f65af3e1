"""Asking a step only for what the cache does not have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from tensorhop.errors import InvalidInput
from tensorhop.observe import metrics
from tensorhop.orchestrator.chain.cache import Cache, Claim, Part, digest_of, key_of
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Step
from tensorhop.v1 import fault_pb2, image_pb2, segment_pb2, upscale_pb2
from tensorhop.values.geometry import Size
from tensorhop.values.results import Mask
from tensorhop.wire.codec import Packet, decode, encode
from tensorhop.wire.messages import read_mask, write_mask
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor

M = TypeVar("M", bound=Message)
T = TypeVar("T")
Outcomes = Iterator[tuple[int, Mask | fault_pb2.Fault]]  # by the box's index
Ask = Callable[[Sequence[int]], Outcomes]  # the service, for the boxes of these indices
WAIT_SECONDS = 0.1  # between two looks at whether a request that waits for another's answer is still wanted


class StepCache:
    """One request's view of the cache: keys for its photo, or none where the caller wants no cache."""

    def __init__(self, cache: Cache | None, photo: np.ndarray, scope: RequestScope) -> None:
        self._cache, self._photo, self._scope = cache, photo, scope

    @cached_property
    def _digest(self) -> bytes:
        return digest_of(self._photo)

    def message(self, step: Step, parameters: Sequence[Part], kind: type[M], ask: Callable[[], M]) -> M:
        """A step's one answer for the photo, a message without payloads. Takes what `answer` does.

        Args:
            kind: of the message.
        """
        return self.answer(step, parameters, ask, lambda answer: answer.SerializeToString(), kind.FromString)

    def packet(self, step: Step, parameters: Sequence[Part], kind: type[M], ask: Callable[[], Packet[M]]) -> Packet[M]:
        """A step's one answer for the photo, with what lies beside it. Takes what `message` does."""
        return self.answer(step, parameters, ask, encode, lambda data: decode(kind, data))

    def answer(
        self,
        step: Step,
        parameters: Sequence[Part],
        ask: Callable[[], T],
        write: Callable[[T], bytes],
        read: Callable[[bytes], T],
    ) -> T:
        """A step's one answer for the photo.

        Args:
            parameters: all else that it depends on.
            ask: calls the service.
            write: makes an entry of an answer.
            read: makes an answer of an entry. Raises DecodeError or InvalidInput: it is none.
        """
        key = self._key(step, parameters)
        if self._cache is None or key is None:
            return ask()
        while True:
            claim = self._cache.claim(key)
            if claim.leads:
                metrics.cache_miss(step.name)
                try:
                    answer = ask()
                    claim.keep(write(answer))
                    return answer
                finally:
                    claim.give_up()
            value = self._value(claim)
            if value is not None:
                try:
                    answer = read(value)
                except (DecodeError, InvalidInput):
                    return ask()  # somebody else wrote into the store
                self._note(step, answer)
                return answer

    def masks(
        self,
        step: Step,
        parameters: Mapping[int, Sequence[Part]],
        size: Size,
        ask: Ask,
    ) -> Outcomes:
        """The masks of a photo's boxes: first those at hand, then those asked for, last those that others asked for.

        Args:
            parameters: by the box's index, all that its mask depends on beside the photo.
        """
        missing = list(parameters)
        if self._cache is not None:
            keys = {index: self._key(step, parameters[index]) for index in missing}
            known = {index: key for index, key in keys.items() if key is not None}
            while known:
                yield from self._round(self._cache, step, known, size, ask)
            missing = [index for index, key in keys.items() if key is None]
        if missing:
            yield from ask(missing)

    def _round(
        self,
        cache: Cache,
        step: Step,
        keys: dict[int, bytes],
        size: Size,
        ask: Ask,
    ) -> Outcomes:
        """Claim all keys, and yield what becomes of them; what a leader elsewhere gave up stays in `keys`."""
        claims: dict[int, Claim] = {}
        for index, key in keys.items():
            claims[index] = cache.claim(key)
        leads = [index for index, claim in claims.items() if claim.leads]
        for _ in leads:
            metrics.cache_miss(step.name)
        try:
            for index, claim in claims.items():
                if claim.value is not None:
                    yield from self._mask(index, claim.value, step, size, ask)
                    del keys[index]
            if leads:
                for index, outcome in ask(leads):
                    if isinstance(outcome, Mask):
                        claims[index].keep(write(outcome))
                    else:
                        claims[index].give_up()
                    del keys[index]
                    yield index, outcome
                for index in leads:  # without an answer; the caller says so
                    keys.pop(index, None)
        finally:
            for index in leads:
                claims[index].give_up()
        for index in list(keys):
            value = self._value(claims[index])
            if value is not None:
                yield from self._mask(index, value, step, size, ask)
                del keys[index]

    def _mask(
        self,
        index: int,
        value: bytes,
        step: Step,
        size: Size,
        ask: Ask,
    ) -> Outcomes:
        try:
            mask = read(value, size)
        except InvalidInput:
            yield from ask([index])  # somebody else wrote into the store
            return
        self._note(step, mask, object=index)
        yield index, mask

    def _key(self, step: Step, parameters: Sequence[Part]) -> bytes | None:
        model = step.model() if self._cache is not None else None
        return key_of(step.name, model, self._digest, *parameters) if model is not None else None

    def _value(self, claim: Claim) -> bytes | None:
        """The entry, or the answer of the request that asks for it now; None if that gave up."""
        if claim.value is not None:
            return claim.value
        while not claim.done:
            self._scope.check()
            claim.wait(WAIT_SECONDS)
        return claim.wait(0)

    def _note(self, step: Step, answer: Any, **about: int) -> None:
        metrics.cache_hit(step.name)
        if self._scope.recorder:
            self._scope.recorder.cached(step.name, as_packet(answer), about)
        model = step.model()
        if model is not None:
            self._scope.cached(step.name, model)


def write(mask: Mask) -> bytes:
    """A mask as an entry: a copy of its own."""
    payloads = Payloads()
    return encode(Packet(write_mask(mask, payloads), payloads))


def as_packet(answer: Any) -> Packet[Any]:
    """An answer that came from the cache as the service's own: also of what was read as a mask or a picture."""
    payloads = Payloads()
    match answer:
        case Packet():
            return answer
        case Mask():
            return Packet(segment_pb2.SegmentResponse(mask=write_mask(answer, payloads)), payloads)
        case np.ndarray():
            return Packet(upscale_pb2.UpscaleResponse(image=to_tensor(answer, payloads)), payloads)
    return Packet(answer, payloads)


def read(value: bytes, size: Size) -> Mask:
    """The mask of an entry. Raises InvalidInput: it is none for a photo of this size."""
    message, payloads = decode(image_pb2.Mask, value)
    return read_mask(message, payloads, size)


def canonical(message: Message) -> bytes:
    """A message's bytes, the same for the same content."""
    return message.SerializeToString(deterministic=True)
