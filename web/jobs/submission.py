"""POST /jobs: the content of POST /process, or the request of any chain, with what is said of the job."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage

from tensorhop.client.cutouts.requests import process_request
from tensorhop.client.jobs import PREFIX, PRIORITIES
from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import SECONDS, TEXT
from tensorhop.options.table import Option
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.web.cutouts.parameters import NAMES as OF_PHOTOS
from tensorhop.web.cutouts.parameters import wish
from tensorhop.web.cutouts.upload import read_upload
from tensorhop.web.jobs.members import kind_of
from tensorhop.web.requests.parameters import read_parameters
from tensorhop.web.requests.upload import JSON, Content
from tensorhop.wire.codec import Packet, encode
from tensorhop.wire.payloads import Payloads

OPTIONS = [
    Option(
        "priority", "priority", TEXT, f"Run it before jobs of a lower one: {', '.join(PRIORITIES.values())}.", "normal"
    ),
    Option("webhook", "webhook", TEXT, "Tell this address of each finished item, and of the end."),
    Option("idempotency_key", "idempotency_key", TEXT, "Submit it once; the header Idempotency-Key is another way."),
    Option("time_to_live", "time_to_live", SECONDS, "Remove the job after this time.", 86_400),
]
PARAMETERS = {option.http_name: option for option in OPTIONS}
NAMES = {**OF_PHOTOS, **{option.path: name for name, option in PARAMETERS.items()}}
# Parameters of /process that a job has no use for, and what it has instead.
INSTEAD = {"timeout": "a job ends with its time_to_live", "continue_on_error": "a job always goes on"}


def read_submission(content: Content) -> Packet[pb.SubmitJobRequest]:
    """Raises InvalidInput: as POST /process does, or what is said of the job is not allowed."""
    own, query = _parted(content.query)
    texts, rest = _parted(content.texts)
    members = {name: value for name, value in content.members.items() if name in PARAMETERS}
    given = read_parameters(PARAMETERS, [*own, *texts], members)
    priority = given.get("priority", "normal")
    if priority not in PRIORITIES.values():
        raise InvalidInput("priority", f"is {priority[:80]!r}; known are {', '.join(PRIORITIES.values())}")
    submission = pb.SubmitJobRequest(
        priority=f"JOB_PRIORITY_{priority.upper()}",
        webhook=given.get("webhook", ""),
        idempotency_key=given.get("idempotency_key", ""),
    )
    if "time_to_live" in given:
        submission.time_to_live.FromMilliseconds(int(1000 * given["time_to_live"]))
    other = {name: value for name, value in content.members.items() if name not in PARAMETERS}
    if content.kind == JSON and "request" in other:
        name, data = _any_request(other)
    else:
        name, data = _photo_request(replace(content, query=query, texts=rest, members=other))
    payloads = Payloads()
    submission.request.CopyFrom(AnyMessage(type_url=PREFIX + name, value=payloads.put(data)))
    return Packet(submission, payloads)


def _parted(pairs: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What is said of the job, and what is said of the photo."""
    all_pairs = list(pairs)
    return [one for one in all_pairs if one[0] in PARAMETERS], [one for one in all_pairs if one[0] not in PARAMETERS]


def _photo_request(content: Content) -> tuple[str, bytes]:
    upload = read_upload(content)
    for name, instead in INSTEAD.items():
        if name in upload.values:
            raise InvalidInput(name, f"has no place in a job; {instead}")
    wanted = wish(upload.values)
    packet, _ = process_request(
        upload.image,
        **wanted.keywords,
        masks=upload.masks,
        output=replace(wanted.output, background_image=upload.background_image),
        return_masks=wanted.return_masks,
        record=wanted.record,
        request_id=upload.values.get("request_id", ""),
    )
    return packet.message.DESCRIPTOR.full_name, encode(packet)


def _any_request(members: dict[str, Any]) -> tuple[str, bytes]:
    if more := sorted(members.keys() - {"request"}):
        raise InvalidInput(more[0][:100], "has no place beside request, which says all")
    request = members["request"]
    if not isinstance(request, dict) or not isinstance(request.get("@type"), str):
        raise InvalidInput("request", 'is no {"@type": "tensorhop.v1.ViewsServiceProcessRequest", ...}')
    given = dict(request)
    name = given.pop("@type").rpartition("/")[2]
    kind = kind_of(AnyMessage(type_url=PREFIX + name))
    try:
        return name, json_format.ParseDict(given, kind()).SerializeToString()
    except (json_format.ParseError, ValueError) as error:
        raise InvalidInput("request", f"is no {name}: {error}") from error
