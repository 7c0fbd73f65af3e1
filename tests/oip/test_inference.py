"""The Open Inference Protocol in front of services: what is read and written, what is refused, and how."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
from fake_views import Script, fake_chain
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from oip_caller import Caller, asked, calling, outputs
from prometheus_client import REGISTRY

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.bench.echo import EchoServicer
from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.registry import services
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.settings import Settings
from tensorhop.v1 import echo_pb2, preprocess_pb2
from tensorhop.values.geometry import Box, Region
from tensorhop.values.images.png import encode_png
from tensorhop.values.results import Detection, Mask

HERE = "127.0.0.1:0"
PHOTO = Path(__file__).parents[2] / "examples/photos/coffee.jpg"
BOXES = np.array([[2, 2, 20, 14], [5, 4, 10, 9]], np.float32)


class Boxes:
    """A segmenter whose mask is the whole box; it fails for boxes that begin at x 5."""

    name, revision, digest, largest_batch = "boxes", "1", "0" * 64, 1

    def predict(self, images: list[np.ndarray], boxes: list[Box]) -> list[Mask]:
        if boxes[0].x0 == 5:
            raise InvalidInput("boxes[1]", "is not for this segmenter; it must begin elsewhere")
        region = boxes[0].region()
        return [Mask(np.full((region.y1 - region.y0, region.x1 - region.x0), 200, np.uint8), region)]


@pytest.fixture(scope="module")
def segment() -> Iterator[Server]:
    service = services()["segment"]
    server = Server(service, service.make_servicer(Boxes()), HERE)
    yield server
    server.stop(0).wait()


@pytest.fixture(scope="module")
def caller(segment: Server) -> Iterator[Caller]:
    with calling(segment.address) as calls:
        yield calls


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8)


def test_masks_are_stacked_on_the_photo_and_a_fault_is_a_parameter(caller: Caller, photo: np.ndarray) -> None:
    answer = caller.infer(asked("segment", IMAGE=photo, BOXES=BOXES))
    assert (answer.model_name, answer.model_version, answer.id) == ("segment", "1", "mine")
    found = outputs(answer)
    expected = np.zeros((2, 16, 24), np.uint8)
    expected[0, 2:14, 2:20] = 200
    assert np.array_equal(found["MASKS"], expected)
    (fault,) = json.loads(answer.parameters["faults"].string_param)
    assert (fault["index"], fault["code"], fault["field"]) == (1, "INVALID_ARGUMENT", "boxes[1]")
    assert answer.parameters["model"].string_param == "boxes"


def test_a_crop_with_a_negative_side_is_refused(photo: np.ndarray) -> None:
    service = services()["postprocess"]
    server = Server(service, service.load(), HERE)
    request = asked("postprocess", CROP=photo, MASK=np.zeros((16, 24), np.uint8))
    request.inputs[0].shape[0] = -(2**63)
    try:
        with calling(server.address) as caller, pytest.raises(grpc.RpcError) as caught:
            caller.infer(request)
    finally:
        server.stop(0).wait()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "24 x 0 pixels; at least 1 x 1" in str(caught.value.details())


@pytest.mark.parametrize(("name", "row"), [("REGION", [0, 0, 24, 2**32 + 16]), ("PHOTO_SIZE", [2**32 + 24, 16])])
def test_a_number_beyond_its_field_is_refused(photo: np.ndarray, name: str, row: list[int]) -> None:
    service = services()["postprocess"]
    server = Server(service, service.load(), HERE)
    with calling(server.address) as caller:
        request = asked("postprocess", CROP=photo, MASK=np.zeros((16, 24), np.uint8), **{name: np.array(row)})
        code, message = caller.refused(request)
    server.stop(0).wait()
    assert code == "INVALID_ARGUMENT"
    assert f"inputs[{name}]" in message


def test_a_stream_answers_each_object_and_goes_on_after_a_fault(caller: Caller, photo: np.ndarray) -> None:
    first = asked("segment", {"triton_enable_empty_final_response": True}, IMAGE=photo, BOXES=BOXES)
    second, third = asked("segment", IMAGE=photo), asked("segment", IMAGE=photo, BOXES=BOXES[:1])
    second.id, third.id = "second", "third"
    mask, fault, final, refused, last = caller.stream(first, second, third)
    assert outputs(mask.infer_response)["INDEX"].tolist() == [0]
    assert outputs(mask.infer_response)["MASKS"].shape == (1, 16, 24)
    assert (
        fault.error_message == "item 1: INVALID_ARGUMENT: boxes[1] is not for this segmenter; it must begin elsewhere"
    )
    assert fault.infer_response.parameters["field"].string_param == "boxes[1]"
    assert not final.infer_response.outputs
    assert [one.infer_response.parameters["triton_final_response"].bool_param for one in (mask, fault, final)] == [
        *(False, False, True)
    ]
    assert refused.error_message == "INVALID_ARGUMENT: inputs[BOXES] is missing; it is FP32 [-1, 4]"
    assert (refused.infer_response.id, last.infer_response.id) == ("second", "third")
    assert not last.error_message


def test_a_fault_in_a_stream_is_counted_by_its_code(caller: Caller, photo: np.ndarray) -> None:
    def count(code: str) -> float:
        labels = {"service": "segment", "method": "ModelStreamInfer", "code": code}
        return REGISTRY.get_sample_value("tensorhop_calls_total", labels) or 0

    before = {code: count(code) for code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND")}
    good, bad = asked("segment", IMAGE=photo, BOXES=BOXES[:1]), asked("segment", IMAGE=photo)
    assert len(caller.stream(bad, good, asked("else"), good)) == 4
    assert {code: count(code) - had for code, had in before.items()} == {"OK": 2, "INVALID_ARGUMENT": 1, "NOT_FOUND": 1}


class Masked:
    """A detector whose second of three detections has no mask."""

    name, revision, digest, largest_batch = "masked", "1", "0" * 64, 1

    def predict(self, images: list[np.ndarray], phrases: Any, *thresholds: float | None) -> list[Any]:
        mask = Mask(np.full((2, 3), 200, np.uint8), Region(4, 5, 7, 7))
        found = [Detection(0, "a", 0, 0.9, Box(4, 5, 7, 7), mask=mask), Detection(1, "a", 0, 0.8, Box(0, 0, 2, 2))]
        return [([*found, Detection(2, "a", 0, 0.7, Box(4, 5, 7, 7), mask=mask)], [])]


@pytest.mark.parametrize("as_file", [False, True])
def test_masks_of_detect_come_if_they_are_named(photo: np.ndarray, as_file: bool) -> None:
    service = services()["detect"]
    server = Server(service, service.make_servicer(Masked()), HERE)
    request = asked("detect", IMAGE=[encode_png(photo)] if as_file else photo, PHRASES=[b"a"])
    with calling(server.address) as caller:
        known = caller.ModelMetadata(oip.ModelMetadataRequest(name="detect")).outputs
        assert {"MASKS", "MASK_INDEX"} <= {one.name for one in known}
        assert not {"MASKS", "MASK_INDEX"} & {*outputs(caller.infer(request))}
        for name in ("BOXES", "MASKS", "MASK_INDEX"):
            request.outputs.add(name=name)
        found = outputs(caller.infer(request))
    server.stop(0).wait()
    assert (len(found["BOXES"]), found["MASK_INDEX"].tolist()) == (3, [0, 2])
    expected = np.zeros(photo.shape[:2], np.uint8)
    expected[5:7, 4:7] = 200
    assert np.array_equal(found["MASKS"], [expected, expected])


def test_layers_of_cutouts_come_if_they_are_named(servers: dict[str, Server]) -> None:
    from tensorhop.values.images import decode_image

    photo = decode_image(PHOTO.read_bytes())[::2, ::2]
    box, size = np.array([[20, 10, 250, 180]], np.float32), {"finish.canvas.width": 120, "finish.canvas.height": 100}
    request = asked("pipeline", size, IMAGE=photo, BOXES=box)
    bare = asked("pipeline", size | {"finish.shadow.kind": "none"}, IMAGE=photo, BOXES=box)
    with calling(servers["pipeline"].address) as caller:
        assert not {"OBJECT_LAYERS", "SHADOW_LAYERS"} & {*outputs(caller.infer(request))}
        for one in (request, bare):
            for name in ("CUTOUTS", "OBJECT_LAYERS", "SHADOW_LAYERS"):
                one.outputs.add(name=name)
        found, plain = outputs(caller.infer(request)), outputs(caller.infer(bare))
    assert {one.shape for one in found.values()} == {(1, 100, 120, 4)}
    assert found["SHADOW_LAYERS"].any()
    assert not plain["SHADOW_LAYERS"].any()
    assert np.array_equal(plain["OBJECT_LAYERS"], plain["CUTOUTS"])


def test_views_take_cameras() -> None:
    script = Script()
    script.pause.set()
    cameras = np.random.default_rng(1).uniform(1, 2, (2, 1, 2, 5))
    cameras[..., 3], cameras[..., 4] = 90, 0.5
    few = {"view.width": 32, "view.height": 24, "views": 1, "min_score": 0.0}
    given = {"PANORAMAS": np.zeros((1, 64, 128, 3), np.uint8), "CAMERAS": cameras}
    with fake_chain(script, shm_bytes=0) as front, calling(front.address) as caller:
        named = caller.infer(asked("views", few, **given, INTERVALS=np.array([3, 5], np.int32)))
        caller.infer(asked("views", few, **given))
        wrong = asked("views", few, **given, INTERVALS=np.array([3], np.int32))
        assert "INTERVALS names 1 intervals" in caller.refused(wrong)[1]
    assert {*outputs(named)["INTERVAL"].tolist()} == {3, 5}
    sent = [one.cameras[0] for one in script.requests if isinstance(one, preprocess_pb2.PreprocessRequest)]
    assert sorted(one.interval for one in sent) == [1, 2, 3, 5]
    for one in sent:
        (pair,) = one.cameras
        row = cameras[{3: 0, 5: 1, 1: 0, 2: 1}[one.interval], 0]
        assert [getattr(pair.right, name) for name in ("yaw", "pitch", "roll", "vfov", "xi")] == row[1].tolist()


def test_only_wanted_outputs_are_given(caller: Caller, photo: np.ndarray) -> None:
    request = asked("segment", IMAGE=photo, BOXES=BOXES)
    request.outputs.add(name="INDEX")
    assert {*outputs(caller.infer(request))} == {"INDEX"}


def typed(request: Any) -> Any:
    """The same request with typed contents."""
    for one, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if one.datatype == "UINT8":
            one.contents.uint_contents.extend(raw)
        else:
            one.contents.fp32_contents.extend(np.frombuffer(raw, np.float32).tolist())
    del request.raw_input_contents[:]
    return request


def test_all_forms_of_contents_are_the_same(caller: Caller) -> None:
    from tensorhop.values.images import decode_image

    file = PHOTO.read_bytes()
    photo = decode_image(file)
    plain = outputs(caller.infer(asked("segment", IMAGE=photo, BOXES=BOXES)))["MASKS"]
    assert plain.any()
    for image, boxes in (
        ([file], BOXES),
        (photo, BOXES.astype(ml_dtypes.bfloat16)),
        (photo, BOXES.astype(np.float16)),
        (photo, BOXES.astype(np.float64)),
    ):
        request = asked("segment", IMAGE=image, BOXES=boxes)
        assert np.array_equal(outputs(caller.infer(request))["MASKS"], plain), request.inputs[1].datatype
    # More than a message may have beside its payloads: 600 x 400 pixels of a varint for each number.
    assert np.array_equal(outputs(caller.infer(typed(asked("segment", IMAGE=photo, BOXES=BOXES))))["MASKS"], plain)


def changed(change: Any) -> Any:
    request = asked("segment", IMAGE=np.zeros((16, 24, 3), np.uint8), BOXES=BOXES)
    change(request)
    return request


def raw(request: Any, place: int, data: bytes) -> None:
    request.raw_input_contents[place] = data


def shaped(place: int, *shape: int) -> Any:
    def change(request: Any) -> None:
        request.inputs[place].shape[:] = shape

    return change


def extra(**fields: Any) -> Any:
    def change(request: Any) -> None:
        request.inputs.add(**fields)
        request.raw_input_contents.append(b"")

    return change


def many(request: Any) -> None:
    for number in range(100):
        extra(name=f"X{number}", datatype="FP32", shape=[0])(request)


def out_of_range(request: Any) -> None:
    typed(request).inputs[0].contents.uint_contents[7] = 256


def both(request: Any) -> None:
    request.inputs[1].contents.fp32_contents.extend(BOXES.reshape(-1))


def wrong_field(request: Any) -> None:
    typed(request).inputs[0].contents.fp32_contents.append(1)


def half(request: Any) -> None:
    typed(request).inputs[1].datatype = "FP16"


def told(name: str, **value: Any) -> Any:
    def change(request: Any) -> None:
        request.parameters[name].CopyFrom(oip.message("InferParameter")(**value))

    return change


def elsewhere(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "region"


def file_cut_short(request: Any) -> None:
    request.inputs[0].datatype = "BYTES"
    request.inputs[0].shape[:] = [1]
    raw(request, 0, b"\xff\xff\xff\xff1234")


WRONG = {
    "another model": (lambda r: setattr(r, "model_name", "x"), "NOT_FOUND", "no model 'x' here"),
    "another version": (lambda r: setattr(r, "model_version", "2"), "NOT_FOUND", "no version '2' of segment"),
    "too few bytes": (
        lambda r: raw(r, 1, bytes(8)),
        "INVALID_ARGUMENT",
        "inputs[BOXES].data has 8 bytes; shape [2, 4]",
    ),
    "too few pixels": (lambda r: raw(r, 0, bytes(9)), "INVALID_ARGUMENT", "image.tensor.data has 9 bytes"),
    "too few tensors": (lambda r: r.raw_input_contents.pop(), "INVALID_ARGUMENT", "raw_input_contents has 1 entries"),
    "too many tensors": (lambda r: r.raw_input_contents.append(b"x"), "INVALID_ARGUMENT", "raw_input_contents has 3"),
    "a missing input": (
        lambda r: (r.inputs.pop(), r.raw_input_contents.pop()),
        "INVALID_ARGUMENT",
        "[BOXES] is missing",
    ),
    "no inputs": (
        lambda r: (r.ClearField("inputs"), r.ClearField("raw_input_contents")),
        "INVALID_ARGUMENT",
        "[IMAGE]",
    ),
    "an unknown input": (extra(name="MASK", datatype="FP32"), "INVALID_ARGUMENT", "inputs[MASK] is no input"),
    "an input twice": (extra(name="BOXES", datatype="FP32"), "INVALID_ARGUMENT", "inputs[BOXES] came twice"),
    "100 inputs": (many, "INVALID_ARGUMENT", "inputs[X0] is no input of this model; known are IMAGE, BOXES"),
    "an unknown datatype": (lambda r: setattr(r.inputs[1], "datatype", "FP8"), "INVALID_ARGUMENT", "is 'FP8'; known"),
    "another datatype": (
        lambda r: setattr(r.inputs[1], "datatype", "INT32"),
        "INVALID_ARGUMENT",
        "is 'INT32'; it must be",
    ),
    "a picture of floats": (lambda r: setattr(r.inputs[0], "datatype", "FP32"), "INVALID_ARGUMENT", "image.tensor"),
    "a negative size": (shaped(1, -2, 4), "INVALID_ARGUMENT", "inputs[BOXES].shape is [-2, 4]"),
    "a huge shape": (shaped(1, 2**62, 4), "INVALID_ARGUMENT", "shape [4611686018427387904, 4] of FP32 takes"),
    "many empty rows": (shaped(1, 2**62, 0), "INVALID_ARGUMENT", "inputs[BOXES]"),
    "another rank": (shaped(1, 8), "INVALID_ARGUMENT", "inputs[BOXES].shape is [8]; it must be [-1, 4]"),
    "many dimensions": (shaped(1, *[1] * 40), "INVALID_ARGUMENT", "has 40 dimensions"),
    "beyond the datatype": (
        out_of_range,
        "INVALID_ARGUMENT",
        "inputs[IMAGE].contents holds 256; UINT8 goes from 0 to 255",
    ),
    "contents and raw": (both, "INVALID_ARGUMENT", "inputs[BOXES].contents came with raw_input_contents"),
    "contents of another kind": (wrong_field, "INVALID_ARGUMENT", "has uint_contents and fp32_contents; UINT8 takes"),
    "contents of FP16": (half, "INVALID_ARGUMENT", "has no field for FP16; send raw_input_contents"),
    "an element cut short": (file_cut_short, "INVALID_ARGUMENT", "inputs[IMAGE] ends within an element"),
    "an unknown output": (lambda r: r.outputs.add(name="X"), "INVALID_ARGUMENT", "outputs[X] is no output"),
    "an output twice": (lambda r: [r.outputs.add(name="MASKS") for _ in "12"], "INVALID_ARGUMENT", "came twice"),
    "an unknown parameter": (told("x", bool_param=True), "INVALID_ARGUMENT", "parameters[x] is no parameter"),
    "a parameter of another kind": (
        told("may_grow", string_param="1"),
        "INVALID_ARGUMENT",
        "may_grow is '1'; it must be a",
    ),
    "an empty parameter": (told("may_grow"), "INVALID_ARGUMENT", "may_grow is None; it must be a bool"),
    "shared memory that is off": (elsewhere, "UNIMPLEMENTED", "start segment with --oip-shm"),
    "a box outside": (
        lambda r: raw(r, 1, np.float32([[90, 0, 99, 9]] * 2).tobytes()),
        "INVALID_ARGUMENT",
        "boxes[0] is",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_by_name(caller: Caller, case: str) -> None:
    change, code, words = WRONG[case]
    status, details = caller.refused(changed(change))
    assert status == code, details
    assert words in details
    (streamed,) = caller.stream(changed(change))
    assert streamed.error_message == f"{code}: {details}"


def test_what_does_not_fit_into_a_message_is_refused_after_the_first_mask(caller: Caller, limit: Any) -> None:
    limit(max_message_bytes=4 * 1024**2)
    photo = np.zeros((1000, 1000, 3), np.uint8)
    status, details = caller.refused(asked("segment", IMAGE=photo, BOXES=np.repeat(BOXES[:1], 9, axis=0)))
    assert status == "INVALID_ARGUMENT"
    assert "MASKS would make 9,000,000 bytes of one output; a message holds 4,194,304" in details
    assert len(caller.stream(asked("segment", IMAGE=photo, BOXES=np.repeat(BOXES[:1], 9, axis=0)))) == 9


def test_bytes_that_are_no_request(segment: Server) -> None:
    with grpc.insecure_channel(segment.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(b"\xff" * 40, timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        (answer,) = stream(iter([b"\xff" * 40]), timeout=10)
        assert "INVALID_ARGUMENT" in oip.ModelStreamInferResponse.FromString(answer).error_message


@pytest.mark.parametrize("name", [name for name in services() if name != "jobs"])  # which takes requests, not tensors
def test_a_page_fits_its_contract(name: str) -> None:
    service = services()[name]
    page = service.load_page()
    assert page
    method = service.descriptor.methods_by_name[page.method]
    fields = {field.name for field in method.input_type.fields}
    assert {*page.options} <= fields
    names = [one.name for one in page.inputs]
    assert len(names) == len({*names})
    tensors: list[Any] = [*page.inputs, *page.outputs]
    for one in tensors:
        assert one.name.isupper()
        assert all(size == -1 or size > 0 for size in one.shape)


def listed(channel: grpc.Channel, **question: str) -> Any:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=10)
    return answer


def test_reflection_shows_both(segment: Server) -> None:
    with grpc.insecure_channel(segment.address) as channel:
        names = {one.name for one in listed(channel, list_services="").list_services_response.service}
        assert {"tensorhop.v1.SegmentService", "inference.GRPCInferenceService"} <= names
        for symbol in ("inference.GRPCInferenceService", "tensorhop.v1.SegmentService"):
            assert listed(channel, file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
        assert listed(channel, file_containing_symbol="inference.Nothing").error_response.error_code == 5


def test_metadata_and_liveness(caller: Caller) -> None:
    assert caller.ServerLive(oip.message("ServerLiveRequest")()).live
    assert caller.ServerReady(oip.message("ServerReadyRequest")()).ready
    assert caller.ModelReady(oip.message("ModelReadyRequest")(name="segment")).ready
    metadata = caller.ModelMetadata(oip.ModelMetadataRequest(name="segment"))
    assert [(one.name, one.datatype, [*one.shape]) for one in metadata.inputs] == [
        *(("IMAGE", "UINT8", [-1, -1, 3]), ("BOXES", "FP32", [-1, 4]))
    ]
    assert ("MASKS", "UINT8", [-1, -1, -1]) in [(one.name, one.datatype, [*one.shape]) for one in metadata.outputs]
    assert "system_shared_memory" not in caller.ServerMetadata(oip.message("ServerMetadataRequest")()).extensions


def test_a_service_without_a_page_says_so() -> None:
    service = Service("toy", echo_pb2.DESCRIPTOR.services_by_name["EchoService"], EchoServicer)
    server = Server(service, EchoServicer(), HERE)
    with calling(server.address) as caller:
        assert caller.ModelReady(oip.message("ModelReadyRequest")(name="toy")).ready
        assert not caller.ModelMetadata(oip.ModelMetadataRequest(name="toy")).inputs
        status, details = caller.refused(asked("toy"))
        assert status == "UNIMPLEMENTED"
        assert "toy has no page for the Open Inference Protocol (Service.page)" in details
    server.stop(0).wait()


def test_a_token_is_wanted_but_for_liveness(tmp_path: Path, photo: np.ndarray) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    service = services()["segment"]
    server = Server(service, service.make_servicer(Boxes()), HERE, Security(token_file=str(tmp_path / "tokens")))
    with calling(server.address) as caller:
        assert caller.ServerLive(oip.message("ServerLiveRequest")()).live
        assert caller.refused(asked("segment", IMAGE=photo, BOXES=BOXES))[0] == "UNAUTHENTICATED"
        with pytest.raises(grpc.RpcError, match="wants a token"):
            caller.stream(asked("segment", IMAGE=photo, BOXES=BOXES))
        bearer = (("authorization", "Bearer secret"),)
        assert caller.ModelInfer(asked("segment", IMAGE=photo, BOXES=BOXES), metadata=bearer).outputs
    server.stop(0).wait()


def test_streams_that_stay_open_are_few_and_leave_room_for_calls(photo: np.ndarray) -> None:
    import threading

    service = services()["segment"]
    server = Server(service, service.make_servicer(Boxes()), HERE, settings=Settings(max_calls=2))
    ended = threading.Event()

    def idle() -> Iterator[Any]:
        yield asked("segment", IMAGE=photo, BOXES=BOXES[:1])
        ended.wait(60)

    with calling(server.address) as caller:
        open_ones = [caller.ModelStreamInfer(idle()) for _ in range(2)]
        assert all(next(stream).infer_response.outputs for stream in open_ones)
        with pytest.raises(grpc.RpcError) as caught:
            caller.stream(asked("segment", IMAGE=photo, BOXES=BOXES[:1]))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caller.infer(asked("segment", IMAGE=photo, BOXES=BOXES[:1])).outputs
        ended.set()
        assert not [answer for stream in open_ones for answer in stream]
        assert caller.stream(asked("segment", IMAGE=photo, BOXES=BOXES[:1]))
    server.stop(0).wait()
