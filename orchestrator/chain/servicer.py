"""What the gRPC front of every chain has."""

from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.v1 import info_pb2


class ChainServicer:
    """A chain's servicer, made from its connected steps; its server is ready while all of them can be called."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def upstreams(self) -> list[info_pb2.Upstream]:
        """The services that it calls, for InfoService and readiness."""
        return self.steps.upstreams()
