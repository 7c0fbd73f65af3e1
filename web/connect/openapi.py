"""The OpenAPI description of the routes of methods: where they are, and the form of what goes in and comes out."""

from tensorhop.rpc.registry import services
from tensorhop.web.accept import EVENTS, JSON, LINES
from tensorhop.web.schemas import TEXT, Schema

MESSAGE: Schema = {"type": "object", "description": "protobuf's JSON form of a message; protos/ has the contract."}
ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": TEXT,
        "message": TEXT,
        "details": {"type": "array", "items": {"type": "object", "properties": {"type": TEXT, "value": TEXT}}},
    },
    "required": ["code", "message"],
}


def paths() -> Schema:
    """A description for each method of each registered service, by path."""
    found: Schema = {}
    for service in services().values():
        for method in service.descriptor.methods:
            stream = {LINES: {"schema": TEXT}, EVENTS: {"schema": TEXT}}
            content = stream if method.server_streaming else {JSON: {"schema": MESSAGE}}
            found[f"/{service.descriptor.full_name}/{method.name}"] = {
                "post": {
                    "summary": service.summary,
                    "description": f"{method.input_type.full_name} in, {method.output_type.full_name} out.",
                    "operationId": f"{service.descriptor.name}.{method.name}",
                    "requestBody": {"required": True, "content": {JSON: {"schema": MESSAGE}}},
                    "responses": {
                        "200": {"description": "The answer, or a stream of them.", "content": content},
                        "default": {"description": "An error.", "content": {JSON: {"schema": ERROR}}},
                    },
                }
            }
    return found
