"""The OpenAPI description of all routes."""

from functools import cache
from importlib.metadata import version

from tensorhop.web.accept import JSON
from tensorhop.web.connect import openapi as connect
from tensorhop.web.cutouts import openapi as cutouts
from tensorhop.web.jobs import openapi as jobs
from tensorhop.web.problem import MEDIA_TYPE
from tensorhop.web.schemas import PICTURE_SCHEMA, PROBLEM, TEXT, Schema, record, ref
from tensorhop.web.services import openapi as services


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
            "/process": cutouts.path(most),
            **services.paths(most),
            **jobs.paths(most),
            **connect.paths(),
            "/healthz": {"get": {"summary": "Whether this server lives.", "operationId": "healthz", "responses": live}},
            "/readyz": {
                "get": {
                    "summary": "Whether the pipeline serves.",
                    "operationId": "readyz",
                    "responses": live | not_ready,
                }
            },
        },
        "components": {"schemas": {**cutouts.SCHEMAS, **jobs.SCHEMAS, "Picture": PICTURE_SCHEMA, "Problem": PROBLEM}},
    }
