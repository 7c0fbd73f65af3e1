"""The description is true: real answers are what it says, and it names every parameter."""

import base64
import json
from collections.abc import Callable

import pytest
from fake_pipeline import serving
from http_caller import CAT, QUICK, Answer, call, oval, post
from jsonschema import Draft202012Validator

from tensorhop.settings import Settings
from tensorhop.web.cutouts.parameters import FILES, PARAMETERS
from tensorhop.web.openapi import describe
from tensorhop.web.services.operations import OPERATIONS, Operation

STEPS = ["describe", "detect", "segment", "postprocess"]
MOST = Settings().max_upload_bytes
POST = describe(MOST)["paths"]["/process"]["post"]


def check(answer: Answer, path: str = "/process", method: str = "post") -> None:
    """The answer has a status, a content type and a shape that are described."""
    told = describe(MOST)["paths"][path][method]["responses"][str(answer.status)]
    schema = told["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
    for name in told.get("headers", {}):
        assert name.lower() in answer.headers or name.startswith("Tensor-")
    if answer.headers["content-type"].endswith("json"):
        Draft202012Validator({**schema, "components": describe(MOST)["components"]}).validate(answer.json)


def test_it_is_served_and_its_schemas_are_schemas(http: str) -> None:
    served = call(http, "GET", "/openapi.json").json
    assert served == json.loads(json.dumps(describe(MOST)))
    assert served["openapi"].startswith("3.1")
    for schema in served["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_real_answers_are_as_described(http: str) -> None:
    everything = post(http, {**QUICK, "max_objects": 1})  # the whole chain
    assert [step["step"] for step in everything.json["summary"]["steps"]] == STEPS
    assert everything.json["description"]
    check(everything)
    for accept in ("image/png", "image/webp", "image/jpeg", "application/zip", "text/event-stream"):
        check(post(http, QUICK, accept, masks=[oval()]))
    check(post(http, QUICK, "application/octet-stream", masks=[oval()]))
    for path in ("/healthz", "/readyz"):
        check(call(http, "GET", path), path, "get")


def test_real_errors_are_as_described(http: str) -> None:
    check(post(http, {"rot": "inf"}))
    check(post(http, {"nonsense": 1}))
    check(post(http, accept="text/html"))
    check(post(http, headers={"Origin": "https://evil.example"}))
    check(call(http, "POST", "/process", b"", {"Content-Type": "text/plain"}))
    with serving() as (_, address, _):
        for behaviour in ("busy", "broken", "nothing", "all fail"):
            check(post(address, {"request_id": behaviour}, "image/png", image=b"x"))
        check(post(address, {"request_id": "all fail"}, image=b"x"))


def test_every_parameter_is_described_for_every_way_in() -> None:
    names = {*PARAMETERS}
    assert {one["name"] for one in POST["parameters"] if one["in"] == "query"} == names
    for kind in ("multipart/form-data", "application/json"):
        schema = POST["requestBody"]["content"][kind]["schema"]
        assert schema["properties"].keys() == names | {*FILES}
        assert schema["required"] == ["image"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_parameter_of_a_service_is_described_for_every_way_in(operation: Operation) -> None:
    told, names = describe(MOST)["paths"][f"/{operation.name}"]["post"], {*operation.options}
    assert {one["name"] for one in told["parameters"] if one["in"] == "query"} == names
    for kind in ("multipart/form-data", "application/json"):
        assert told["requestBody"]["content"][kind]["schema"]["properties"].keys() >= names


def test_every_route_is_described(http: str) -> None:
    for path, methods in describe(MOST)["paths"].items():
        assert call(http, "PUT", path).status == 405  # it is there
        assert len(methods) == (2 if path == "/jobs" else 1)


@pytest.mark.parametrize(
    "member",
    [{"boxes": [[20, 10, 440, 300]]}, {"canvas": "64x48"}, {"rot": "120"}, {"x": 1}, {"background_image": None}],
)
def test_the_schema_and_the_server_refuse_the_same(http: str, member: dict) -> None:
    request = {"image": {"encoded": base64.b64encode(CAT).decode()}, "max_objects": 0, **member}
    schema = POST["requestBody"]["content"]["application/json"]["schema"]
    answer = call(http, "POST", "/process", json.dumps(request), {"Content-Type": "application/json"})
    refused = answer.json["field"] != "max_objects"  # which the pipeline refuses, once the server has read all
    assert Draft202012Validator(schema).is_valid(request) is not refused


def test_it_tells_how_much_may_be_sent_and_which_files_are_read(http_with: Callable[..., str]) -> None:
    told = call(http_with(max_upload_bytes=1000), "GET", "/openapi.json").json
    form = told["paths"]["/process"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["properties"]["image"]["maxLength"] == 1000
    types = form["encoding"]["image"]["contentType"].split(", ")
    assert {"image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp", "image/gif"} <= set(types)
