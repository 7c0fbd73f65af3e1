"""The OpenAPI description of the routes to single services and to the chain of views, made from their tables."""

from tensorhop.v1 import fault_pb2
from tensorhop.web.accept import EVENTS, JSON, PICTURES, TENSOR, ZIP
from tensorhop.web.endpoint import REQUEST_ID
from tensorhop.web.requests.pictures import image_types
from tensorhop.web.requests.upload import DTYPE, FORM, SHAPE
from tensorhop.web.schemas import (
    BASE64,
    BOOLEAN,
    BYTES,
    NUMBER,
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
from tensorhop.web.services.cameras import CAMERA, PAIR
from tensorhop.web.services.operations import OPERATIONS, Operation
from tensorhop.web.services.views import VIEWS_OPTIONS

MODEL = record(dict.fromkeys(("name", "revision", "digest"), TEXT))
TENSOR_SCHEMA = record({"dtype": TEXT, "shape": array(WHOLE), "data": BASE64})
# Of a picture: the picture, or pixels, or the path of its file, or its name in the ZIP file. A chain that encodes
# pictures itself does not tell their sizes.
PLACE = {"picture": ref("Picture"), "tensor": TENSOR_SCHEMA, "path": TEXT, "width": WHOLE, "height": WHOLE}
SCORE: Schema = {
    "score": {"oneOf": [{"type": "null"}, NUMBER]},
    "scores": {"type": "object", "additionalProperties": NUMBER},
    "text": TEXT,
}
OF_PANORAMA = {"interval": WHOLE, "panorama": WHOLE}
RESULTS = {  # by route, what a result has beside its picture
    "upscale": {"index": WHOLE},
    "quality": {"index": WHOLE, **SCORE},
    "preprocess": {**OF_PANORAMA, "cameras": PAIR},
    "interpolate": {"panorama": WHOLE, "weight_idx": WHOLE, "camera": CAMERA},
}
FAULT = {
    **dict.fromkeys(("step", "field", "message"), TEXT),
    "code": {"type": "string", "enum": [name.removeprefix("CODE_") for name, _ in fault_pb2.Code.items()]},
    "retryable": BOOLEAN,
}
KEYS = ("index", "interval", "panorama", "weight_idx")
ITEM_FAULT = record({**dict.fromkeys(KEYS, WHOLE), **FAULT}, *KEYS)
COUNTS = {"results": WHOLE, "faults": WHOLE, "seconds": NUMBER, "model": MODEL}
STEPS = {"seconds": NUMBER, "steps": array(ref("Step"))}
VIEWS_RESULT = record(
    {
        "request_id": TEXT,
        "pairs": array(record({**OF_PANORAMA, "cameras": PAIR, **PLACE}, *PLACE)),
        "scores": array(record({**OF_PANORAMA, **SCORE})),
        "decisions": array(record({"interval": WHOLE, "kept": BOOLEAN, "score": SCORE["score"]})),
        "descriptions": array(record({"interval": WHOLE, "text": TEXT, "score": NUMBER})),
        "views": array(record({**OF_PANORAMA, "weight_idx": WHOLE, "camera": CAMERA, "scale": WHOLE, **PLACE}, *PLACE)),
        "faults": array(ITEM_FAULT),
        "summary": record(dict.fromkeys(("intervals", "kept", "views", "upscaled", "faults"), WHOLE) | STEPS),
    }
)


def paths(most: int) -> Schema:
    """The descriptions of the routes, by path.

    Args:
        most: how many bytes the body of a request may have.
    """
    return {**{f"/{one.name}": path(one, most) for one in OPERATIONS}, "/views": path(None, most)}


def path(operation: Operation | None, most: int) -> Schema:
    """The description of a route; of that to the chain of views, if there is no operation."""
    if operation is None:
        name, noun, options, media = "views", "panoramas", VIEWS_OPTIONS, [ZIP]
        summary = "Crop, score, interpolate and upscale views."
        result = VIEWS_RESULT
    else:
        name, summary, noun, options = operation.name, operation.summary, operation.noun, operation.options
        media = [*PICTURES.values(), ZIP, TENSOR] if operation.picture else []
        more = PLACE if operation.picture else {}
        one = record({**RESULTS[operation.name], **more}, *more)
        told = {"request_id": TEXT, "results": array(one), "faults": array(ITEM_FAULT)}
        result = record({**told, "summary": record(COUNTS, "model")})
    schemas = parameter_schemas(options)
    return {
        "post": {
            "summary": summary,
            "operationId": name,
            "parameters": query_and_headers(schemas),
            "requestBody": request_body(noun, schemas, most),
            "responses": responses(result, media) | problem_responses(),
        }
    }


def request_body(noun: str, options: dict[str, Schema], most: int) -> Schema:
    one = noun.removesuffix("s")
    file = {**BYTES, "maxLength": most}
    image = {
        "description": "The path of a file under the folder of --allow-path, an image file, or a tensor UINT8 "
        "[height, width, 3] in sRGB.",
        "oneOf": [record({"path": TEXT}), record({"encoded": BASE64}), TENSOR_SCHEMA],
    }
    form, members = {**options, noun: array(file), one: file}, {**options, noun: array(image), one: image}
    types = {"contentType": ", ".join(image_types())}
    return {
        "required": True,
        "content": {
            FORM: {"schema": record(form, *form), "encoding": {noun: types, one: types}},
            JSON: {"schema": record(members, *members)},
            TENSOR: {"schema": file},
        },
    }


def responses(result: Schema, media: list[str]) -> Schema:
    headers = {name: {"schema": TEXT} for name in (REQUEST_ID, *((DTYPE, SHAPE) if TENSOR in media else ()))}
    return {
        "200": {
            "description": "As Accept asks. One picture, or pixels, only where there is one. Events are the items of "
            "the lists of JSON, the summary, and problem where the request fails on the way.",
            "headers": headers,
            "content": {
                JSON: {"schema": result},
                **{one: {"schema": BYTES} for one in media},
                EVENTS: {"schema": TEXT},
            },
        }
    }
