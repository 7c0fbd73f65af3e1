"""The endpoint of a route to a single service, or to the chain of views."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from starlette.responses import Response

from tensorhop.client.remotes import Remotes
from tensorhop.errors import InvalidInput
from tensorhop.files import FORMATS, identity
from tensorhop.options.table import Option
from tensorhop.rpc.fairness.callers import use_caller
from tensorhop.web.accept import EVENTS, JSON, OFFERS, PICTURES, TENSOR, ZIP
from tensorhop.web.endpoint import Asked, Endpoint, media_of
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.upload import Content
from tensorhop.web.services import answers
from tensorhop.web.services.destination import Destination, allowed_file, output_of
from tensorhop.web.services.operations import Operation
from tensorhop.web.services.sources import Given, read_given
from tensorhop.web.services.views import VIEWS_EVENTS, VIEWS_OPTIONS, ViewsWork
from tensorhop.web.services.work import Item, Work
from tensorhop.web.stream import Closable, Stream, while_there
from tensorhop.wire.panorama_messages import check_panorama_count

ENCODINGS = {media: name for name, media in PICTURES.items()} | {TENSOR: "tensor"}


class ServiceEndpoint(Endpoint[Given]):
    """A route to one method. It checks no value of the service's: the service does.

    Args:
        operation: None for the chain of views.
    """

    def __init__(self, admission: Admission, remotes: Remotes, operation: Operation | None) -> None:
        super().__init__(admission)
        self._remotes, self._operation = remotes, operation
        self.options: Mapping[str, Option] = operation.options if operation else VIEWS_OPTIONS
        self.noun = operation.noun if operation else "panoramas"
        self.names = {option.path: name for name, option in self.options.items() if option.path}
        self.offers = [media for media in OFFERS if media in (JSON, EVENTS) or "format" in self.options]
        if operation is None:
            self.offers = [JSON, ZIP, EVENTS]
        self.lists = ("result", "fault") if operation else VIEWS_EVENTS

    def read(self, content: Content) -> Given:
        given = read_given(content, self.noun, self.options)
        if self.noun == "panoramas":
            check_panorama_count(len(given.sources))
        return given

    async def respond(self, asked: Asked, given: Given) -> Response:
        asked.settle(given.values)
        single = self._operation is not None and len(self._keys(given)) == 1
        media, destination = agree(asked.accept, self.offers, given, single)
        stream = Stream(partial(self._start, asked, given, destination), self.admission.pool)
        asked.stack.callback(stream.close)
        made = answers.make(media, stream, asked.request_id, destination.output.encoding, self.names, self.lists)
        return await while_there(asked.incoming, made)

    def _keys(self, given: Given) -> list[Any]:
        assert self._operation is not None
        return self._operation.keys(len(given.sources), given.values)

    def _start(self, asked: Asked, given: Given, destination: Destination) -> Closable[Item]:
        destination.reads = {one for source in given.sources if source.path and (one := _identity(source))}
        enter = partial(use_caller, asked.caller)
        if self._operation is None:
            return ViewsWork(self._remotes["views"], given, destination, enter, asked.left, asked.sent_id)
        return Work(self._operation, self._remotes[self._operation.name], given, destination, enter, asked.left)


def _identity(source: Any) -> Any:
    """The file behind a source's path; None if there is none, which is told when it is its turn."""
    with suppress(InvalidInput):
        return identity(source.find())
    return None


def agree(accept: str, offers: Sequence[str], given: Given, single: bool) -> tuple[str, Destination]:
    """The answer's media type, and where its pictures go.

    Args:
        single: whether there will be one picture at most.

    Raises:
        Refused: nothing that is accepted can be answered.
        InvalidInput: parameters that do not go together.
    """
    values = given.values
    folder, path = values.get("output_dir", ""), values.get("output_path", "")
    if folder and path:
        raise InvalidInput("output_path", "is given beside output_dir; give the one or the other")
    if path and not single:
        raise InvalidInput("output_path", "is given, but there is more than one picture; give output_dir")
    if values.get("overwrite") and not (folder or path):
        raise InvalidInput("overwrite", "is given without output_dir or output_path")
    encoding = values.get("format")
    if path:
        encoding = encoding_of(path, encoding)
    if (folder or path) and encoding == "tensor":
        raise InvalidInput("format", "is tensor, but files hold png, webp or jpeg")
    if folder or path:
        allowed_file(path or f"{folder}/-", "output_path" if path else "output_dir")
    own = PICTURES.get(encoding or "png")
    ordered = [JSON, *([own] if own else []), *(media for media in offers if media not in (JSON, own))]

    def possible(media: str) -> bool:
        if media in (JSON, EVENTS):
            return True
        if folder or path:
            return False
        if media == ZIP:
            return encoding != "tensor"
        return single and (encoding is None or ENCODINGS[media] == encoding)

    media = media_of(accept, [media for media in ordered if media in offers and possible(media)])
    encoding = ENCODINGS.get(media) or encoding or "png"
    inline = media in (JSON, EVENTS)
    output = output_of(values, encoding)
    return media, Destination(output, folder, path, values.get("overwrite", False), inline=inline)


def encoding_of(path: str, given: str | None) -> str:
    """The format that a file's name asks for. Raises InvalidInput: it asks for none, or for another than the caller."""
    encoding = FORMATS.get(Path(path).suffix.lower())
    if encoding is None:
        raise InvalidInput("output_path", f"is {path[:200]!r}; it must end in {', '.join(FORMATS)}")
    if given not in (None, encoding):
        raise InvalidInput("format", f"is {given}, but output_path is a file of {encoding}")
    return encoding
