"""The unmodified tritonclient against real services, in one process with them: `make test-oip`."""

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

grpcclient = pytest.importorskip("tritonclient.grpc")
shm = pytest.importorskip("tritonclient.utils.shared_memory")

from tritonclient.utils import InferenceServerException, triton_to_np_dtype  # noqa: E402

from tensorhop.orchestrator.launch.in_process import one_process  # noqa: E402
from tensorhop.rpc.registry import services  # noqa: E402
from tensorhop.rpc.server import Server  # noqa: E402
from tensorhop.settings import Settings, use_settings  # noqa: E402
from tensorhop.values.images import decode_image  # noqa: E402

EXAMPLES = Path(__file__).parents[2] / "examples"
BOXES = np.array([[100, 50, 400, 290], [0, 0, 200, 200]], np.float32)
CAMERAS = np.array([[[0, 0, 0, 90, 0], [40, 0, 0, 90, 0]]], np.float64)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    use_settings(Settings(oip_shm=True))
    with one_process(dict.fromkeys(services(), "127.0.0.1:0")) as running:
        yield running
    use_settings(None)


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return decode_image((EXAMPLES / "photos/cat.jpg").read_bytes())


def client_of(servers: dict[str, Server], name: str) -> Any:
    return grpcclient.InferenceServerClient(servers[name].address)


def tensor(name: str, value: Any) -> Any:
    if isinstance(value, list):
        value = np.array(value, np.object_)
    datatypes = {"uint8": "UINT8", "float32": "FP32", "float64": "FP64", "int32": "INT32", "object": "BYTES"}
    datatype = datatypes[value.dtype.name]
    made = grpcclient.InferInput(name, list(value.shape), datatype)
    made.set_data_from_numpy(value)
    return made


@pytest.mark.parametrize("name", list(services()))
def test_liveness_readiness_and_metadata(servers: dict[str, Server], name: str) -> None:
    with client_of(servers, name) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(name)
        assert client.is_model_ready(name, "1")
        assert client.get_server_metadata().name == "tensorhop"
        metadata = client.get_model_metadata(name)
        assert metadata.name == name
        assert metadata.inputs
        assert metadata.outputs
        with pytest.raises(InferenceServerException, match="no model 'else'"):
            client.get_model_metadata("else")


def test_a_stranger_needs_the_metadata_alone(servers: dict[str, Server], cat: np.ndarray) -> None:
    known = {"IMAGE": cat, "IMAGES": cat[None], "CROP": cat, "PHRASES": [b"cat"], "BOXES": BOXES}
    known |= {"MASK": np.full(cat.shape[:2], 255, np.uint8)}
    for name in ("describe", "detect", "segment", "postprocess", "quality", "pipeline"):
        with client_of(servers, name) as client:
            metadata = client.get_model_metadata(name)
            inputs = [tensor(one.name, known[one.name]) for one in metadata.inputs]
            wanted = [grpcclient.InferRequestedOutput(one.name) for one in metadata.outputs]
            answer = client.infer(name, inputs, outputs=wanted)
            for output in metadata.outputs:
                found = answer.as_numpy(output.name)
                if output.datatype == "BYTES":
                    assert found.dtype == np.object_
                else:
                    assert found.dtype == triton_to_np_dtype(output.datatype)
                assert len(found.shape) == len(output.shape)
                assert all(stated in (-1, size) for stated, size in zip(output.shape, found.shape, strict=True))


def test_masks_are_stacked(servers: dict[str, Server], cat: np.ndarray) -> None:
    with client_of(servers, "segment") as client:
        answer = client.infer("segment", [tensor("IMAGE", cat), tensor("BOXES", BOXES)], request_id="mine")
        assert answer.get_response().id == "mine"
        assert answer.as_numpy("MASKS").shape == (2, *cat.shape[:2])
        assert answer.as_numpy("MASKS")[0].max() == 255
        assert answer.as_numpy("INDEX").tolist() == [0, 1]
        only = client.infer(
            "segment",
            [tensor("IMAGE", cat), tensor("BOXES", BOXES)],
            outputs=[grpcclient.InferRequestedOutput("INDEX")],
        )
        assert only.as_numpy("MASKS") is None
        assert only.as_numpy("INDEX").tolist() == [0, 1]


def test_bf16_and_bytes(servers: dict[str, Server], cat: np.ndarray) -> None:
    boxes = grpcclient.InferInput("BOXES", [1, 4], "BF16")
    boxes.set_data_from_numpy(np.array([[100, 50, 400, 288]], ml_dtypes.bfloat16))
    file = [(EXAMPLES / "photos/cat.jpg").read_bytes()]
    with client_of(servers, "segment") as client:
        found = client.infer("segment", [tensor("IMAGE", file), boxes]).as_numpy("MASKS")
        same = client.infer("segment", [tensor("IMAGE", cat), tensor("BOXES", np.float32([[100, 50, 400, 288]]))])
        assert np.array_equal(found, same.as_numpy("MASKS"))


def test_parameters(servers: dict[str, Server], cat: np.ndarray) -> None:
    with client_of(servers, "detect") as client:
        inputs = [tensor("IMAGE", cat), tensor("PHRASES", [b"cat"])]
        assert len(client.infer("detect", inputs, parameters={"options.score_threshold": 0.1}).as_numpy("BOXES")) == 1
        assert len(client.infer("detect", inputs, parameters={"options.score_threshold": 1.0}).as_numpy("BOXES")) == 0
        with pytest.raises(InferenceServerException, match="no parameter of this model") as caught:
            client.infer("detect", inputs, parameters={"threshold": 0.1})
        assert "INVALID_ARGUMENT" in str(caught.value.status())


def test_a_stream_answers_each_object(servers: dict[str, Server], cat: np.ndarray) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    with client_of(servers, "segment") as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        inputs = [tensor("IMAGE", cat), tensor("BOXES", BOXES)]
        client.async_stream_infer("segment", inputs, request_id="a", enable_empty_final_response=True)
        client.async_stream_infer("segment", inputs[:1], request_id="b")
        client.async_stream_infer("segment", inputs, request_id="c")
        found = [answers.get(timeout=60) for _ in range(6)]
        client.stop_stream()
    kinds = [(error or result).get_response().id if result else str(error) for result, error in found]
    assert kinds == ["a", "a", "a", "INVALID_ARGUMENT: inputs[BOXES] is missing; it is FP32 [-1, 4]", "c", "c"]
    final = [result.get_response().parameters["triton_final_response"].bool_param for result, _ in found if result]
    assert final == [False, False, True, False, False]
    assert {int(result.as_numpy("INDEX")[0]) for result, _ in found[:2]} == {0, 1}


def test_the_chain_streams_its_objects(servers: dict[str, Server], cat: np.ndarray) -> None:
    done, found = threading.Event(), []

    def take(result: Any, error: Any) -> None:
        found.append((result, error))
        if error or result.get_response().parameters["triton_final_response"].bool_param:
            done.set()

    with client_of(servers, "pipeline") as client:
        client.start_stream(take)
        client.async_stream_infer(
            "pipeline",
            [tensor("IMAGE", cat), tensor("BOXES", BOXES)],
            enable_empty_final_response=True,
            parameters={"finish.canvas.width": 200, "finish.canvas.height": 100},
        )
        assert done.wait(120)
        client.stop_stream()
    assert not [error for _, error in found if error]
    assert {result.as_numpy("CUTOUTS").shape for result, _ in found[:-1]} == {(1, 100, 200, 4)}
    assert json.loads(found[-1][0].get_response().parameters["summary"].string_param)["objects"] == 2


def test_views(servers: dict[str, Server]) -> None:
    panorama = tensor("PANORAMAS", [(EXAMPLES / "panoramas/court.jpg").read_bytes()])
    size = {"any_ratio": True, "view.width": 64, "view.height": 48}
    with client_of(servers, "preprocess") as client:
        pairs = client.infer("preprocess", [panorama], parameters={**size, "seed": 1})
        assert pairs.as_numpy("PAIRS").shape == (8, 48, 128, 3)
        assert pairs.as_numpy("INTERVAL").tolist() == [*range(1, 9)]
    with client_of(servers, "interpolate") as client:
        views = client.infer("interpolate", [panorama, tensor("CAMERAS", CAMERAS)], parameters={**size, "views": 3})
        assert views.as_numpy("VIEWS").shape == (3, 48, 64, 3)
    with client_of(servers, "upscale") as client:
        large = client.infer("upscale", [tensor("IMAGES", views.as_numpy("VIEWS"))], parameters={"scale": 4})
        assert large.as_numpy("ENLARGED").shape == (3, 192, 256, 3)
    with client_of(servers, "views") as client:
        chosen = {**size, "views": 2, "min_score": 0.0, "seed": 1}
        whole = client.infer("views", [panorama, tensor("INTERVALS", np.int32([2]))], parameters=chosen)
        assert sorted(whole.as_numpy("WEIGHT_IDX")) == [0, 1, 2]
        assert sorted(map(tuple, whole.as_numpy("SIZE").tolist())) == [(128, 48), (128, 96), (128, 96)]


def test_shared_memory_in_and_out(servers: dict[str, Server], cat: np.ndarray) -> None:
    with client_of(servers, "segment") as client:
        plain = client.infer("segment", [tensor("IMAGE", cat), tensor("BOXES", BOXES)]).as_numpy("MASKS")
        given = shm.create_shared_memory_region("given", "/tensorhop_test_given", cat.nbytes)
        taken = shm.create_shared_memory_region("taken", "/tensorhop_test_taken", plain.nbytes)
        try:
            shm.set_shared_memory_region(given, [np.ascontiguousarray(cat)])
            client.register_system_shared_memory("given", "/tensorhop_test_given", cat.nbytes)
            client.register_system_shared_memory("taken", "/tensorhop_test_taken", plain.nbytes)
            assert {*client.get_system_shared_memory_status().regions} == {"given", "taken"}
            with pytest.raises(InferenceServerException, match="registered already") as caught:
                client.register_system_shared_memory("taken", "/tensorhop_test_taken", plain.nbytes)
            assert "ALREADY_EXISTS" in str(caught.value.status())
            image = grpcclient.InferInput("IMAGE", list(cat.shape), "UINT8")
            image.set_shared_memory("given", cat.nbytes)
            masks = grpcclient.InferRequestedOutput("MASKS")
            masks.set_shared_memory("taken", plain.nbytes)
            index = grpcclient.InferRequestedOutput("INDEX")
            answer = client.infer("segment", [image, tensor("BOXES", BOXES)], outputs=[masks, index])
            assert answer.as_numpy("INDEX").tolist() == [0, 1]
            found = shm.get_contents_as_numpy(taken, np.uint8, plain.shape)
            assert np.array_equal(found, plain)
            client.unregister_system_shared_memory("given")
            with pytest.raises(InferenceServerException, match="no region 'given'") as caught:
                client.get_system_shared_memory_status("given")
            assert "NOT_FOUND" in str(caught.value.status())
            client.unregister_system_shared_memory()
            assert not client.get_system_shared_memory_status().regions
        finally:
            shm.destroy_shared_memory_region(given)
            shm.destroy_shared_memory_region(taken)
