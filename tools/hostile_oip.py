"""Good requests of the Open Inference Protocol, for every service, and what its answers say; hostile.py spoils them."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.oip.tensors import write_output
from tensorhop.rpc.registry import services

INFER, STREAM = (f"/{oip.SERVICE.full_name}/{name}" for name in ("ModelInfer", "ModelStreamInfer"))
STREAMED = ("segment", "pipeline", "views")
# Every service has the same methods, so a path here ends with the service: "/inference...../ModelInfer@detect".
METHODS = {f"{INFER}@{name}": (oip.ModelInferRequest, False) for name, one in services().items() if one.page}
METHODS |= {f"{STREAM}@{name}": (oip.ModelInferRequest, True) for name in STREAMED}
PARAMETERS = (
    *(
        "shared_memory_region",
        "shared_memory_byte_size",
        "shared_memory_offset",
        "finish.fill",
        "options.look",
        "scale",
    ),
    *("triton_enable_empty_final_response", "view.width", "no such"),
)


def request(model: str, parameters: dict[str, Any], **inputs: Any) -> Any:
    made = oip.ModelInferRequest(model_name=model, id="a")
    for name, value in inputs.items():
        datatype, shape, raw = write_output(value)
        made.inputs.add(name=name, datatype=datatype, shape=shape)
        made.raw_input_contents.append(bytes(raw))
    for name, value in oip.parameters_of(parameters).items():
        made.parameters[name].CopyFrom(value)
    return made


def typed(one: Any) -> Any:
    """The same request with typed contents of UINT8 and BYTES."""
    made = oip.ModelInferRequest()
    made.CopyFrom(one)
    for given, raw in zip(made.inputs, made.raw_input_contents, strict=True):
        if given.datatype == "UINT8":
            given.contents.uint_contents.extend(raw)
        elif given.datatype == "FP32":
            given.contents.fp32_contents.extend(np.frombuffer(raw, np.float32).tolist())
        else:
            return one
    del made.raw_input_contents[:]
    return made


def valid(photo: np.ndarray, file: bytes) -> dict[str, list[Any]]:
    """By path, good requests.

    Args:
        photo: uint8, height x width x 3; `file` is a whole image file of the same size.
    """
    boxes = np.array([[2, 2, 20.5, 14], [0, 0, 10, 10]], np.float32)
    mask = np.full(photo.shape[:2], 200, np.uint8)
    views: dict[str, Any] = {"any_ratio": True, "view.width": 24, "view.height": 16}
    cameras = np.array([[[170, 0, 0, 90, 0], [-170, 20, 5, 60, 0.5]]])
    small = {"finish.canvas.width": 40, "finish.canvas.height": 32}
    chosen = {**views, "seed": 1, "views": 1, "min_score": 0.0, "scale": 1, "no_descriptions": True}
    one = np.array([5], np.int32)
    found = {
        "describe": [request("describe", {"options.look": "whole"}, IMAGE=photo)],
        "detect": [request("detect", {"options.iou_threshold": 0.5}, IMAGE=photo, PHRASES=[b"cup", b"cat"])],
        "segment": [request("segment", {"may_grow": False}, IMAGE=photo, BOXES=boxes)],
        "postprocess": [request("postprocess", small, CROP=photo, MASK=mask)],
        "preprocess": [request("preprocess", {**views, "seed": 1}, PANORAMAS=photo[None], INTERVALS=one)],
        "interpolate": [request("interpolate", {**views, "views": 2}, PANORAMAS=photo[None], CAMERAS=cameras)],
        "upscale": [request("upscale", {"scale": 2}, IMAGES=photo[None])],
        "quality": [request("quality", {}, IMAGES=photo[None])],
        "pipeline": [request("pipeline", {**small, "ordered": True}, IMAGE=photo, BOXES=boxes)],
        "views": [request("views", chosen, PANORAMAS=photo[None], INTERVALS=one)],
    }
    found["segment"].append(request("segment", {}, IMAGE=[file], BOXES=boxes))
    found["quality"].append(request("quality", {}, IMAGES=[file, file]))
    for requests in found.values():
        requests.append(typed(requests[0]))
    return {path: found[path.partition("@")[2]] for path in METHODS}


def codes(path: str, answers: list[bytes]) -> Iterator[tuple[str, str]]:
    """The status codes that are told inside of answers, with their messages."""
    for data in answers:
        if path.startswith(STREAM):
            told = oip.ModelStreamInferResponse.FromString(data).infer_response.parameters
            if "code" in told:
                yield told["code"].string_param, told["message"].string_param
            continue
        told = oip.ModelInferResponse.FromString(data).parameters
        for fault in json.loads(told["faults"].string_param) if "faults" in told else ():
            yield fault["code"], fault["message"]


def without_times(path: str, data: bytes) -> bytes:
    """An answer without its parameters, which hold times and ids."""
    answer: Any = (oip.ModelStreamInferResponse if path.startswith(STREAM) else oip.ModelInferResponse).FromString(data)
    (answer.infer_response if path.startswith(STREAM) else answer).ClearField("parameters")
    return bytes(answer.SerializeToString(deterministic=True))
