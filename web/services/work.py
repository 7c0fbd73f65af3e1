"""The calls behind a request to a single service, and what comes of them: an item for each picture, as it is done."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorhop.client.call import Call
from tensorhop.client.inputs import write_picture
from tensorhop.errors import InvalidInput, ServiceFault, fault_of
from tensorhop.rpc.remote import Remote
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.v1.image_pb2 import Image
from tensorhop.web.problem import fault_members
from tensorhop.web.services.destination import Destination, stems_of
from tensorhop.web.services.operations import Key, Operation
from tensorhop.web.services.sources import Given, Source
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_pixels
from tensorhop.wire.payloads import Payloads

CALL_BYTES, CALL_IMAGES = 32 * 1024 * 1024, 16  # that a call of a list has at most, but always one image


@dataclass(frozen=True)
class Item:
    """One thing that happened."""

    name: str  # "result", "fault" or "summary"; of the chain of views, the names of its events
    row: dict[str, Any]  # as JSON tells it
    file: str = ""  # the name of its picture without a suffix
    picture: np.ndarray | bytes | None = None  # if it is not in the row, and not written
    fault: pb.Fault | None = None


class Work:
    """The items of a request, one after the other. A list goes to the service in several calls of bounded size.

    A call that fails as a whole fails its own items alone, unless it is the first, and nothing came of it.

    Args:
        remote: the service.
        enter: is called before each call is made, in the thread that makes it.
        left: seconds that are left for the request.

    Raises:
        ServiceFault, InvalidInput: at the first item: the request as a whole failed.
    """

    def __init__(
        self,
        operation: Operation,
        remote: Remote,
        given: Given,
        destination: Destination,
        enter: Callable[[], None],
        left: Callable[[], float],
    ) -> None:
        self._operation, self._remote, self._given, self._destination = operation, remote, given, destination
        self._enter, self._left = enter, left
        self._stems = stems_of([source.stem for source in given.sources])
        self._call: Call[Packet[Any]] | None = None
        self._closed = False
        self._results = self._faults = 0
        self._model: dict[str, str] | None = None
        self._items = self._run()

    def __next__(self) -> Item:
        return next(self._items)

    def close(self) -> None:
        """Cancel what is under way; from any thread."""
        self._closed = True
        if self._call is not None:
            self._call.close()

    def _run(self) -> Iterator[Item]:
        started = time.monotonic()
        yield from self._lists() if self._operation.lists else self._all_at_once()
        summary = {"results": self._results, "faults": self._faults, "seconds": round(time.monotonic() - started, 4)}
        yield Item("summary", summary | ({"model": self._model} if self._model else {}))

    def _lists(self) -> Iterator[Item]:
        """Calls of some images each, which are read when it is their turn."""
        payloads, images, indices = Payloads(), list[Image](), list[int]()
        for index, source in enumerate(self._given.sources):
            try:
                self._destination.check(self._file((index,)))
                picture = source.read()
                size = picture.nbytes if isinstance(picture, np.ndarray) else len(picture)
                if images and (payloads.nbytes + size > CALL_BYTES or len(images) == CALL_IMAGES):
                    yield from self._ask(images, payloads, indices)
                    payloads, images, indices = Payloads(), [], []
                images.append(write_picture(picture, payloads))
                indices.append(index)
            except (InvalidInput, ServiceFault) as error:
                yield self._fault((index,), fault_of(error))
        if images:
            yield from self._ask(images, payloads, indices)

    def _all_at_once(self) -> Iterator[Item]:
        """One call of all panoramas. For one that cannot be read, the service is told of an empty file."""
        payloads, images, broken = Payloads(), list[Image](), dict[int, InvalidInput]()
        for index, source in enumerate(self._given.sources):
            try:
                images.append(write_picture(source.read(), payloads))
            except InvalidInput as error:
                broken[index] = error
                images.append(Image(encoded=payloads.put(b"-")))
        if len(broken) == len(images):
            raise broken[0]
        faults = {index: fault_of(error) for index, error in broken.items()}
        yield from self._ask(images, payloads, range(len(images)), faults)

    def _ask(
        self, images: list[Image], payloads: Payloads, indices: Any, faults: dict[int, pb.Fault] | None = None
    ) -> Iterator[Item]:
        """The items of one call.

        Args:
            indices: of these images among those of the request.
            faults: by panorama, what is told instead of the service's own fault.
        """
        operation, values = self._operation, self._given.values
        waiting: list[Key] = [(index,) for index in indices] if operation.lists else operation.keys(len(images), values)
        sources = [self._given.sources[index] for index in indices]
        first = not self._results and not self._faults
        try:
            for answer in self._answers(operation.request(images, values), payloads):
                key = tuple(getattr(answer.message, name) for name in operation.key_names)
                key = (indices[key[0]],) if operation.lists else key
                if key in waiting:
                    waiting.remove(key)
                own = (faults or {}).get(key[-1])
                yield self._item(key, answer, own, sources)
                first = False
        except ServiceFault as error:
            if first or self._closed:
                raise ServiceFault(renamed(error.fault, sources), error.lasting) from error
            for key in waiting:
                yield self._fault(key, error.fault)

    def _answers(self, request: Any, payloads: Payloads) -> Iterator[Packet[Any]]:
        if self._closed:
            raise ServiceFault(pb.Fault(code=pb.CODE_CANCELLED, message="the client has left"))
        self._enter()
        packet = Packet(request, payloads)
        self._call = Call(self._remote, self._operation.method, packet, self._left(), None, lambda answer: answer)
        if self._closed:  # since then; the other thread has not seen the call
            self._call.close()
        yield from self._call

    def _item(self, key: Key, answer: Packet[Any], own: pb.Fault | None, sources: list[Source]) -> Item:
        operation, (message, payloads) = self._operation, answer
        if message.HasField("fault"):
            return self._fault(key, own or renamed(message.fault, sources))
        with suppress(ValueError):  # this answer has no model
            if message.HasField("model"):
                model = message.model
                self._model = {"name": model.name, "revision": model.revision, "digest": model.digest}
        row, picture = dict(zip(operation.key_names, key, strict=True)) | operation.tell(message), None
        if operation.picture:
            try:
                pixels = read_pixels(getattr(message, operation.picture), payloads, operation.picture)
                told, picture = self._destination.put(self._file(key), pixels)
            except (InvalidInput, ServiceFault) as error:
                return self._fault(key, fault_of(error))
            row |= told
        self._results += 1
        return Item("result", row, self._file(key), picture)

    def _fault(self, key: Key, fault: pb.Fault) -> Item:
        self._faults += 1
        return Item("fault", dict(zip(self._operation.key_names, key, strict=True)) | fault_members(fault), fault=fault)

    def _file(self, key: Key) -> str:
        return self._operation.file_name(self._stems, key, self._given.values)


def renamed(fault: pb.Fault, sources: list[Source]) -> pb.Fault:
    """A service's fault, with the fields as the caller gave them: all images of a request are not in one call."""

    def name(found: re.Match[str]) -> str:
        index = int(found[1])
        if index >= len(sources):
            return found[0]
        return sources[index].field + (".path" if found[2] == ".encoded" and sources[index].path else found[2] or "")

    told = pb.Fault()
    told.CopyFrom(fault)
    for field in ("field", "message"):
        text = re.sub(r"(?:images|panoramas)\[(\d+)\](\.encoded)?", name, getattr(fault, field), count=1)
        setattr(told, field, text)
    return told
