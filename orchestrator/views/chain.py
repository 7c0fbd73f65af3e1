"""The chain: panoramas -> preprocess (a pair each) -> quality -> describe -> interpolate -> upscale -> views."""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from typing import Any

from tensorhop.errors import fault_of
from tensorhop.orchestrator.chain import describing
from tensorhop.orchestrator.chain.outcomes import each_answered
from tensorhop.orchestrator.chain.pixel_budget import PixelBudget
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.sent_images import SentImages
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.chain.threads import TaskGroup, as_they_come
from tensorhop.orchestrator.views import events
from tensorhop.orchestrator.views.request import ViewsRequest, read_request
from tensorhop.orchestrator.views.step_calls import Pair, View, interpolate, preprocess, score, upscale, views_of
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import views_pb2 as pb
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

Put = Callable[[Packet[Any]], None]  # hands an event over

WHOLE = DescribeOptions(look="whole")
AT_ONCE = 4  # views of an interval in upscale
# For the views of all requests: in interpolate, with what becomes of them, and in upscale.
IN_INTERPOLATE, IN_UPSCALE = PixelBudget(), PixelBudget()


def process(
    packet: Packet[pb.ViewsServiceProcessRequest], steps: Steps, scope: RequestScope
) -> Generator[Packet[Any], None, None]:
    """Run the chain for one request; yields events as they happen, the ViewsSummary last.

    Raises:
        InvalidInput: the request is wrong. What fails of an interval or a view is a ViewFault instead.
    """
    request = read_request(packet, steps.cache, scope)
    summary = pb.ViewsSummary(intervals=len(request.intervals))

    def work(put: Put) -> None:
        with TaskGroup(request.max_parallel, "interval") as group:
            for interval in request.intervals:
                group.submit(partial(process_interval, request, interval, steps, scope, put))

    for event in as_they_come(work, "views", scope.cancel):
        match event.message:
            case pb.IntervalDecision():
                summary.kept += event.message.kept
            case pb.ViewResult():
                summary.views += event.message.scale == 1
                summary.upscaled += event.message.scale > 1
            case pb.ViewFault():
                summary.faults += 1
        yield event
    summary.seconds = scope.seconds()
    summary.steps.extend(scope.steps(steps))
    yield Packet(summary, Payloads())


def process_interval(request: ViewsRequest, interval: int, steps: Steps, scope: RequestScope, put: Put) -> None:
    """One interval from the left to the right; it ends where it is not kept, or a pair is missing."""
    try:
        if interval in request.faulty:
            raise request.faulty[interval]
        pairs, scores = find_pairs(request, interval, steps, scope, put)
        least = min(scores.values()) if len(scores) == request.count else None
        kept = len(pairs) == request.count and (not request.min_score or (least or 0) >= request.min_score)
        put(events.decision(interval, kept, least))
        if kept:
            make_views(request, interval, pairs, steps, scope, put)
    except Exception as error:
        put(events.view_fault(interval, fault_of(error, "views")))


def find_pairs(
    request: ViewsRequest, interval: int, steps: Steps, scope: RequestScope, put: Put
) -> tuple[dict[int, Pair], dict[int, float]]:
    """The pairs of an interval, and their scores as far as they have some, by the panorama's index."""
    pairs: dict[int, Pair] = {}
    scores: dict[int, float] = {}

    def find_score(panorama: int, pair: Pair) -> None:
        try:
            quality = score(request, pair.pixels, steps, scope)
        except Exception as error:
            put(events.view_fault(interval, fault_of(error, "quality"), (panorama, 0)))
            return
        put(events.pair_score(interval, panorama, quality))
        if quality.scored:
            scores[panorama] = quality.score

    with TaskGroup(request.count, "quality") as scoring:
        found = preprocess(request, interval, steps, scope)
        for panorama, pair in each_answered(found, range(request.count), "preprocess"):
            if isinstance(pair, fault_pb2.Fault):
                put(events.view_fault(interval, pair, (panorama, 0)))
                continue
            pairs[panorama] = pair
            if request.min_score:
                scoring.submit(partial(find_score, panorama, pair))
            put(events.pair_result(interval, panorama, pair, request))
    return pairs, scores


def make_views(
    request: ViewsRequest, interval: int, pairs: dict[int, Pair], steps: Steps, scope: RequestScope, put: Put
) -> None:
    """Describe an interval, and make its views; each is enlarged as soon as it is there, and the description is."""
    prompt: Future[str] = Future()

    def enlarge(key: tuple[int, int], view: View) -> None:
        try:
            text = prompt.result()
            with IN_UPSCALE.room(view.pixels.size // 3 * request.scale**2, scope.check):
                pixels = upscale(request, view.pixels, text, steps, scope)
                put(events.view_result(interval, key, View(view.camera, pixels), request.scale, request))
        except Exception as error:
            put(events.view_fault(interval, fault_of(error, "upscale"), key))

    between = request.count * request.views * request.view.width * request.view.height
    with IN_INTERPOLATE.room(between, scope.check), TaskGroup(AT_ONCE, "upscale") as group:
        group.submit(lambda: prompt.set_result(describe(request, interval, pairs[0], steps, scope, put)))
        found = interpolate(request, interval, pairs, steps, scope) if request.views else ()
        for key, view in each_answered(found, views_of(request), "interpolate"):
            if isinstance(view, fault_pb2.Fault):
                put(events.view_fault(interval, view, key))
                continue
            put(events.view_result(interval, key, view, 1, request))
            if request.scale > 1:
                group.submit(partial(enlarge, key, view))


def describe(request: ViewsRequest, interval: int, pair: Pair, steps: Steps, scope: RequestScope, put: Put) -> str:
    """What the right view of a pair shows; "" if nobody says."""
    if text := request.descriptions.get(interval, ""):
        put(events.description(interval, text, 1))
    elif request.describes:
        try:
            with scope.loan() as slots:
                image, cache = SentImages([pair.right], slots), request.cache_of(pair.right)
                answer = describing.describe(image, WHOLE, cache, steps["describe"], scope)
        except Exception as error:
            put(events.view_fault(interval, fault_of(error, "describe")))
            return ""
        put(events.description(interval, answer.text, answer.score))
        text = answer.text
    return text
