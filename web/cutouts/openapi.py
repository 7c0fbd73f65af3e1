"""The OpenAPI description of POST /process, made from the table of parameters."""

from tensorhop.options.kinds import FOUR
from tensorhop.web.accept import EVENTS, JSON, MULTIPART, PICTURES, TENSOR, ZIP
from tensorhop.web.cutouts.answers import CANVAS, REGION
from tensorhop.web.cutouts.parameters import PARAMETERS
from tensorhop.web.endpoint import REQUEST_ID
from tensorhop.web.requests.pictures import image_types
from tensorhop.web.requests.upload import DTYPE, FORM, SHAPE
from tensorhop.web.schemas import (
    BASE64,
    BOOLEAN,
    BYTES,
    NUMBER,
    REGION_SCHEMA,
    SIZE_SCHEMA,
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
            "detect_masks": WHOLE,
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
}


NOTES = {"max_objects": " Where one picture is asked for: 1."}


def request_body(most: int) -> Schema:
    """The body of a request.

    Args:
        most: how many bytes it may have.
    """
    options = parameter_schemas(PARAMETERS, NOTES)
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


def responses() -> Schema:
    headers = {REQUEST_ID: {"schema": TEXT}}
    tensor_headers = {name: {"schema": TEXT} for name in (DTYPE, SHAPE, REGION, CANVAS)}
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
                MULTIPART: {"schema": record({"message": TEXT, "image": array(BYTES)})},
            },
        }
    }
    return told | problem_responses()


def path(most: int) -> Schema:
    """The description of the route. Takes what `request_body` does."""
    return {
        "post": {
            "summary": "Cut the objects out of a photo.",
            "operationId": "process",
            "parameters": query_and_headers(parameter_schemas(PARAMETERS, NOTES)),
            "requestBody": request_body(most),
            "responses": responses(),
        }
    }
