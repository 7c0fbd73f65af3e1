"""The OpenAPI description, made from the table of parameters."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from tensorhop.options.kinds import FOUR
from tensorhop.options.table import Option
from tensorhop.v1 import fault_pb2
from tensorhop.web.accept import EVENTS, JSON, PICTURES, TENSOR, ZIP
from tensorhop.web.answers import CANVAS, REGION
from tensorhop.web.parameters import PARAMETERS
from tensorhop.web.problem import MEDIA_TYPE, STATUSES
from tensorhop.web.process import REQUEST_ID, TIMEOUT
from tensorhop.web.upload import DTYPE, FORM, SHAPE, image_types

Schema = dict[str, Any]
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
BYTES = {"type": "string", "format": "binary"}
BASE64 = {"type": "string", "contentEncoding": "base64"}
REGION_SCHEMA = {"type": "array", "items": WHOLE, "minItems": 4, "maxItems": 4}
SIZE_SCHEMA = {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 2}
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


BOOLEAN = {"type": "boolean"}
DETECTION = {
    "index": WHOLE,
    "label": TEXT,
    "phrase_index": WHOLE,
    "score": NUMBER,
    "box": FOUR,
    "unknown_phrase": BOOLEAN,
}
SCHEMAS: dict[str, Schema] = {
    "Description": record({"text": TEXT, "score": NUMBER, "region": REGION_SCHEMA}),
    "Detection": record(DETECTION),
    "Picture": record({"content_type": {"type": "string", "enum": [*PICTURES.values()]}, "data": BASE64}),
    "Placement": record({"canvas": SIZE_SCHEMA, "scale": NUMBER, "x": NUMBER, "y": NUMBER}),
    "Mask": record(
        {"content_type": {"type": "string", "enum": ["image/png"]}, "data": BASE64, "region": REGION_SCHEMA}
    ),
    "Object": record(
        {
            **DETECTION,
            "placement": ref("Placement"),
            "seconds": NUMBER,
            "warnings": array(TEXT),
            "picture": ref("Picture"),
            "mask": ref("Mask"),
        },
        "mask",
    ),
    "ObjectFault": record(
        {
            **DETECTION,
            **dict.fromkeys(("step", "code", "field", "message"), TEXT),
            "retryable": {"type": "boolean"},
            "mask": ref("Mask"),
        },
        "mask",
    ),
    "Step": record(
        {
            **dict.fromkeys(("step", "model", "revision", "digest", "transport"), TEXT),
            "calls": WHOLE,
            "cached": WHOLE,
            "seconds": NUMBER,
        }
    ),
    "Summary": record(
        {
            "photo": SIZE_SCHEMA,
            "objects": WHOLE,
            "faults": WHOLE,
            "seconds": NUMBER,
            "steps": array(ref("Step")),
            "alpha": {"type": "string", "enum": ["", "bound", "mask"]},
        }
    ),
    "Result": record(
        {
            "request_id": TEXT,
            "description": {"oneOf": [{"type": "null"}, ref("Description")]},
            "detections": array(ref("Detection")),
            "warnings": array(TEXT),
            "objects": array(ref("Object")),
            "faults": array(ref("ObjectFault")),
            "summary": ref("Summary"),
        }
    ),
    "Problem": record(
        {
            **dict.fromkeys(("type", "title", "detail", "field", "step", "request_id", "parameter"), TEXT),
            "status": WHOLE,
            "code": {"type": "string", "enum": [name.removeprefix("CODE_") for name, _ in fault_pb2.Code.items()]},
            "retryable": {"type": "boolean"},
            "retry_after": NUMBER,
        },
        "parameter",
        "retry_after",
    ),
}


NOTES = {"max_objects": " Where one picture is asked for: 1."}


def parameter_schemas() -> dict[str, Schema]:
    return {name: parameter_schema(name, option) for name, option in PARAMETERS.items()}


def parameter_schema(name: str, option: Option) -> Schema:
    default_text = f" Default: {option.default_text}." if option.default_text else ""
    text = option.help + default_text + NOTES.get(name, "")
    default = {} if option.default is None else {"default": option.default}
    return {**option.kind.schema, "description": text, **default}


def request_body(most: int) -> Schema:
    options = parameter_schemas()
    image = {
        "description": "The photo: an image file, or a tensor UINT8 [height, width, 3] in sRGB.",
        "oneOf": [
            record({"encoded": BASE64}),
            record({"dtype": {"type": "string"}, "shape": array(WHOLE), "data": BASE64}),
        ],
    }
    masks = array(record({"encoded": BASE64}))
    file = {**BYTES, "maxLength": most}  # OpenAPI: of binary content, the number of bytes
    form = {**options, "image": file, "masks": array(file), "background_image": file}
    types = {"contentType": ", ".join(image_types())}
    members = {**options, "image": image, "masks": masks, "background_image": record({"encoded": BASE64})}
    more = ("masks", "background_image")
    return {
        "required": True,
        "content": {
            FORM: {"schema": record(form, *options, *more), "encoding": dict.fromkeys(("image", *more), types)},
            JSON: {"schema": record(members, *options, *more)},
            TENSOR: {"schema": file},
        },
    }


def parameters() -> list[Schema]:
    """Options are taken from the query too; that is the way beside a raw tensor."""
    headers = {
        REQUEST_ID: "Your name for the request; comes back with the answer.",
        TIMEOUT: "Seconds for the whole request.",
        DTYPE: f"Of a raw tensor ({TENSOR}): UINT8.",
        SHAPE: "Of a raw tensor: height,width,3.",
    }
    found = [{"name": name, "in": "header", "description": text, "schema": TEXT} for name, text in headers.items()]
    for name, schema in parameter_schemas().items():
        schema = {**schema}
        more: Schema = {"explode": True} if schema["type"] == "array" else {}
        found.append({"name": name, "in": "query", "description": schema.pop("description"), "schema": schema, **more})
    return found


def responses() -> Schema:
    headers = {REQUEST_ID: {"schema": TEXT}}
    tensor_headers = {name: {"schema": TEXT} for name in (DTYPE, SHAPE, REGION, CANVAS)}
    problem = {MEDIA_TYPE: {"schema": ref("Problem")}}
    told: Schema = {
        "200": {
            "description": f"As Accept asks. Of one picture: the best object. The headers {DTYPE}, {SHAPE}, {REGION} "
            f"and {CANVAS} come with raw pixels alone. Events are description, detections, object, fault, summary, "
            "and problem where the request fails on the way.",
            "headers": headers | tensor_headers,
            "content": {
                JSON: {"schema": ref("Result")},
                **{media: {"schema": BYTES} for media in (*PICTURES.values(), ZIP, TENSOR)},
                EVENTS: {"schema": TEXT},
            },
        }
    }
    for status in sorted({*STATUSES.values(), *OWN_STATUSES}):
        codes = " or ".join(code for code, own in STATUSES.items() if own == status)
        text = OWN_STATUSES.get(status, "") + (f" gRPC's {codes}." if codes else "")
        told[str(status)] = {"description": text.strip(), "headers": headers, "content": problem}
    return told


@cache
def describe(most: int) -> Schema:
    """The whole description, OpenAPI 3.1.

    Args:
        most: how many bytes the body of a request may have.
    """
    live = {"200": {"description": "Yes.", "content": {JSON: {"schema": record({"status": TEXT})}}}}
    not_ready = {"503": {"description": "No.", "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tensorhop", "version": version("tensorhop"), "summary": "Photo in, finished cut-outs out."},
        "paths": {
            "/process": {
                "post": {
                    "summary": "Cut the objects out of a photo.",
                    "operationId": "process",
                    "parameters": parameters(),
                    "requestBody": request_body(most),
                    "responses": responses(),
                }
            },
            "/healthz": {"get": {"summary": "Whether this server lives.", "operationId": "healthz", "responses": live}},
            "/readyz": {
                "get": {
                    "summary": "Whether the pipeline serves.",
                    "operationId": "readyz",
                    "responses": live | not_ready,
                }
            },
        },
        "components": {"schemas": SCHEMAS},
    }
