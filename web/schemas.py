"""Pieces of the OpenAPI description that several routes have."""

from collections.abc import Mapping
from typing import Any

from tensorhop.options.table import Option
from tensorhop.v1 import fault_pb2
from tensorhop.web.accept import PICTURES, TENSOR
from tensorhop.web.endpoint import REQUEST_ID, TIMEOUT
from tensorhop.web.problem import MEDIA_TYPE, STATUSES
from tensorhop.web.requests.upload import DTYPE, SHAPE

Schema = dict[str, Any]
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
BYTES = {"type": "string", "format": "binary"}
BASE64 = {"type": "string", "contentEncoding": "base64"}
REGION_SCHEMA = {"type": "array", "items": WHOLE, "minItems": 4, "maxItems": 4}
SIZE_SCHEMA = {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 2}
BOOLEAN = {"type": "boolean"}
OWN_STATUSES = {  # what HTTP itself refuses
    401: "A token is wanted, and none that is taken came in the header Authorization.",
    403: "A page of another origin calls, which is not allowed.",
    404: "One picture was asked for, and nothing was found.",
    406: "No answer has a media type that is accepted.",
    408: "The request did not come in within the limit.",
    413: "The request is larger than the limit.",
    415: "Content of another type or with an encoding.",
    503: "Too many requests, or the pipeline is not there.",
}


def record(properties: Mapping[str, Any], *optional: str) -> Schema:
    """An object with exactly these members."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


PICTURE_SCHEMA = record({"content_type": {"type": "string", "enum": [*PICTURES.values()]}, "data": BASE64})
PROBLEM = record(
    {
        **dict.fromkeys(("type", "title", "detail", "field", "step", "request_id", "parameter"), TEXT),
        "status": WHOLE,
        "code": {"type": "string", "enum": [name.removeprefix("CODE_") for name, _ in fault_pb2.Code.items()]},
        "retryable": {"type": "boolean"},
        "retry_after": NUMBER,
    },
    "parameter",
    "retry_after",
)
HEADER_PARAMETERS = {
    REQUEST_ID: "Your name for the request; comes back with the answer.",
    TIMEOUT: "Seconds for the whole request.",
    DTYPE: f"Of a raw tensor ({TENSOR}): UINT8.",
    SHAPE: "Of a raw tensor: height,width,3.",
}


def parameter_schemas(table: Mapping[str, Option], notes: Mapping[str, str] | None = None) -> dict[str, Schema]:
    """The schema of each parameter of a route.

    Args:
        notes: by parameter, what else is said of it.
    """
    return {name: parameter_schema(option, (notes or {}).get(name, "")) for name, option in table.items()}


def parameter_schema(option: Option, note: str = "") -> Schema:
    default_text = f" Default: {option.default_text}." if option.default_text else ""
    default = {} if option.default is None else {"default": option.default}
    return {**option.kind.schema, "description": option.help + default_text + note, **default}


def query_and_headers(schemas: Mapping[str, Schema]) -> list[Schema]:
    """The parameters beside the body. Options are taken from the query too; that is the way beside a raw tensor."""
    found = [
        {"name": name, "in": "header", "description": text, "schema": TEXT} for name, text in HEADER_PARAMETERS.items()
    ]
    for name, one in schemas.items():
        schema = {**one}
        more: Schema = {"explode": True} if schema.get("type") == "array" else {}
        found.append({"name": name, "in": "query", "description": schema.pop("description"), "schema": schema, **more})
    return found


def problem_responses() -> Schema:
    """The answers that are no success, by status."""
    told: Schema = {}
    for status in sorted({*STATUSES.values(), *OWN_STATUSES}):
        codes = " or ".join(code for code, own in STATUSES.items() if own == status)
        text = OWN_STATUSES.get(status, "") + (f" gRPC's {codes}." if codes else "")
        told[str(status)] = {
            "description": text.strip(),
            "headers": {REQUEST_ID: {"schema": TEXT}},
            "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
        }
    return told
