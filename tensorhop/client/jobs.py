"""What clients of jobs share: the names of states and priorities, and the picture in a chain's event."""

from typing import Any

from tensorhop.v1 import jobs_pb2, pipeline_pb2

PREFIX = "type.googleapis.com/"  # of the type in an Any
STATES = {number: name.removeprefix("JOB_STATE_").lower() for name, number in jobs_pb2.JobState.items() if number}
PRIORITIES = {
    number: name.removeprefix("JOB_PRIORITY_").lower() for name, number in jobs_pb2.JobPriority.items() if number
}


def picture_in(message: Any) -> pipeline_pb2.Picture | None:
    """The picture in an answer of a chain; None if it has none."""
    name = message.WhichOneof("event") if "event" in message.DESCRIPTOR.oneofs_by_name else None
    inner = getattr(message, name) if name else message
    for field, value in inner.ListFields():
        if field.message_type is pipeline_pb2.Picture.DESCRIPTOR and not field.is_repeated:
            found: pipeline_pb2.Picture = value
            return found
    return None
