"""The call of describe, as every chain makes it."""

from typing import Any

from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.sent_images import SentImages
from tensorhop.orchestrator.chain.step_cache import StepCache, canonical
from tensorhop.orchestrator.chain.steps import Step
from tensorhop.v1 import describe_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_describe


def describe(
    image: SentImages, chosen: DescribeOptions, cache: StepCache, step: Step, scope: RequestScope
) -> describe_pb2.DescribeResponse:
    """What one picture shows. Raises ServiceFault: the call failed."""
    options = write_describe(chosen)

    def build(shared: bool) -> Packet[Any]:
        (picture,), payloads = image.message(shared)
        return Packet(describe_pb2.DescribeRequest(image=picture, options=options), payloads)

    def ask() -> describe_pb2.DescribeResponse:
        answer: describe_pb2.DescribeResponse = step.call("Describe", build, scope).message
        return answer

    return cache.message(step, [canonical(options)], describe_pb2.DescribeResponse, ask)
