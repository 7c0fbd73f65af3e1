"""Small pictures for the routes to single services, and every way to send one and to get one back."""

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from http_caller import Answer, call, post
from jsonschema import Draft202012Validator

from tensorhop.settings import Settings
from tensorhop.values.images import decode_image
from tensorhop.web.openapi import describe

JSON = {"Content-Type": "application/json"}
RAW = {"Content-Type": "application/octet-stream", "Tensor-Dtype": "UINT8"}
MOST = Settings().max_upload_bytes


def encoded(pixels: np.ndarray) -> bytes:
    """Pixels (uint8, height x width x 3, RGB) as a PNG file."""
    return bytes(cv2.imencode(".png", pixels[..., ::-1])[1])


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pixels_of(told: dict[str, Any]) -> np.ndarray:
    """The picture of a result in JSON."""
    if "picture" in told:
        return decode_image(base64.b64decode(told["picture"]["data"]))
    tensor = told["tensor"]
    assert tensor["dtype"] == "UINT8"
    return np.frombuffer(base64.b64decode(tensor["data"]), np.uint8).reshape(tensor["shape"])


def send(
    address: str, route: str, way: str, pixels: np.ndarray, name: str, fields: dict[str, Any], accept: str
) -> Answer:
    """Ask a route about one picture, which comes in one of the ways.

    Args:
        name: of its file under the folder for reading.
        fields: parameters; texts, as a form has them.
    """
    accepted = {"Accept": accept}
    query = "&".join(f"{key}={value}" for key, value in fields.items())
    shape = ",".join(map(str, pixels.shape))
    tensor = {"dtype": "UINT8", "shape": list(pixels.shape), "data": in_base64(pixels.tobytes())}
    noun = "image" if route in ("/upscale", "/quality") else "panorama"
    members = {
        "json path": {"path": name},
        "json file": {noun: {"encoded": in_base64(encoded(pixels))}},
        "json tensor": {noun: tensor},
    }
    if way in members:
        return call(address, "POST", f"{route}?{query}", json.dumps(members[way]), JSON | accepted)
    if way == "raw tensor":
        return call(address, "POST", f"{route}?{query}", pixels.tobytes(), RAW | accepted | {"Tensor-Shape": shape})
    if way == "path":
        return post(address, fields | {"path": name}, accept, path=route, image=None)
    assert way == "upload"
    return post(address, fields, accept, path=route, image=None, files={noun: encoded(pixels)})


WAYS_IN = ("path", "upload", "json path", "json file", "json tensor", "raw tensor")
WAYS_OUT = ("json", "json tensor", "picture", "raw tensor", "zip", "events", "output_dir", "output_path")


def receive(address: str, route: str, way_in: str, way_out: str, out: Path, **more: Any) -> np.ndarray:
    """The one picture that a route answers in one of the ways, where all else is lossless."""
    fields = more.pop("fields")
    asked = {"json tensor": {"format": "tensor"}}
    asked |= {"output_dir": {"output_dir": "made"}, "output_path": {"output_path": "a.png"}}
    accept = {"picture": "image/png", "raw tensor": "application/octet-stream", "zip": "application/zip"}
    accept["events"] = "text/event-stream"
    fields = fields | asked.get(way_out, {})
    answer = send(address, route, way_in, fields=fields, accept=accept.get(way_out, "*/*"), **more)
    assert answer.status == 200, answer.body
    if way_out == "picture":
        return decode_image(answer.body)
    if way_out == "raw tensor":
        shape = [int(size) for size in answer.headers["tensor-shape"].split(",")]
        return np.frombuffer(answer.body, np.uint8).reshape(shape)
    if way_out == "zip":
        with zipfile.ZipFile(io.BytesIO(answer.body)) as entries:
            (told,) = json.loads(entries.read("summary.json"))["results"]
            return decode_image(entries.read(told["file"]))
    if way_out == "events":
        (row,) = [part for part in answer.body.decode().split("\n\n") if part.startswith("event: result")]
        return pixels_of(json.loads(row.partition("data: ")[2]))
    as_described(answer, route)
    (told,) = answer.json["results"]
    assert not answer.json["faults"]
    if way_out.startswith("output"):
        file = out / told["path"]
        pixels = decode_image(file.read_bytes())
        assert (told["width"], told["height"]) == (pixels.shape[1], pixels.shape[0])
        file.unlink()
        assert not [one for one in out.rglob("*") if one.is_file()]  # nothing of a temporary name is left
        return pixels
    return pixels_of(told)


def as_described(answer: Answer, route: str) -> None:
    """The answer has the shape that openapi.json says."""
    told = describe(MOST)["paths"][route]["post"]["responses"][str(answer.status)]
    schema = told["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
    Draft202012Validator({**schema, "components": describe(MOST)["components"]}).validate(answer.json)
