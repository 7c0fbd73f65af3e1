"""How many bytes go to each service: the photo once, whatever the number of objects, and crops to postprocess."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from bench_chain import instant
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench import product
from tensorhop.orchestrator.bench.echo import thumbnail
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts import objects
from tensorhop.orchestrator.cutouts.pipeline import process
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports, services
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.server import Server
from tensorhop.v1 import image_pb2, pipeline_pb2
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult
from tensorhop.wire import image_source
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import SMALLEST, SUPPORTED
from tensorhop.wire.tensor import to_tensor

pytestmark = pytest.mark.slow

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
    call = Remote.call

    def counting(self: Remote, method: str, packet: Packet, **more: Any) -> object:
        counted[method].append(packet.payloads.nbytes)
        return call(self, method, packet, **more)

    monkeypatch.setattr(Remote, "call", counting)
    return counted


@pytest.fixture
def copied() -> Callable[[], int]:
    """Bytes of payload that this process has written so far, into slots and messages: each of them is copied once."""

    def now() -> int:
        transports = ("message", "shared_memory")
        name = "tensorhop_payload_bytes_total"
        return sum(int(REGISTRY.get_sample_value(name, {"transport": one}) or 0) for one in transports)

    return now


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


@pytest.mark.skipif(not SUPPORTED, reason="this platform has no shared memory")
def test_by_reference_a_chain_copies_little_more_than_its_image(copied: Callable[[], int]) -> None:
    """As `tensorhop bench chain` times it: 36 MB to four services, of which the last two answer in lent slots."""
    image = np.zeros((3000, 4000, 3), np.uint8)
    image[::7] = 255
    with contextlib.ExitStack() as stack:
        addresses = [stack.enter_context(product.serve_reader()) for _ in range(4)]
        call = stack.enter_context(product.by_reference(*addresses))
        before = copied()
        assert np.array_equal(call(image), thumbnail(image))
        assert image.nbytes < copied() - before <= 1.3 * image.nbytes


@pytest.mark.skipif(not SUPPORTED, reason="this platform has no shared memory")
def test_the_real_chain_copies_little_more_than_its_photo(
    copied: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of the pipeline and its services, with models that answer at once, and an object of the same size."""
    photo = np.zeros((3000, 4000, 3), np.uint8)
    photo[::7] = 255
    with contextlib.ExitStack() as stack:
        models = [(services()[name], (model(),)) for name, model in instant.MODELS.items()]
        servers = [Server(service, service.make_servicer(*made), "127.0.0.1:0") for service, made in models]
        servers.append(Server(instant.POSTPROCESS, instant.POSTPROCESS.load(), "127.0.0.1:0"))
        for server in servers:
            stack.callback(lambda server=server: server.stop(0).wait())
        steps = Steps.connect(CUTOUTS, {server.service.name: server.address for server in servers})
        stack.callback(steps.close)
        scope = RequestScope("moved", steps.pool)
        payloads = Payloads()
        request = pipeline_pb2.ProcessRequest(
            image=image_pb2.Image(tensor=to_tensor(photo, payloads)),
            boxes=[image_pb2.Box(x0=1000, y0=1000, x1=2000, y1=1750)],
            output=pipeline_pb2.Output(encoding=pipeline_pb2.ENCODING_TENSOR),
        )
        before = copied()
        events = [event.message for event in process(Packet(request, payloads), steps, scope)]
        assert any(isinstance(event, pipeline_pb2.ObjectResult) for event in events)
        assert photo.nbytes < copied() - before <= 1.3 * photo.nbytes
