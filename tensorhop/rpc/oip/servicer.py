"""GRPCInferenceService: a reader and a writer in front of a service's own servicer."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from tensorhop.errors import InvalidInput, ServiceFault, code_name
from tensorhop.rpc.health import WORKERS
from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.oip.page import Answer, Input, Item, ItemFault, Notes, Page
from tensorhop.rpc.oip.parameters import options_of, read_parameters
from tensorhop.rpc.oip.shared_memory import Regions
from tensorhop.rpc.oip.stacking import Gathered, alone, stacked
from tensorhop.rpc.oip.tensors import OFFSET, REGION, SIZE, GivenTensor, read_inputs, region_of, write_output
from tensorhop.rpc.service import Service
from tensorhop.v1 import fault_pb2
from tensorhop.wire.codec import Packet, reader, send
from tensorhop.wire.payloads import Payloads

VERSION = "1"  # of every model: that of the contract
PLATFORM = "tensorhop"
ASKED_FINAL, FINAL = "triton_enable_empty_final_response", "triton_final_response"  # parameters of Triton's streams
WHOLE = -1  # the index of a fault of the whole request
AT_ONCE = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata")  # while workers are busy


@dataclass(frozen=True)
class Asked:
    """A request that was read: what the caller wants, and the servicer's answers so far."""

    outputs: Mapping[str, Any]  # by name, the parameters of each that the caller wants
    final: bool  # whether a stream shall end with an empty answer
    count: int | None  # how many items there are, if that is known before
    answers: Generator[Answer, None, None]


class InferenceServicer:
    """Answers the Open Inference Protocol for one service, whose name is the model's.

    Args:
        servicer: the service's own.
        ready: whether it can do its work.
        regions: shared memory.
    """

    def __init__(self, service: Service, servicer: object, ready: Callable[[], bool], regions: Regions) -> None:
        self._service, self._servicer, self._ready, self._regions = service, servicer, ready, regions
        model = getattr(servicer, "model", None)
        self._model = {"model": model.name, "model_digest": model.digest} if model else {}

    @cached_property
    def page(self) -> Page | None:
        """The service's page; None if it has none."""
        return self._service.load_page()

    def handlers(self) -> grpc.GenericRpcHandler:
        """The methods as gRPC's handlers. ModelStreamInfer is called for each request of its stream."""
        methods: dict[str, Any] = {}
        for method in oip.SERVICE.methods:
            behavior: Any = partial(getattr(self, method.name))
            read = reader(oip.message(method.input_type.name), oip.contents_fields(method.input_type))
            if method.server_streaming:
                behavior.tell_fault = self._tell_fault
                methods[method.name] = grpc.unary_stream_rpc_method_handler(behavior, read, send)
                continue
            if method.name in AT_ONCE:
                behavior.experimental_thread_pool = WORKERS
            methods[method.name] = grpc.unary_unary_rpc_method_handler(behavior, read, send)
        return grpc.method_handlers_generic_handler(oip.SERVICE.full_name, methods)

    def ServerLive(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        return Packet(oip.ServerLiveResponse(live=True), Payloads())

    def ServerReady(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        return Packet(oip.ServerReadyResponse(ready=self._ready()), Payloads())

    def ModelReady(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        self._check_model(packet.message.name, packet.message.version)
        return Packet(oip.ModelReadyResponse(ready=self._ready()), Payloads())

    def ServerMetadata(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        extensions = ["parameters", *(["system_shared_memory"] if self._regions.enabled else [])]
        answer = oip.ServerMetadataResponse(name="tensorhop", version=version("tensorhop"), extensions=extensions)
        return Packet(answer, Payloads())

    def ModelMetadata(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        self._check_model(packet.message.name, packet.message.version)
        answer = oip.ModelMetadataResponse(name=self._service.name, versions=[VERSION], platform=PLATFORM)
        if self.page:
            for one in (one for one in self.page.inputs if not one.optional):
                answer.inputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
            for output in self.page.outputs:
                answer.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        return Packet(answer, Payloads())

    def ModelInfer(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        asked = self._ask(packet, context)
        items, faults = Gathered(asked.count or 0), list[ItemFault]()
        notes: dict[str, Any] = {}
        with closing(asked.answers) as answers:
            for one in answers:
                if isinstance(one, Notes):
                    add_notes(notes, one)
                elif isinstance(one, Item):
                    items.add(Item(one.index, {name: one.outputs[name] for name in asked.outputs}))
                else:
                    faults.append(one)
        if faults:
            notes["faults"] = [told(one) for one in sorted(faults, key=lambda one: one.index)]
        values = self._values(items.items, asked)
        return self._response(packet.message.id, values, asked, notes)

    def ModelStreamInfer(self, packet: Packet[Any], context: grpc.ServicerContext) -> Iterator[Packet[Any]]:
        """The answers to one request of the stream."""
        asked = self._ask(packet, context)
        given_id: str = packet.message.id
        notes: dict[str, Any] = {}
        with closing(asked.answers) as answers:
            for one in answers:
                if isinstance(one, Notes):
                    add_notes(notes, one)
                elif isinstance(one, ItemFault):
                    yield self._error(given_id, one, final=False)
                else:
                    values = one.outputs if self._single else {name: alone(one.outputs[name]) for name in asked.outputs}
                    yield in_stream(self._response(given_id, values, asked, notes | {FINAL: self._single}))
                    notes = {}
        if asked.final and not self._single:
            yield in_stream(self._response(given_id, {}, asked, notes | {FINAL: True}))

    def SystemSharedMemoryStatus(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        self._regions.check_allowed(context)
        answer = oip.SystemSharedMemoryStatusResponse()
        for name, region in self._regions.known(packet.message.name).items():
            status = answer.regions[name]
            status.name, status.key, status.offset, status.byte_size = name, region.key, region.offset, region.size
        return Packet(answer, Payloads())

    def SystemSharedMemoryRegister(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        self._regions.check_allowed(context)
        asked = packet.message
        self._regions.register(asked.name, asked.key, asked.offset, asked.byte_size)
        return Packet(oip.SystemSharedMemoryRegisterResponse(), Payloads())

    def SystemSharedMemoryUnregister(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        self._regions.check_allowed(context)
        self._regions.unregister(packet.message.name)
        return Packet(oip.SystemSharedMemoryUnregisterResponse(), Payloads())

    def _check_model(self, name: str, wanted: str) -> None:
        """Raises ServiceFault: NOT_FOUND, there is no such model, or not in this version."""
        if name != self._service.name:
            reason = f"there is no model {name!r:.80} here; the one model is {self._service.name}"
        elif wanted not in ("", VERSION):
            reason = f"there is no version {wanted!r:.80} of {name}; the one version is {VERSION}"
        else:
            return
        raise ServiceFault(
            fault_pb2.Fault(code=fault_pb2.CODE_NOT_FOUND, service=self._service.name, field="name", message=reason)
        )

    @cached_property
    def _method(self) -> Any:
        """The descriptor of the method that the page is about."""
        assert self.page
        return self._service.descriptor.methods_by_name[self.page.method]

    @property
    def _single(self) -> bool:
        """Whether one item is the whole answer."""
        return not self._method.server_streaming

    @cached_property
    def _options(self) -> dict[str, None]:
        """The paths of the request's fields that are parameters."""
        assert self.page
        paths = options_of(self._method.input_type)
        return dict.fromkeys(
            path for path in paths if path.split(".")[0] in self.page.options and path not in self.page.without
        )

    def _ask(self, packet: Packet[Any], context: grpc.ServicerContext) -> Asked:
        """Read a request, and put it to the servicer.

        Raises:
            NotImplementedError: the service has no page.
            InvalidInput, ServiceFault: the request cannot be read.
        """
        request, payloads = packet
        self._check_model(request.model_name, request.model_version)
        page = self.page
        if page is None:
            raise NotImplementedError(
                f"{self._service.name} has no page for the Open Inference Protocol (Service.page); call it by "
                f"{self._service.descriptor.full_name}"
            )
        outputs = wanted_outputs(request, page)
        if any(REGION in one.parameters for one in (*request.inputs, *request.outputs)):
            self._regions.check_allowed(context)
        given = read_inputs(request, payloads, page.names, self._regions.read)
        ours: Any = GetMessageClass(self._method.input_type)()
        own = Payloads()
        for one in page.inputs:
            if one.name in given:
                read_input(one, given[one.name], ours, own)
            elif not one.optional:
                raise InvalidInput(f"inputs[{one.name}]", f"is missing; it is {one.datatype} {list(one.shape)}")
        wanted = frozenset(outputs)
        page.prepare(ours, wanted)
        parameters = dict(request.parameters)
        final = parameters.pop(ASKED_FINAL, None)
        read_parameters(parameters, self._options, ours)
        if request.id and "request_id" in ours.DESCRIPTOR.fields_by_name:
            ours.request_id = request.id
        asked = Packet(ours, own)
        answers = getattr(self._servicer, page.method)(asked, context)
        found = iter([answers]) if self._single else answers
        count = page.count(ours) if page.count else None
        return Asked(outputs, bool(final and final.bool_param), count, page.answers(found, asked, wanted))

    def _values(self, items: list[Item], asked: Asked) -> dict[str, Any]:
        """The outputs of all items. Raises InvalidInput: they do not fit into a message."""
        assert self.page
        if self._single:
            return items[0].outputs
        items.sort(key=lambda item: item.index)
        if asked.count is None:
            items = [replace(item, index=place) for place, item in enumerate(items)]
        count = len(items) if asked.count is None else asked.count
        wanted = [one for one in self.page.outputs if one.name in asked.outputs]
        return {one.name: stacked(items, one, count) for one in wanted}

    def _response(self, given_id: str, values: Mapping[str, Any], asked: Asked, notes: dict[str, Any]) -> Packet[Any]:
        """An answer with those of the values that the caller wants, in the order in which it wants them."""
        payloads, answer = Payloads(), self._empty(given_id, notes | self._model)
        for name, parameters in asked.outputs.items():
            if name not in values:
                continue
            datatype, shape, raw = write_output(values[name])
            output = answer.outputs.add(name=name, datatype=datatype, shape=shape)
            if REGION not in parameters:
                answer.raw_output_contents.append(payloads.put(raw))
                continue
            field = f"outputs[{name}]"
            region, offset, size = region_of(parameters, field)
            data = memoryview(raw)
            if data.nbytes > size:
                raise InvalidInput(field, f"has {data.nbytes:,} bytes; its place in shared memory has {size:,}")
            self._regions.write(region, offset, data, field)
            for key, value in oip.parameters_of({REGION: region, OFFSET: offset, SIZE: data.nbytes}).items():
                output.parameters[key].CopyFrom(value)
            answer.raw_output_contents.append(b"")
        return Packet(answer, payloads)

    def _empty(self, given_id: str, notes: Mapping[str, Any]) -> Any:
        """An answer without outputs. What of its parameters is a list becomes JSON."""
        answer = oip.ModelInferResponse(model_name=self._service.name, model_version=VERSION, id=given_id)
        texts = {key: json.dumps(value) if isinstance(value, list | dict) else value for key, value in notes.items()}
        for key, value in oip.parameters_of(texts).items():
            answer.parameters[key].CopyFrom(value)
        return answer

    def _tell_fault(self, fault: fault_pb2.Fault, request: object) -> Packet[Any]:
        """The answer in a stream to a request that failed as a whole."""
        given_id = request.message.id if isinstance(request, Packet) else ""
        return self._error(given_id, ItemFault(WHOLE, fault), final=True)

    def _error(self, given_id: str, one: ItemFault, final: bool) -> Packet[Any]:
        """An error in a stream. Clients such as tritonclient hand on nothing but its message, so that has it all."""
        item = "" if one.index == WHOLE else f"item {one.index}: "
        message = f"{item}{code_name(one.fault)}: {one.fault.message}"
        answer = self._empty(given_id, told(one) | {FINAL: final})
        return Packet(oip.ModelStreamInferResponse(error_message=message, infer_response=answer), Payloads())


def read_input(one: Input, given: GivenTensor, request: Any, payloads: Payloads) -> None:
    """Write an input into the message of a service. Raises InvalidInput: it is not allowed, or does not fit a field."""
    try:
        one.read(given, request, payloads)
    except InvalidInput:
        raise
    except ValueError as error:  # protobuf's
        raise InvalidInput(given.field, f"does not fit: {error}") from error


def wanted_outputs(request: Any, page: Page) -> dict[str, Any]:
    """By name, the parameters of the outputs that a caller wants. Raises InvalidInput.

    A caller that names none gets all but those that must be named.
    """
    known = [one.name for one in page.outputs]
    found: dict[str, Any] = {}
    for one in request.outputs:
        if one.name not in known:
            raise InvalidInput(f"outputs[{one.name:.80}]", f"is no output of this model; known are {', '.join(known)}")
        if one.name in found:
            raise InvalidInput(f"outputs[{one.name}]", "came twice; name each output once")
        found[one.name] = one.parameters
    return found or {one.name: {} for one in page.outputs if not one.named}


def add_notes(notes: dict[str, Any], more: Notes) -> None:
    """Add what shall go into an answer's parameters; lists are joined."""
    for key, value in more.items():
        notes[key] = notes[key] + value if isinstance(value, list) and key in notes else value


def told(one: ItemFault) -> dict[str, Any]:
    """A fault as parameters."""
    fault = one.fault
    facts: dict[str, Any] = {"code": code_name(fault), "field": fault.field, "message": fault.message}
    facts |= {"service": fault.service, "retryable": fault.retryable, **one.about}
    return facts if one.index == WHOLE else {"index": one.index} | facts


def in_stream(packet: Packet[Any]) -> Packet[Any]:
    """A response as a stream carries it."""
    return Packet(oip.ModelStreamInferResponse(infer_response=packet.message), packet.payloads)
