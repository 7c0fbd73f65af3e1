"""Jobs and their events as JSON, and the pictures in events."""

import io
from typing import Any

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image, UnidentifiedImageError

from tensorhop.client.jobs import PRIORITIES, STATES, picture_in
from tensorhop.errors import InvalidInput
from tensorhop.rpc.registry import chains
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.v1 import pipeline_pb2
from tensorhop.web.accept import TENSOR
from tensorhop.web.problem import fault_members
from tensorhop.wire.codec import Packet, decode


def job_members(job: pb.Job) -> dict[str, Any]:
    """A job; null is what there is not, or not yet."""
    return {
        "id": job.id,
        "chain": job.chain,
        "state": STATES[job.state],
        "priority": PRIORITIES[job.priority],
        **{name: _moment(job, name) for name in ("submitted", "started", "ended", "expires")},
        "attempts": job.attempts,
        "events": job.events,
        "fault": fault_members(job.fault) if job.HasField("fault") else None,
        "webhook": job.webhooks.url or None,
        "webhooks_delivered": len(job.webhooks.delivered),
        "webhooks_dead": list(job.webhooks.dead),
        "webhook_message": job.webhooks.message,
        "idempotency_key": job.idempotency_key or None,
    }


def _moment(job: pb.Job, name: str) -> str | None:
    moment: Timestamp = getattr(job, name)
    return moment.ToJsonString() if job.HasField(name) else None


def event_members(job: str, event: pb.JobEvent) -> dict[str, Any]:
    """An event that comes without pixels. `picture` is where they are, if it has any."""
    message = kind_of(event.event).FromString(event.event.value)
    place = f"/jobs/{job}/results/{event.index}" if picture_in(message) is not None else None
    told = json_format.MessageToDict(message, preserving_proto_field_name=True)
    told.pop("request_id", None)
    return {"index": event.index, "name": event.name, "picture": place, "event": told.get(event.name, told)}


def picture_of(event: Packet[Any]) -> tuple[pipeline_pb2.Picture, bytes] | None:
    """The picture of a job's event, and its bytes if it is a file; None if it has none."""
    held = event.message.event.event
    packet = decode(kind_of(held), bytes(event.payloads.get(held.value)))
    picture = picture_in(packet.message)
    if picture is None:
        return None
    if picture.HasField("tensor"):
        return picture, bytes(packet.payloads.get(picture.tensor.data))
    return picture, bytes(packet.payloads.get(picture.encoded))


def media_type_of(data: bytes) -> str:
    """The media type of a picture that a chain has encoded."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return Image.MIME[str(picture.format)]
    except UnidentifiedImageError:  # of somebody else's chain
        return TENSOR


def kind_of(held: AnyMessage) -> type[Message]:
    """The class of the message in an Any. Raises InvalidInput: no installed chain has it."""
    load_chains()
    name = held.type_url.rpartition("/")[2]
    try:
        return GetMessageClass(Default().FindMessageTypeByName(name))
    except KeyError:
        raise InvalidInput("request", f"is a {name[:100]!r}, which no chain here knows") from None


def load_chains() -> None:
    """Import the contracts of all chains, so that their messages are known."""
    for chain in chains().values():
        _ = chain.descriptor
