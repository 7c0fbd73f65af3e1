"""The unmodified Python client of KServe against real services, in one process with them: `make test-oip`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("kserve")

from kserve import InferenceGRPCClient, InferInput, InferRequest

from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.server import Server
from tensorhop.values.images import decode_image

CAT = Path(__file__).parents[2] / "examples/photos/cat.jpg"
BOXES = [[100.0, 50.0, 400.0, 290.0], [0.0, 0.0, 200.0, 200.0]]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    with one_process(dict.fromkeys(("detect", "segment"), "127.0.0.1:0")) as running:
        yield running


def ask(servers: dict[str, Server], name: str, *inputs: Any) -> Any:
    async def infer() -> Any:
        async with InferenceGRPCClient(servers[name].address) as client:
            return await client.infer(InferRequest(name, list(inputs), request_id="mine"))

    return asyncio.run(infer())


def test_liveness_and_readiness(servers: dict[str, Server]) -> None:
    async def check() -> list[bool]:
        async with InferenceGRPCClient(servers["segment"].address) as client:
            live, ready = await client.is_server_live(), await client.is_server_ready()
            return [live, ready, await client.is_model_ready("segment")]

    assert asyncio.run(check()) == [True, True, True]


def image(pixels: np.ndarray) -> Any:
    made = InferInput("IMAGE", list(pixels.shape), "UINT8")
    made.set_data_from_numpy(pixels, binary_data=True)
    return made


def test_raw_and_typed_contents_are_the_same(servers: dict[str, Server]) -> None:
    pixels = decode_image(CAT.read_bytes())
    boxes = InferInput("BOXES", [2, 4], "FP32")
    boxes.set_data_from_numpy(np.array(BOXES, np.float32), binary_data=True)
    raw = ask(servers, "segment", image(pixels), boxes)
    assert raw.id == "mine"
    typed = ask(
        servers,
        "segment",
        InferInput("IMAGE", list(pixels.shape), "UINT8", pixels.reshape(-1).tolist()),
        InferInput("BOXES", [2, 4], "FP32", [value for box in BOXES for value in box]),
    )
    first, second = ({one.name: one.as_numpy() for one in answer.outputs} for answer in (raw, typed))
    assert first["MASKS"].shape == (2, *pixels.shape[:2])
    assert first["MASKS"].max() == 255
    for name in ("MASKS", "INDEX"):
        assert np.array_equal(first[name], second[name])


def test_bytes(servers: dict[str, Server]) -> None:
    file = InferInput("IMAGE", [1], "BYTES", [CAT.read_bytes()])
    found = ask(servers, "detect", file, InferInput("PHRASES", [1], "BYTES", ["cat"]))
    outputs = {one.name: one.as_numpy() for one in found.outputs}
    assert [str(label, "utf-8") if isinstance(label, bytes) else label for label in outputs["LABELS"]] == ["cat"]
    assert outputs["BOXES"].shape == (1, 4)
