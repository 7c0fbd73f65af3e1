"""The chain over gRPC, on real photos: what it answers, in which order, and what it does when a part fails."""

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2
import grpc
import numpy as np
import pytest
from PIL import Image
from waiting import GUARD

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts import objects
from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.orchestrator.cutouts.servicer import PipelineServicer
from tensorhop.rpc import retries
from tensorhop.rpc.server import Server
from tensorhop.rpc.status import from_error
from tensorhop.services.describe.embedded import EmbeddedDescriber
from tensorhop.services.detect.embedded import EmbeddedDetector
from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.v1 import fault_pb2, pipeline_pb2, pipeline_pb2_grpc, segment_pb2, tensor_pb2
from tensorhop.v1.segment_pb2_grpc import SegmentServiceServicer, add_SegmentServiceServicer_to_server
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.images import decode_image
from tensorhop.values.images.png import encode_png
from tensorhop.values.output_options import Output
from tensorhop.values.results import Description, Detections, ObjectFault, ObjectResult, Summary

Kind = TypeVar("Kind")


def one(kind: type[Kind], events: list) -> Kind:
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


def names(events: list) -> list[str]:
    return [type(event).__name__ for event in events]


def test_chain_equals_direct_calls_bit_for_bit(client: PipelineClient, cat: np.ndarray) -> None:
    events = list(client.process(cat, return_masks=True, return_layers=True))
    (described,) = EmbeddedDescriber().predict([cat])
    ((detections, warnings),) = EmbeddedDetector().predict([cat], [[described.text]])
    masks = EmbeddedSegmenter().predict([cat] * len(detections), [found.box for found in detections])

    assert one(Description, events) == described
    assert one(Detections, events) == Detections(detections, warnings)
    results = {event.detection.index: event for event in events if isinstance(event, ObjectResult)}
    assert sorted(results) == list(range(len(detections))) != []
    for index, mask in enumerate(masks):
        result = results[index]
        direct = finish(cat[mask.region.slices], mask, size_of(cat), Finish())
        assert result.mask.region == mask.region
        np.testing.assert_array_equal(result.mask.alpha, mask.alpha)
        np.testing.assert_array_equal(result.cutout.pixels, direct.cutout.pixels)
        assert result.cutout.region == direct.cutout.region
        np.testing.assert_array_equal(result.shadow.pixels, direct.shadow.pixels)
        assert result.placement == direct.placement
        np.testing.assert_array_equal(
            result.picture.pixels, compose([direct.shadow, direct.cutout], result.picture.region)
        )


def test_events_come_in_order_and_name_their_models(client: PipelineClient, cat: np.ndarray) -> None:
    events = list(client.process(cat, cache=False))
    assert names(events) == ["Description", "Detections", "ObjectResult", "Summary"]
    summary = one(Summary, events)
    assert (summary.objects, summary.faults, summary.photo) == (1, 0, size_of(cat))
    assert [step.step for step in summary.steps] == ["describe", "detect", "segment", "postprocess"]
    assert [step.model for step in summary.steps] == ["embedded", "embedded", "embedded", ""]
    assert all(len(step.digest) == 64 for step in summary.steps[:3])
    assert all(0 < step.seconds < summary.seconds for step in summary.steps)


def test_phrases_skip_describe(client: PipelineClient, cat: np.ndarray) -> None:
    events = list(client.process(cat, phrases=["Cat"]))
    assert names(events) == ["Detections", "ObjectResult", "Summary"]
    assert one(ObjectResult, events).detection.label == "Cat"
    assert [step.step for step in one(Summary, events).steps] == ["detect", "segment", "postprocess"]


def test_boxes_skip_detect(client: PipelineClient, cat: np.ndarray) -> None:
    boxes = [Box(20, 10, 440, 300), Box(-50, -50, 200, 900)]
    events = list(client.process(cat, boxes=boxes, phrases=["cat", "half a cat"], max_objects=1))
    found = one(Detections, events).detections
    assert [detection.label for detection in found] == ["cat", "half a cat"]
    assert found[1].box == Box(0, 0, 200, 300)
    assert [step.step for step in one(Summary, events).steps] == ["segment", "postprocess"]


def test_masks_skip_segment(client: PipelineClient, cat: np.ndarray) -> None:
    alpha = np.zeros(cat.shape[:2], np.float32)
    alpha[50:200, 100:300] = 1
    plain = Finish(center=False, decontaminate=False, shadow="none")
    (found, result, summary) = client.process(cat, masks=[alpha], finish=plain)
    assert found.detections[0].label == "object"
    assert [step.step for step in summary.steps] == ["postprocess"]
    assert result.picture.region == Region(100, 50, 300, 200)
    np.testing.assert_array_equal(result.picture.pixels[..., :3], cat[50:200, 100:300])
    assert (result.picture.pixels[..., 3] == 255).all()


def test_encoded_image_gives_the_same_as_its_tensor(client: PipelineClient, cat: np.ndarray) -> None:
    arguments = {"boxes": [Box(20, 10, 440, 300)]}
    first, second = (one(ObjectResult, list(client.process(image, **arguments))) for image in (cat, encode_png(cat)))
    np.testing.assert_array_equal(first.picture.pixels, second.picture.pixels)


def test_png_answer_is_the_whole_canvas(servers: dict[str, Server], cat: np.ndarray) -> None:
    with grpc.insecure_channel(servers["pipeline"].address) as channel:  # with the stock limit of 4 MiB
        stub = pipeline_pb2_grpc.PipelineServiceStub(channel)
        request = pipeline_pb2.ProcessRequest(boxes=[{"x0": 20, "y0": 10, "x1": 440, "y1": 300}])
        request.image.encoded = encode_png(cat)
        answers = list(stub.Process(request))
    (result,) = [answer.object for answer in answers if answer.HasField("object")]
    assert result.picture.encoded.startswith(b"\x89PNG")
    canvas = (result.placement.canvas.height, result.placement.canvas.width)
    assert decode_image(result.picture.encoded).shape[:2] == canvas
    assert (result.picture.region.y1, result.picture.region.x1) == canvas
    assert len({answer.request_id for answer in answers}) == 1


@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_a_file_is_the_picture_over_the_background(client: PipelineClient, cat: np.ndarray, encoding: str) -> None:
    arguments = {"masks": [oval(cat)], "finish": Finish(canvas=Size(200, 120), fill=0.5)}
    plain = one(ObjectResult, list(client.process(cat, **arguments)))
    output = Output(encoding, background="white")
    result = one(ObjectResult, list(client.process(cat, **arguments, output=output)))
    assert result.picture is None
    canvas = compose([plain.picture], Region(0, 0, 200, 120))
    over_white, pixels = flatten(canvas, (255, 255, 255))[..., :3], decode_image(result.file)
    free = canvas[..., 3] == 0
    assert 0.3 < free.mean() < 0.9
    assert (pixels[free] == 255).all()
    np.testing.assert_allclose(pixels.astype(int), over_white, atol=40 if encoding == "jpeg" else 1)


def test_an_array_over_a_background_is_the_whole_canvas(client: PipelineClient, cat: np.ndarray) -> None:
    finish, output = Finish(center=False, shadow="none"), Output("tensor", background="#010203")
    result = one(ObjectResult, list(client.process(cat, masks=[oval(cat)], finish=finish, output=output)))
    assert result.file is None
    assert result.picture.region == Region.of(size_of(cat))
    assert (result.picture.pixels[..., 3] == 255).all()
    assert result.picture.pixels[0, 0].tolist() == [1, 2, 3, 255]


def test_opaque_pixels_are_the_photos_own_to_the_bit(client: PipelineClient, cat: np.ndarray) -> None:
    """From the photo's array through segment and postprocess into a PNG file, with the cast shadow underneath."""
    arguments = {"boxes": [Box(20, 10, 440, 300)], "return_masks": True}
    events = client.process(cat, **arguments, finish=Finish(center=False), output=Output("png"))
    result = one(ObjectResult, list(events))
    picture = np.asarray(Image.open(io.BytesIO(result.file)))
    assert picture.shape == (*cat.shape[:2], 4)
    alpha = np.zeros(cat.shape[:2], np.uint8)
    alpha[result.mask.region.slices] = result.mask.alpha
    assert (alpha == 255).mean() > 0.1
    np.testing.assert_array_equal(picture[alpha == 255], np.dstack([cat, alpha])[alpha == 255])


def test_marketplace_is_pure_white_and_fills_85_percent(client: PipelineClient, coffee: np.ndarray) -> None:
    masks = [oval(coffee)]
    plain = one(ObjectResult, list(client.process(coffee, masks=masks, finish=FINISH_PRESETS["marketplace"]["finish"])))
    pixels = decode_image(
        one(ObjectResult, list(client.process(coffee, masks=masks, **FINISH_PRESETS["marketplace"]))).file
    )
    assert pixels.shape == (1024, 1024, 3)
    alpha = compose([plain.picture], Region(0, 0, 1024, 1024))[..., 3]
    assert (pixels[alpha == 0] == 255).all()
    rows, columns = np.nonzero(alpha > 0.05 * 255)
    photo_pixel = plain.placement.scale
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(0.85 * 1024, abs=photo_pixel)


def test_merged_objects_are_one(client: PipelineClient, cat: np.ndarray) -> None:
    masks = [oval(cat), np.roll(oval(cat), 120, axis=1)]
    finish = Finish(center=False, decontaminate=False, refine=False, shadow="none")
    events = list(client.process(cat, masks=masks, phrases=["left", "right"], merge=True, finish=finish))
    assert names(events) == ["Detections", "ObjectResult", "Summary"]
    result, summary = one(ObjectResult, events), one(Summary, events)
    assert (result.detection.index, result.detection.label, summary.objects) == (0, "left, right", 1)
    united = 1 - (1 - masks[0] / 255) * (1 - masks[1] / 255)
    alpha = compose([result.picture], Region.of(size_of(cat)))[..., 3]
    np.testing.assert_allclose(alpha / 255, united, atol=0.51 / 255)


def test_merging_leaves_out_what_failed(client: PipelineClient, cat: np.ndarray) -> None:
    masks = [np.zeros(cat.shape[:2], np.uint8), oval(cat), np.roll(oval(cat), 60, axis=1)]
    events = list(client.process(cat, masks=masks, merge=True))
    fault, result, summary = one(ObjectFault, events), one(ObjectResult, events), one(Summary, events)
    assert (fault.detection.index, fault.code, fault.field) == (0, "INVALID_ARGUMENT", "mask.alpha")
    assert (result.detection.box.x0, summary.objects, summary.faults) == (0, 1, 1)
    events = list(client.process(cat, masks=masks[:1], merge=True))
    assert names(events) == ["Detections", "ObjectFault", "Summary"]


def test_nothing_found_is_no_error(client: PipelineClient) -> None:
    events = list(client.process(np.full((200, 300, 3), 128, np.uint8)))
    assert names(events) == ["Description", "Detections", "Summary"]
    assert one(Detections, events).detections == []


def test_request_id_is_the_callers(servers: dict[str, Server], cat: np.ndarray) -> None:
    with grpc.insecure_channel(servers["pipeline"].address) as channel:
        stub = pipeline_pb2_grpc.PipelineServiceStub(channel)
        request = pipeline_pb2.ProcessRequest(request_id="mine", boxes=[{"x1": 100, "y1": 100}])
        request.image.encoded = encode_png(cat)
        assert {answer.request_id for answer in stub.Process(request)} == {"mine"}


def oval(photo: np.ndarray) -> np.ndarray:
    """A mask, soft at its rim."""
    alpha = cv2.ellipse(np.zeros(photo.shape[:2], np.uint8), (150, 140), (70, 90), 0, 0, 360, 255, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 2)


def test_describe_gets_the_callers_options(client: PipelineClient, cat: np.ndarray) -> None:
    events = client.process(cat, describe=DescribeOptions(look="whole"))
    assert one(Description, [next(events)]).region == (0, 0, 451, 300)
    events.close()
    with pytest.raises(ServiceFault) as caught:
        list(client.process(cat, describe=DescribeOptions(prompt="a photo of")))
    assert (caught.value.fault.step, caught.value.fault.field) == (fault_pb2.STEP_DESCRIBE, "options.prompt")


def test_wrong_options_for_describe_are_refused_before_any_work(servers: dict[str, Server]) -> None:
    request = pipeline_pb2.ProcessRequest(image={"encoded": encode_png(WHOLE)}, describe={"look": 7}, phrases=["cat"])
    with grpc.insecure_channel(servers["pipeline"].address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(pipeline_pb2_grpc.PipelineServiceStub(channel).Process(request))
    assert from_error(caught.value).fault.field == "describe.look"


WHOLE = np.full((300, 451), 255, np.uint8)  # a mask of the cat's photo
SQUARE = tensor_pb2.Tensor(dtype="UINT8", shape=[40, 40], data=b"\xff" * 1600)


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({"boxes": [(0, 0, float("nan"), 5)]}, "boxes[0].x1", "finite"),
        ({"boxes": [(9, 9, 99, 99), (50, 50, 40, 60)]}, "boxes[1]", "x0 < x1"),
        ({"boxes": [(500, 0, 600, 5)]}, "boxes[0]", "451"),
        ({"boxes": [(0, 0, 5, 5)] * 501}, "boxes", "at most 500"),
        ({"boxes": [(0, 0, 5, 5)], "masks": [WHOLE]}, "masks", "one or the other"),
        ({"boxes": [(0, 0, 5, 5)], "phrases": ["a", "b"]}, "phrases", "one each"),
        ({"masks": [WHOLE.T]}, "masks[0]", "is 300 x 451 pixels; the upright photo is 451 x 300"),
        ({"masks": [WHOLE.astype(np.float32)]}, "masks[0].alpha", "0 to 1"),
        ({"masks": [WHOLE.astype(np.float32) * np.nan]}, "masks[0].alpha", "nan"),
        ({"masks": [WHOLE.astype(np.int16)]}, "masks[0].alpha.dtype", "UINT8 or FP32"),
        ({"phrases": ["cat", " "]}, "phrases[1]", "empty"),
        ({"phrases": ["cat" * 100]}, "phrases[0]", "200"),
        ({"max_objects": 0}, "max_objects", "from 1"),
        ({"max_parallel": -1}, "max_parallel", "from 1"),
        ({"score_threshold": 1.5}, "detect.score_threshold", "from 0 to 1"),
    ],
)
def test_wrong_request_names_the_field(
    client: PipelineClient, cat: np.ndarray, arguments: dict, field: str, says: str
) -> None:
    with pytest.raises(ServiceFault) as caught:
        list(client.process(cat, **arguments))
    fault = caught.value.fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, field)
    assert says in fault.message
    assert field in fault.message


@pytest.mark.parametrize(
    ("finish", "says"), [(Finish(shadow="long"), "none, contact, cast"), (Finish(rot=float("inf")), "finite")]
)
def test_a_wrong_finish_is_refused_before_the_call(
    client: PipelineClient, cat: np.ndarray, finish: Finish, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        list(client.process(cat, finish=finish))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"finish": {"shadow": {"rot": float("inf")}}}, "finish.shadow.rot"),
        ({"finish": {"shadow": {"kind": 9}}}, "finish.shadow.kind"),
        ({"finish": {"canvas": {"width": 100_000, "height": 10}}}, "finish.canvas"),
        ({"output": {"encoding": 9}}, "output.encoding"),
        ({"output": {"encoding": "ENCODING_JPEG", "quality": 101}}, "output.quality"),
        ({"output": {"background": "whitish"}}, "output.background"),
        (
            {"finish": {"canvas": {"width": 16_384, "height": 10}}, "output": {"encoding": "ENCODING_WEBP"}},
            "output.encoding",
        ),
    ],
)
def test_a_wrong_choice_is_refused_before_any_work(servers: dict[str, Server], wrong: dict, field: str) -> None:
    request = pipeline_pb2.ProcessRequest(image={"encoded": encode_png(WHOLE)}, **wrong)
    with grpc.insecure_channel(servers["pipeline"].address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(pipeline_pb2_grpc.PipelineServiceStub(channel).Process(request))
    assert from_error(caught.value).fault.field == field


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_sizes(client: PipelineClient, size: tuple[int, int]) -> None:
    events = list(client.process(np.full((*size, 3), 200, np.uint8)))
    assert one(Summary, events).faults == 0


def test_empty_mask_is_a_fault_of_that_object_alone(client: PipelineClient, cat: np.ndarray) -> None:
    full = np.full(cat.shape[:2], 255, np.uint8)
    events = list(client.process(cat, masks=[np.zeros_like(full), full]))
    fault = one(ObjectFault, events)
    assert (fault.detection.index, fault.step, fault.code) == (0, "postprocess", "INVALID_ARGUMENT")
    assert "empty" in fault.message
    assert fault.mask is not None
    assert one(ObjectResult, events).detection.index == 1
    assert (one(Summary, events).objects, one(Summary, events).faults) == (1, 1)


def test_a_box_in_which_nothing_is_found_says_so(client: PipelineClient) -> None:
    plain = np.full((80, 100, 3), 120, np.uint8)
    fault = one(ObjectFault, list(client.process(plain, boxes=[(10, 10, 70, 70)])))
    assert (fault.step, fault.code) == ("segment", "NOT_FOUND")
    assert "no pixel in the box belongs to an object" in fault.message


class FaultySegment(SegmentServiceServicer):
    """Failure injection: box 0 is a fault, box 1 a mask; then it ends, breaks off, or waits until it is let go.

    One that is broken answers nothing any more; one that breaks once answers a mask the next time.
    """

    def __init__(self) -> None:
        self.ending = "short"
        self.asked: list[int] = []
        self.let_go = threading.Event()
        self.cancelled = threading.Event()

    def Segment(self, request: segment_pb2.SegmentRequest, context: grpc.ServicerContext) -> Iterator:
        context.add_callback(self.cancelled.set)
        self.asked.append(len(request.boxes))
        mask = segment_pb2.SegmentResponse(index=1)
        mask.mask.alpha.CopyFrom(SQUARE)
        mask.mask.region.x1 = mask.mask.region.y1 = 40
        if len(self.asked) > 1:
            if self.ending == "broken":
                context.abort(grpc.StatusCode.UNAVAILABLE, "the machine is gone")
            mask.index = 0
            yield mask
            return
        yield segment_pb2.SegmentResponse(index=0, fault={"step": "STEP_SEGMENT", "code": "CODE_INTERNAL"})
        yield mask
        if self.ending.startswith("broken"):
            context.abort(grpc.StatusCode.UNAVAILABLE, "the machine is gone")
        if self.ending == "cancelled once":  # as gRPC answers calls that an ending server has not taken yet
            context.abort(grpc.StatusCode.CANCELLED, "")
        if self.ending == "waiting":
            self.let_go.wait(GUARD)


@pytest.fixture
def faulty(servers: dict[str, Server]) -> Iterator[tuple[FaultySegment, PipelineClient]]:
    """A pipeline whose segment is a faulty one."""
    segment = FaultySegment()
    server = grpc.server(ThreadPoolExecutor(4))
    add_SegmentServiceServicer_to_server(segment, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    nowhere = dict.fromkeys(("describe", "detect"), "127.0.0.1:9")
    there = {"segment": f"127.0.0.1:{port}", "postprocess": servers["postprocess"].address}
    stages = Steps.connect(CUTOUTS, {**nowhere, **there})
    front = Server(SERVICE, PipelineServicer(stages), "127.0.0.1:0")
    with PipelineClient(front.address) as connected:
        yield segment, connected
    segment.let_go.set()
    front.stop(0).wait()
    stages.close()
    server.stop(0).wait()


class NotedSegment(SegmentServiceServicer):
    """Answers nothing, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[segment_pb2.SegmentRequest] = []

    def Segment(self, request: segment_pb2.SegmentRequest, context: grpc.ServicerContext) -> Iterator:
        self.requests.append(request)
        return iter(())


@pytest.mark.parametrize("chosen", [False, True])
def test_segment_is_told_whether_the_caller_chose_the_boxes(
    servers: dict[str, Server], coffee: np.ndarray, chosen: bool
) -> None:
    segment = NotedSegment()
    server = grpc.server(ThreadPoolExecutor(1))
    add_SegmentServiceServicer_to_server(segment, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    places = {name: servers[name].address for name in ("describe", "detect", "postprocess")}
    stages = Steps.connect(CUTOUTS, {**places, "segment": f"127.0.0.1:{port}"})
    front = Server(SERVICE, PipelineServicer(stages), "127.0.0.1:0")
    with PipelineClient(front.address) as connected:
        list(connected.process(coffee, phrases=["cup"], boxes=[(77, 18, 480, 390)] if chosen else []))
    front.stop(0).wait()
    stages.close()
    server.stop(0).wait()
    assert [request.may_grow for request in segment.requests] == [not chosen]


@pytest.mark.parametrize(("ending", "code"), [("short", "INTERNAL"), ("broken", "UNAVAILABLE")])
def test_a_stream_that_breaks_loses_only_what_is_missing(
    faulty: tuple[FaultySegment, PipelineClient],
    cat: np.ndarray,
    ending: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segment, client = faulty
    segment.ending = ending
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    events = list(client.process(cat, boxes=[(0, 0, 40, 40)] * 3))
    faults = {event.detection.index: event for event in events if isinstance(event, ObjectFault)}
    assert one(ObjectResult, events).detection.index == 1
    assert sorted(faults) == [0, 2]
    assert (faults[2].step, faults[2].code, faults[2].retryable) == ("segment", code, code == "UNAVAILABLE")


@pytest.mark.parametrize("ending", ["broken once", "cancelled once"])
def test_a_stream_that_breaks_once_is_taken_up_for_what_is_missing(
    faulty: tuple[FaultySegment, PipelineClient], cat: np.ndarray, ending: str
) -> None:
    segment, client = faulty
    segment.ending = ending
    events = list(client.process(cat, boxes=[(0, 0, 40, 40)] * 3))
    assert sorted(event.detection.index for event in events if isinstance(event, ObjectResult)) == [1, 2]
    assert one(ObjectFault, events).detection.index == 0
    assert segment.asked == [3, 1]


def test_an_object_is_delivered_while_segment_still_works(
    faulty: tuple[FaultySegment, PipelineClient], cat: np.ndarray
) -> None:
    segment, client = faulty
    segment.ending = "waiting"
    events = client.process(cat, boxes=[(0, 0, 40, 40)] * 3)
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, ObjectResult):
            break
    assert seen[-1].detection.index == 1
    assert not segment.let_go.is_set()
    events.close()  # the caller loses interest: the work behind it ends
    assert segment.cancelled.wait(10)


def test_the_first_object_has_postprocess_to_itself(
    client: PipelineClient, cat: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[int] = []
    beside_the_first: list[int] = []
    finish_object = objects.finish_object

    def watched(*args: Any) -> Any:
        entered.append(len(entered))
        if len(entered) == 1:
            time.sleep(0.2)  # the others have their masks, too
            beside_the_first.extend(entered[1:])
        return finish_object(*args)

    monkeypatch.setattr(objects, "finish_object", watched)
    mask = np.zeros(cat.shape[:2], np.uint8)
    mask[20:60, 20:60] = 255
    events = list(client.process(cat, masks=[mask] * 3))
    assert names(events).count("ObjectResult") == len(entered) == 3
    assert beside_the_first == []


def test_a_deadline_reaches_the_step_and_names_it(
    faulty: tuple[FaultySegment, PipelineClient], cat: np.ndarray
) -> None:
    segment, client = faulty
    segment.ending = "waiting"
    events = list(client.process(cat, boxes=[(0, 0, 40, 40)] * 3, timeout=2))
    last = next(event for event in events if isinstance(event, ObjectFault) and event.detection.index == 2)
    assert (last.step, last.code) == ("segment", "DEADLINE_EXCEEDED")
    assert "segment" in last.message
    assert segment.cancelled.wait(10)


def test_no_describe_is_a_failure_of_the_whole_request(
    faulty: tuple[FaultySegment, PipelineClient], cat: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "LONGEST_OUTAGE", 0.1)
    with pytest.raises(ServiceFault) as caught:
        list(faulty[1].process(cat))
    assert caught.value.fault.code == fault_pb2.CODE_UNAVAILABLE
    assert caught.value.fault.step == fault_pb2.STEP_DESCRIBE
