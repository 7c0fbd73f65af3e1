"""The description of a service: its name, port, contract, servicer and models, stated without importing any of them.

The folder of a service states it in `service.py`. The command line reads that file even for `--help`, so it imports
nothing but this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

    from tensorhop.models.model import Model
    from tensorhop.models.sources import ModelChoice
    from tensorhop.rpc.oip.page import Page


@dataclass(frozen=True)
class Service:
    """A gRPC service: one that runs a model or a step, or a chain that calls others."""

    name: str  # as on the command line: "detect"; lower-case letters, digits and "_"
    # The generated module and the service in it: "tensorhop.v1.detect_pb2:DetectService"; or the descriptor itself.
    contract: str | ServiceDescriptor
    # The class that answers its methods: "tensorhop.services.detect.servicer:DetectServicer"; or the class itself. It
    # is made from the model if there is one; for a chain, from its connected steps.
    servicer: str | Callable[..., Any]
    port: int = 0  # the default port; 0 for none
    summary: str = ""  # one sentence for --help
    # What makes the model of each backend, such as its class: "tensorhop.services.detect.embedded:EmbeddedDetector".
    models: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()  # names of those that this service alone reads: options of its command
    # Its tensors in the Open Inference Protocol: "tensorhop.rpc.oip.pages.detect:PAGE"; "" for none.
    page: str = ""
    calls: tuple[str, ...] = ()  # for a chain: the names of the services that it calls, in its order

    @property
    def descriptor(self) -> ServiceDescriptor:
        """The descriptor of the contract. Imports the generated module."""
        if not isinstance(self.contract, str):
            return self.contract
        module, _, name = self.contract.partition(":")
        descriptor: ServiceDescriptor = resolve_name(f"{module}:DESCRIPTOR").services_by_name[name]
        return descriptor

    def make_servicer(self, *arguments: Any) -> Any:
        """The servicer, made from a model or from connected steps. Imports the libraries that it needs."""
        kind = resolve_name(self.servicer) if isinstance(self.servicer, str) else self.servicer
        return kind(*arguments)

    def load_page(self) -> Page | None:
        """The page in the Open Inference Protocol, if there is one. Imports what it needs."""
        page: Page | None = resolve_name(self.page) if self.page else None
        return page

    def load(self, choice: ModelChoice | None = None, warm: bool = True) -> Any:
        """Load the model, run it once, and make the servicer.

        Args:
            choice: the embedded model if not given.
            warm: whether the embedded model is run, too. Any other model is run always: that proves that it works.

        Raises:
            InvalidInput: there is no such model, or it cannot be loaded.
        """
        return self.make_servicer(self.load_model(choice, warm)) if self.models else self.make_servicer()

    def load_model(self, choice: ModelChoice | None = None, warm: bool = True) -> Model:
        """The model, loaded and run once. Takes and raises the same as `load`."""
        from tensorhop.errors import InvalidInput
        from tensorhop.models.sources import EMBEDDED, ModelChoice, find_model
        from tensorhop.observe import metrics

        choice = choice or ModelChoice()
        started = time.monotonic()
        model: Model
        source = find_model(self.name, choice, self.models)
        kind = resolve_name(self.models[source.backend])
        model = kind() if source.backend == EMBEDDED else kind(source)
        try:
            if warm or choice.model != EMBEDDED:
                model.warm_up()
        except MemoryError as error:
            raise InvalidInput("--model", f"{choice.model} does not fit into memory: {error}") from error
        metrics.model_loaded(self.name, model.name, time.monotonic() - started)
        return model
