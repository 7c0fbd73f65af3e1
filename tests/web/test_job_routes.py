"""Jobs over HTTP: as a form, JSON or the request of any chain; read, streamed, cancelled; and what is refused."""

import json
import threading
from collections.abc import Iterator

import pytest
from http_caller import CAT, Answer, call, form
from http_caller import FORM as FORM_TYPE
from jsonschema import Draft202012Validator
from scripted_jobs import PICTURE, Chain, serving
from waiting import GUARD, wait_for

from tensorhop.orchestrator.jobs.service import SERVICE
from tensorhop.orchestrator.jobs.servicer import JobServicer
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.web.openapi import describe
from tensorhop.web.serve import HttpServer

JSON = {"Content-Type": "application/json"}
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain()


@pytest.fixture(scope="module")
def address(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An HTTP server in front of a server of jobs and a scripted pipeline."""
    with serving(chain) as pipeline:
        servicer = JobServicer({"pipeline": pipeline}, Settings(jobs_dir=str(tmp_path_factory.mktemp("jobs"))))
        jobs = Server(SERVICE, servicer, "127.0.0.1:0")
        server = HttpServer("127.0.0.1:0", pipeline, services={"jobs": jobs.address})
        yield server.address
        server.stop(1).wait()
        jobs.stop(0).wait()
        servicer.close()


def submit(address: str, fields=None, headers=None, **more) -> Answer:
    return call(address, "POST", "/jobs", form(fields, **more), {**FORM_TYPE, **(headers or {})})


def check(answer: Answer, path: str, method: str = "get") -> Answer:
    """The answer has a status, a content type and a shape that are described."""
    told = describe(Settings().max_upload_bytes)
    content = told["paths"][path][method]["responses"][str(answer.status)]["content"]
    schema = content[answer.headers["content-type"].partition(";")[0]]["schema"]
    if answer.headers["content-type"].endswith("json"):
        Draft202012Validator({**schema, "components": told["components"]}).validate(answer.json)
    return answer


def wait_until(address: str, job: str, state: str) -> dict:
    wait_for(lambda: call(address, "GET", f"/jobs/{job}").json["state"] == state)
    return call(address, "GET", f"/jobs/{job}").json


def test_a_form_is_a_job_with_results_and_pictures(address: str, chain: Chain) -> None:
    answer = check(
        submit(address, {"phrases": "cat", "record": "true", "priority": "high", "time_to_live": "120"}),
        "/jobs",
        "post",
    )
    assert answer.status == 202
    job = answer.json
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["state"], job["priority"], job["chain"]) == ("queued", "high", "pipeline")
    done = wait_until(address, job["id"], "done")
    assert done["events"] == 4
    assert (chain.requests[-1].phrases, chain.requests[-1].record) == (["cat"], True)
    check(call(address, "GET", f"/jobs/{job['id']}"), "/jobs/{job}")
    rows = check(call(address, "GET", f"/jobs/{job['id']}/results?first=1"), "/jobs/{job}/results").json["results"]
    assert [(row["index"], row["name"]) for row in rows] == [(1, "object"), (2, "object"), (3, "summary")]
    assert rows[2]["picture"] is None
    picture = check(call(address, "GET", rows[0]["picture"]), "/jobs/{job}/results/{index}")
    assert (picture.status, picture.body) == (200, PICTURE)
    assert picture.headers["content-type"] == "image/png"
    assert call(address, "GET", f"/jobs/{job['id']}/results/3").status == 404
    assert call(address, "GET", f"/jobs/{job['id']}/results/9").status == 404
    assert job["id"] in [one["id"] for one in check(call(address, "GET", "/jobs?state=done"), "/jobs").json["jobs"]]


def test_events_are_streamed_and_go_on_after_the_last_one(address: str) -> None:
    job = submit(address).json["id"]
    text = call(address, "GET", f"/jobs/{job}/events", headers=EVENTS).body.decode()
    names = [row.removeprefix("event: ") for row in text.splitlines() if row.startswith("event: ")]
    assert [name for name in names if name != "job"] == ["detections", "object", "object", "summary"]
    assert names[-1] == "job"
    rest = call(address, "GET", f"/jobs/{job}/results", headers={**EVENTS, "Last-Event-ID": "2"}).body.decode()
    names = [row.removeprefix("event: ") for row in rest.splitlines() if row.startswith("event: ")]
    assert names == ["job", "summary", "job"]
    assert "id: 3\nevent: summary\n" in rest


def test_json_holds_a_photo_or_the_request_of_any_chain(address: str, chain: Chain) -> None:
    photo = {"image": {"encoded": "aGVsbG8="}, "webhook": "", "max_objects": 2}
    assert call(address, "POST", "/jobs", json.dumps(photo), JSON).status == 202
    whole = {"request": {"@type": "tensorhop.v1.ProcessRequest", "phrases": ["dog"]}, "priority": "low"}
    answer = call(address, "POST", "/jobs", json.dumps(whole), JSON)
    assert answer.json["priority"] == "low"
    wait_until(address, answer.json["id"], "done")
    assert "dog" in [word for one in chain.requests for word in one.phrases]


def test_a_key_is_one_job_and_a_conflict(address: str) -> None:
    key = {"Idempotency-Key": "order 8"}
    first = submit(address, {"phrases": "cat"}, key)
    assert submit(address, {"phrases": "cat"}, key).json["id"] == first.json["id"]
    other = submit(address, {"phrases": "dog"}, key)
    assert (other.status, other.json["code"], other.json["parameter"]) == (409, "ALREADY_EXISTS", "idempotency_key")


def test_cancel_comes_twice_and_retry_runs_it_again(address: str, chain: Chain) -> None:
    go_on = threading.Event()
    chain.script = [lambda: go_on.wait(GUARD)]
    job = submit(address).json["id"]
    wait_for(lambda: call(address, "GET", f"/jobs/{job}").json["events"] == 2)
    early = call(address, "GET", f"/jobs/{job}/results/2")
    assert (early.status, "not there yet" in early.json["detail"]) == (404, True)
    assert early.headers["retry-after"] == "1"
    for _ in range(2):
        assert call(address, "POST", f"/jobs/{job}/cancel").json["state"] == "cancelled"
    go_on.set()
    assert call(address, "POST", f"/jobs/{job}/retry").json["state"] == "queued"
    wait_until(address, job, "done")
    assert call(address, "POST", f"/jobs/{job}/cancel").status == 400


@pytest.mark.parametrize(
    ("fields", "headers", "status", "part"),
    [
        ({"priority": "urgent"}, {}, 400, "known are low, normal, high"),
        ({"time_to_live": "-1"}, {}, 400, "time_to_live"),
        ({"timeout": "5"}, {}, 400, "time_to_live"),
        ({"nonsense": "5"}, {}, 400, "is no parameter"),
        ({"webhook": "http://localhost/"}, {}, 400, "--webhook-secret-file"),
        ({"idempotency_key": "a"}, {"Idempotency-Key": "b"}, 400, "another one"),
        ({}, {"Accept": "image/png"}, 406, "possible are application/json"),
    ],
)
def test_what_is_refused(address: str, fields, headers, status, part) -> None:
    answer = submit(address, fields, headers)
    assert (answer.status, part in answer.json["detail"]) == (status, True), answer.json


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"request": {"phrases": ["cat"]}}, "@type"),
        ({"request": {"@type": "tensorhop.v1.Nothing"}}, "tensorhop.v1.Nothing"),
        ({"request": {"@type": "tensorhop.v1.ProcessRequest", "colour": 1}}, "colour"),
        ({"request": {"@type": "tensorhop.v1.ProcessRequest"}, "phrases": ["cat"]}, "phrases"),
        ({}, "image is missing"),
    ],
)
def test_json_that_is_refused(address: str, body, part) -> None:
    answer = call(address, "POST", "/jobs", json.dumps(body), JSON)
    assert (answer.status, part in answer.json["detail"]) == (400, True), answer.json


@pytest.mark.parametrize("path", ["/jobs/x", "/jobs/x/events", "/jobs/x/results", "/jobs/x/results/0"])
def test_an_unknown_job(address: str, path: str) -> None:
    answer = call(address, "GET", path, headers=EVENTS if path.endswith("events") else {})
    assert (answer.status, answer.json["code"], answer.json["parameter"]) == (404, "NOT_FOUND", "job")


def test_without_a_server_of_jobs(chain: Chain) -> None:
    server = HttpServer("127.0.0.1:0", "127.0.0.1:9", services={"jobs": "127.0.0.1:9"})
    answer = submit(server.address, image=CAT)
    assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
    server.stop(1).wait()
