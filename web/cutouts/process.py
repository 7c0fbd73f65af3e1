"""POST /process: from an upload to an answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tensorhop.client.call import Call
from tensorhop.client.cutouts.events import Event
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput
from tensorhop.rpc.fairness.callers import use_caller
from tensorhop.values.results import ObjectFault
from tensorhop.web.accept import EVENTS, JSON, MULTIPART, OFFERS, PICTURES, TENSOR, ZIP, choose
from tensorhop.web.cutouts import answers, multipart
from tensorhop.web.cutouts.parameters import NAMES, Wish, wish
from tensorhop.web.cutouts.upload import Upload, read_upload
from tensorhop.web.endpoint import Asked, Endpoint, accept_of, media_of
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.upload import Content
from tensorhop.web.stream import Stream, while_there


class Process(Endpoint[Upload]):
    """The endpoint. It knows no step and checks no value: the pipeline does.

    Args:
        multipart: whether callers who accept anything get multipart/form-data, instead of JSON.
    """

    names = NAMES

    def __init__(self, admission: Admission, client: PipelineClient, multipart: bool = False) -> None:
        super().__init__(admission)
        self._client = client
        self.offers = (MULTIPART, *OFFERS) if multipart else (*OFFERS, MULTIPART)

    def read(self, content: Content) -> Upload:
        return read_upload(content)

    async def respond(self, asked: Asked, given: Upload) -> Response:
        asked.settle(given.values)
        media, wanted = agree(asked.accept, given.values, self.offers)

        def start() -> Call[Event]:
            use_caller(asked.caller)
            return self._client.process(
                given.image,
                **wanted.keywords,
                masks=given.masks,
                output=replace(wanted.output, background_image=given.background_image),
                return_masks=wanted.return_masks,
                record=wanted.record,
                request_id=asked.sent_id,
                timeout=asked.left(),
            )

        stream = Stream(start, self.admission.pool, None if wanted.continue_on_error else fails)
        asked.stack.callback(stream.close)
        if media == MULTIPART:
            made = multipart.make(stream, wanted.text, wanted.output.encoding)
        else:
            made = answers.make(media, stream, asked.request_id, wanted.output.encoding)
        return await while_there(asked.incoming, made)

    def refuse(self, request: Request, error: Exception) -> Response:
        told = super().refuse(request, error)
        return multipart.refusal(told) if choose(accept_of(request), self.offers) == MULTIPART else told


def fails(event: Event) -> None:
    """Raises ServiceFault: the event is an object's fault, which is to fail the request."""
    if isinstance(event, ObjectFault):
        raise answers.service_fault(event)


def agree(accept: str, values: dict[str, Any], offers: Sequence[str]) -> tuple[str, Wish]:
    """The answer's media type, and what the values ask for, with the encoding and number of objects that go with it."""
    if choose(accept, offers) == MULTIPART:
        values = multipart.with_defaults(values)
    wanted = wish(values)
    own = PICTURES[wanted.output.encoding]  # goes before the others where the caller has no preference
    pictures = [own] if wanted.format else [own, *(one for one in PICTURES.values() if one != own)]
    first = offers.index(JSON) + 1
    others = [media for media in offers[first:] if media not in PICTURES.values()]
    media = media_of(accept, [*offers[:first], *pictures, *others])
    if wanted.return_masks and media not in (JSON, ZIP, EVENTS):
        raise InvalidInput("return_masks", f"is true, but Accept asks for {media}; JSON, ZIP and events hold masks")
    if wanted.text and media != MULTIPART:
        raise InvalidInput("text", f"is given, but Accept asks for {media}; only {MULTIPART} has a message")
    if media == TENSOR and wanted.format:
        raise InvalidInput("format", f"is {wanted.format}, but Accept asks for raw pixels")
    if media == TENSOR or media in PICTURES.values():
        names = {one: name for name, one in PICTURES.items()} | {TENSOR: "tensor"}
        if not wanted.keywords.get("merge"):
            wanted.keywords.setdefault("max_objects", 1)
        wanted = replace(wanted, output=replace(wanted.output, encoding=names[media]))
    return media, wanted
