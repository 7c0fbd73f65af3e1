"""How many bytes go to each service: the photo once, whatever the number of objects, and crops to postprocess."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tensorhop.client.pipeline import PipelineClient
from tensorhop.orchestrator.cutouts import objects
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.server import Server
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult
from tensorhop.wire import image_source
from tensorhop.wire.codec import Packet
from tensorhop.wire.shared_memory import SMALLEST, SUPPORTED

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"
BOXES = [(150.0, 40.0, 330.0, 250.0), (20.0, 20.0, 200.0, 200.0), (100.0, 100.0, 300.0, 290.0)]


@pytest.fixture
def without_shared_memory(limit: Callable[..., None]) -> Iterator[dict[str, Server]]:
    limit(shm_bytes=0)
    with one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as running:
        yield running


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Bytes of payload in each message that leaves, by the method's name."""
    counted: dict[str, list[int]] = defaultdict(list)
    method = Remote.method

    def counting(self: Remote, name: str, packet: Packet) -> object:
        counted[name].append(packet.payloads.nbytes)
        return method(self, name, packet)

    monkeypatch.setattr(Remote, "method", counting)
    return counted


@pytest.mark.parametrize("objects", [1, 3])
def test_the_photo_goes_to_each_service_once_and_postprocess_gets_crops(
    without_shared_memory: dict[str, Server], sent: dict[str, list[int]], cat: np.ndarray, objects: int
) -> None:
    with PipelineClient(without_shared_memory["pipeline"].address) as client:
        events = list(client.process(PHOTO.read_bytes(), boxes=BOXES[:objects], return_masks=True))
        list(client.process(PHOTO.read_bytes()))
    masks = [event.mask for event in events if isinstance(event, ObjectResult)]
    assert len(masks) == objects
    assert sent["Describe"] == [cat.nbytes]
    assert sent["Detect"] == [cat.nbytes]
    assert sent["Segment"] == [cat.nbytes, cat.nbytes], "one for each request"
    crops = sorted(3 * mask.alpha.size + mask.alpha.nbytes for mask in masks)
    assert sorted(sent["Postprocess"][:objects]) == crops


@pytest.mark.skipif(not SUPPORTED, reason="this platform has no shared memory")
def test_by_shared_memory_no_payload_is_in_any_message(
    client: PipelineClient, sent: dict[str, list[int]], cat: np.ndarray
) -> None:
    data = PHOTO.read_bytes()
    events = list(client.process(data, boxes=BOXES, cache=False, return_masks=True))
    assert sent["Process"] == [len(data)]
    assert sent["Segment"] == [0]
    masks = [event.mask.alpha.size for event in events if isinstance(event, ObjectResult)]
    small = sum(size < SMALLEST for size in masks) + sum(3 * size < SMALLEST for size in masks)
    assert sum(count > 0 for count in sent["Postprocess"]) <= small, "only small tensors stay in the message"
    assert all(count < 2 * SMALLEST for count in sent["Postprocess"])


def test_nothing_is_encoded_or_decoded_in_between(
    client: PipelineClient, cat: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, encoded = [], []
    decode, encode = image_source.decode_photo, objects.encode_layers
    monkeypatch.setattr(image_source, "decode_photo", lambda *args: (decoded.append(args[1:]), decode(*args))[1])
    monkeypatch.setattr(objects, "encode_layers", lambda *args: (encoded.append(1), encode(*args))[1])
    events = list(client.process(PHOTO.read_bytes(), boxes=BOXES, cache=False, output=Output("png")))
    assert decoded == [("image.encoded",)], "by the pipeline, as it came"
    assert len(encoded) == sum(isinstance(event, ObjectResult) for event in events) == 3
