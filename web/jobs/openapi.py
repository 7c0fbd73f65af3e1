"""The OpenAPI description of the routes of jobs."""

from tensorhop.client.jobs import PRIORITIES, STATES
from tensorhop.options.table import Option
from tensorhop.v1 import fault_pb2
from tensorhop.web.accept import EVENTS, JSON, PICTURES, TENSOR
from tensorhop.web.cutouts import openapi as cutouts
from tensorhop.web.cutouts.parameters import PARAMETERS as OF_PHOTOS
from tensorhop.web.endpoint import REQUEST_ID
from tensorhop.web.jobs.submission import INSTEAD, PARAMETERS
from tensorhop.web.schemas import (
    BOOLEAN,
    BYTES,
    TEXT,
    WHOLE,
    Schema,
    array,
    parameter_schemas,
    problem_responses,
    query_and_headers,
    record,
    ref,
)

NONE = {"type": "null"}


def _or_none(schema: Schema) -> Schema:
    return {"oneOf": [NONE, schema]}


CODE = {"type": "string", "enum": [name.removeprefix("CODE_") for name, _ in fault_pb2.Code.items()]}
FAULT = record({"code": CODE, **dict.fromkeys(("field", "message", "step"), TEXT), "retryable": BOOLEAN})
JOB = record(
    {
        **dict.fromkeys(("id", "chain"), TEXT),
        "state": {"type": "string", "enum": [*STATES.values()]},
        "priority": {"type": "string", "enum": [*PRIORITIES.values()]},
        **dict.fromkeys(("submitted", "started", "ended", "expires"), _or_none({**TEXT, "format": "date-time"})),
        "attempts": WHOLE,
        "events": WHOLE,
        "fault": _or_none(FAULT),
        "webhook": _or_none(TEXT),
        "webhooks_delivered": WHOLE,
        "webhooks_dead": array(TEXT),
        "webhook_message": TEXT,
        "idempotency_key": _or_none(TEXT),
    }
)
RESULT = record({"index": WHOLE, "name": TEXT, "picture": _or_none(TEXT), "event": {"type": "object"}})
SCHEMAS = {"Job": JOB, "JobResult": RESULT}
ID = {"name": "job", "in": "path", "required": True, "schema": TEXT}
INDEX = {"name": "index", "in": "path", "required": True, "schema": WHOLE}
FIRST = {"name": "first", "in": "query", "description": "The first event to answer.", "schema": WHOLE}


def paths(most: int) -> Schema:
    """The descriptions of the routes, by path.

    Args:
        most: how many bytes the body of a request may have.
    """
    job = {JSON: {"schema": ref("Job")}}
    stream = {EVENTS: {"schema": TEXT}}
    rows = {JSON: {"schema": record({"job": ref("Job"), "results": array(ref("JobResult"))})}}
    listed = {JSON: {"schema": record({"jobs": array(ref("Job")), "next_page_token": _or_none(TEXT)})}}
    pictures = {media: {"schema": BYTES} for media in (*PICTURES.values(), TENSOR)}
    page = [
        {"name": "state", "in": "query", "schema": JOB["properties"]["state"]},
        {"name": "page_size", "in": "query", "schema": {**WHOLE, "minimum": 1, "maximum": 100}},
        {"name": "page_token", "in": "query", "schema": TEXT},
    ]
    return {
        "/jobs": {"post": submit(most), "get": operation("listJobs", "List jobs, the newest first.", page, listed)},
        "/jobs/{job}": {"get": operation("getJob", "A job as it is now.", [ID], job)},
        "/jobs/{job}/events": {
            "get": operation(
                "watchJob", "Each change of a job, and each event, until it has ended.", [ID, FIRST], stream
            )
        },
        "/jobs/{job}/results": {
            "get": operation(
                "getJobResults", "The events that there are, or all as they come.", [ID, FIRST], rows | stream
            )
        },
        "/jobs/{job}/results/{index}": {
            "get": operation("getJobPicture", "The picture of one event.", [ID, INDEX], pictures)
        },
        "/jobs/{job}/cancel": {"post": operation("cancelJob", "End a job; its results stay.", [ID], job)},
        "/jobs/{job}/retry": {"post": operation("retryJob", "Run a job again that did not succeed.", [ID], job)},
    }


def operation(name: str, summary: str, parameters: list[Schema], content: Schema, status: int = 200) -> Schema:
    answer = {"description": summary, "headers": {REQUEST_ID: {"schema": TEXT}}, "content": content}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": parameters,
        "responses": {str(status): answer} | problem_responses(),
    }


def submit(most: int) -> Schema:
    """The description of POST /jobs: the body is that of POST /process, or the request of any chain."""
    options: dict[str, Option] = {name: one for name, one in OF_PHOTOS.items() if name not in INSTEAD}
    schemas = parameter_schemas({**options, **PARAMETERS})
    body = cutouts.request_body(most)
    own = parameter_schemas(PARAMETERS)
    for media, told in body["content"].items():
        schema = told["schema"]
        if media == TENSOR:
            continue
        photo = {**schema["properties"], **own}
        for name in INSTEAD:
            photo.pop(name, None)
        whole = {**schema, "properties": photo}
        if media == JSON:
            request = record({"request": {"type": "object", "required": ["@type"]}, **own}, *own)
            whole = {"oneOf": [whole, request]}
        told["schema"] = whole
    made = operation(
        "submitJob", "Keep a request as a job.", query_and_headers(schemas), {JSON: {"schema": ref("Job")}}, 202
    )
    return {**made, "requestBody": body}
