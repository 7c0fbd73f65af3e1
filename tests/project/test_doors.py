"""Every field of ProcessRequest can be set through every door, or is left out for a stated reason.

Each door is given a value for everything it offers; what then arrives at a pipeline, other than by default, must be all
fields but those that are left out. So a new field fails this test until every door has it or says why not.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fake_pipeline import FakePipeline
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from http_caller import CAT, PHOTOS, oval, post
from typer.testing import CliRunner

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.options.arguments import process_arguments
from tensorhop.options.table import OPTIONS
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.orchestrator.run.photo_request import PHOTO_OPTIONS
from tensorhop.rpc.server import Server
from tensorhop.v1 import image_pb2, pipeline_pb2
from tensorhop.web.cutouts.parameters import PARAMETERS
from tensorhop.web.serve import HttpServer

REQUEST = pipeline_pb2.ProcessRequest.DESCRIPTOR
# Messages that a caller gives as one value, and the fields which that value says.
VALUES = {
    image_pb2.Size.DESCRIPTOR: {"width", "height"},
    image_pb2.Box.DESCRIPTOR: {"x0", "y0", "x1", "y1"},
    image_pb2.Image.DESCRIPTOR: {"tensor", "encoded", "path"},
    image_pb2.Mask.DESCRIPTOR: {"alpha", "region"},
}
# As JSON has it: a value that is not the default, for every option of the table.
SAMPLES: dict[str, Any] = {
    "phrases": ["cup"], "look": "whole", "describe_prompt": "a photo of", "max_new_tokens": 5, "num_beams": 2,
    "boxes": [[1, 2, 30, 40]], "score_threshold": 0.5, "iou_threshold": 0.25, "max_objects": 2, "max_parallel": 3,
    "merge": True, "preset": "marketplace", "canvas": "100x50", "fill": 0.5, "max_scale": 3, "center": True,
    "refine": False, "decontaminate": False, "shadow": "contact", "rot": 90, "shadow_length": 1,
    "shadow_softness": 0.125, "shadow_opacity": 0.5,
    "shadow_thickness": 0.25, "shadow_profile": "round", "shadow_bounce": 0.5,
    "shadow_backdrop": "#ddd", "format": "webp", "quality": 80, "background": "#abc",
    "background_fit": "contain",
    "ordered": True, "cache": False,
}  # fmt: skip
# A canvas is for an object that is centered, and a level for another format: they are asked for apart.
APART = {"center": False, "format": "png", "png_level": 6}
# A background picture: on the command line and in a manifest, a file in the place of a colour.
BEHIND = (PHOTOS / "coffee.jpg").read_bytes()
BY_FILE = APART | {"background": str(PHOTOS / "coffee.jpg")}
LEFT_OUT = {
    "client": {},
    "command line": {
        "request_id": "the pipeline names each photo's request; a run has many",
        "record": "--save-steps keeps what a request of a run was",
        "may_grow": "boxes on a command line are people's, not a detector's",
    },
    "manifest": {
        "request_id": "the pipeline names each photo's request; a line has its number",
        "masks": "pictures, which a line of JSON cannot hold",
        "output.masks": "--save-steps, of the whole run, asks for them",
        "output.layers": "--save-steps, of the whole run, asks for them",
        "record": "--save-steps keeps what a request of a run was",
        "may_grow": "boxes in a manifest are people's, not a detector's",
    },
    "HTTP": {
        "output.layers": "answers hold pictures, and masks if they are asked for",
        "record": "the pipeline knows the HTTP server's token only, not those of its callers",
        "may_grow": "boxes over HTTP are people's, not a detector's",
    },
}


def leaves(descriptor: Descriptor, path: str = "") -> Iterator[str]:
    """The fields, as dotted paths, down to those that are given as one value."""
    for field in descriptor.fields:
        inner = field.message_type
        if inner is None or inner in VALUES:
            yield path + field.name
        else:
            yield from leaves(inner, f"{path}{field.name}.")


def value_at(message: Message, path: str) -> Any:
    """The field's value; None where it or a message around it is not set."""
    first, _, rest = path.partition(".")
    field = message.DESCRIPTOR.fields_by_name[first]
    if field.has_presence and not message.HasField(first):
        return None
    value = getattr(message, first)
    return value_at(value, rest) if rest else value


def set_by(*requests: Message) -> set[str]:
    """The leaves in which some of the requests differ from the first, which asks for nothing but has a photo too."""
    nothing, *others = requests
    nothing.ClearField("image")
    return {path for path in leaves(REQUEST) if any(value_at(one, path) != value_at(nothing, path) for one in others)}


def texts(value: Any) -> list[str]:
    """A sample as texts, one for each time that it is given: of a list, each of its entries."""
    if isinstance(value, list):
        return [",".join(map(str, one)) if isinstance(one, list) else one for one in value]
    return [json.dumps(value) if isinstance(value, bool) else str(value)]


@pytest.fixture
def fake() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def pipeline(fake: FakePipeline) -> Iterator[str]:
    server = Server(SERVICE, fake, "127.0.0.1:0")
    yield server.address
    server.stop(0).wait()


def by_client(pipeline: str, tmp_path: Path) -> None:
    mask = np.ones((300, 451), np.uint8)
    with PipelineClient(pipeline) as client:
        list(client.process(CAT))
        for samples in (SAMPLES, APART):
            values = {one.name: one.kind.from_json(samples[one.name]) for one in OPTIONS if one.name in samples}
            more: dict[str, Any] = {"masks": [mask], "request_id": "mine", "return_masks": True, "return_layers": True}
            more |= {"record": True, "may_grow": True}
            arguments = process_arguments(values)
            arguments["output"] = replace(arguments["output"], background_image=BEHIND)
            list(client.process(CAT, **arguments, **more))


def by_command_line(pipeline: str, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.full((300, 451), 255, np.uint8))
    command = ["run", str(PHOTOS / "cat.jpg"), "--endpoint", pipeline, "-o", str(tmp_path)]
    run_ok([*command, "--no-overlay"])
    run_ok([*command, "--mask", str(mask), "--save-steps", str(tmp_path), *words(SAMPLES)])
    run_ok([*command, *words(BY_FILE)])


def words(samples: dict[str, Any]) -> list[str]:
    found = []
    for option in OPTIONS:
        if option.name not in samples:
            continue
        yes, _, no = option.flags.partition("/")
        if isinstance(sample := samples[option.name], bool):
            found.append(yes if sample else no)
        else:
            found += [word for text in texts(sample) for word in (yes, text)]
    return found


def run_ok(command: list[str]) -> None:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 3, done.output  # the fake's summary counts no object


def by_manifest(pipeline: str, tmp_path: Path) -> None:
    lists = {name: SAMPLES[name] for name in ("phrases", "boxes")}
    options = {name: SAMPLES[name] for name in PHOTO_OPTIONS if name in SAMPLES}
    lines = [
        {"image": str(PHOTOS / "cat.jpg")},
        {"image": str(PHOTOS / "cat.jpg"), **lists, "options": options},
        {"image": str(PHOTOS / "cat.jpg"), "options": BY_FILE},
    ]
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    common = ["--endpoint", pipeline, "-o", str(tmp_path / "out"), "--jobs", "1", "--no-overlay"]
    run_ok(["run", "--manifest", str(path), *common])


def by_http(pipeline: str, tmp_path: Path) -> None:
    http = HttpServer("127.0.0.1:0", pipeline)
    try:
        named = {name: texts(SAMPLES[one.name]) for name, one in PARAMETERS.items() if one.name in SAMPLES}
        answers = [
            post(http.address),
            post(http.address, {**named, "request_id": "mine", "return_masks": "true"}, masks=[oval()]),
            post(
                http.address, {name: texts(value) for name, value in APART.items()}, files={"background_image": BEHIND}
            ),
        ]
    finally:
        http.stop(1).wait()
    assert [answer.status for answer in answers] == [200, 200, 200], answers[1].body


DOORS = {"client": by_client, "command line": by_command_line, "manifest": by_manifest, "HTTP": by_http}


@pytest.mark.parametrize("door", DOORS)
def test_every_field_can_be_set(door: str, fake: FakePipeline, pipeline: str, tmp_path: Path) -> None:
    DOORS[door](pipeline, tmp_path)
    assert len(fake.requests) == 3
    every = set(leaves(REQUEST))
    assert every - set_by(*fake.requests) == LEFT_OUT[door].keys()


def test_the_table_names_fields_that_there_are_each_once() -> None:
    paths = [option.path for option in OPTIONS if option.path]
    assert set(paths) <= set(leaves(REQUEST))
    assert len(paths) == len(set(paths))
    assert {option.name for option in OPTIONS} == SAMPLES.keys() | APART.keys()


def test_what_is_given_as_one_value_has_no_field_that_the_value_does_not_say() -> None:
    for descriptor, names in VALUES.items():
        assert {field.name for field in descriptor.fields} == names, descriptor.full_name
