"""The product's own way: its server, connections, codec, slots and allocator."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from tensorhop.orchestrator.bench.echo import READER, SERVICE, object_of
from tensorhop.orchestrator.bench.method import Echo
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.v1 import echo_pb2 as pb
from tensorhop.wire.allocator import keep_large_buffers
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import Pool, Slot
from tensorhop.wire.tensor import to_array, to_tensor


@contextmanager
def serve(address: str = "127.0.0.1:0", service: Service = SERVICE) -> Iterator[str]:
    keep_large_buffers()
    server = Server(service, service.load(), address)
    try:
        yield server.address
    finally:
        server.stop(0).wait()


serve_reader = partial(serve, service=READER)


@contextmanager
def serve_unix() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, serve(f"unix:{Path(folder) / 'echo'}") as address:
        yield address


@contextmanager
def remotes(addresses: tuple[str, ...]) -> Iterator[list[Remote]]:
    keep_large_buffers()
    connected = [Remote(address, SERVICE.descriptor) for address in addresses]
    try:
        yield connected
    finally:
        for remote in connected:
            remote.close()


@contextmanager
def inline(*addresses: str) -> Iterator[Echo]:
    """Bytes inside the message; to several services one after another."""
    with remotes(addresses) as connected:

        def echo(array: np.ndarray) -> np.ndarray:
            for remote in connected:
                back = send(remote, array)
            return back

        yield echo


@contextmanager
def empty(*addresses: str) -> Iterator[Echo]:
    """A call without a payload: what is left for the bytes to cost is the difference to it."""
    with remotes(addresses) as connected:

        def echo(array: np.ndarray) -> np.ndarray:
            for remote in connected:
                send(remote, np.zeros(0, np.uint8))
            return array

        yield echo


def send(remote: Remote, array: np.ndarray) -> np.ndarray:
    """An array there and back inside of messages."""
    payloads = Payloads()
    packet = Packet(pb.EchoRequest(tensor=to_tensor(array, payloads)), payloads)
    return answer_to(remote, packet)


@contextmanager
def shared(*addresses: str, copy_out: bool = True) -> Iterator[Echo]:
    """Copied into a slot once for all services; each reads it there and writes its answer to a second slot.

    The last answer is copied out; without that it is read in place, as the pipeline does, until the next call.
    """
    pool = Pool.of()
    with remotes(addresses) as connected, closing(pool):

        def echo(array: np.ndarray) -> np.ndarray:
            payloads = Payloads.into([pool.take(array.nbytes)])
            tensor = to_tensor(array, payloads)
            request = pb.EchoRequest(tensor=tensor, lent=payloads.lend(pool.take(array.nbytes)))
            for remote in connected:
                back = call(remote, Packet(request, payloads))
            if copy_out:
                back = back.copy()
            for slot in payloads.slots:
                pool.give_back(slot)
            return back

        yield echo


shared_chain = partial(shared, copy_out=False)


@contextmanager
def by_reference(*addresses: str) -> Iterator[Echo]:
    """What a caller does that reads the answer in place: one copy into a slot, which the service reads, small answers.

    To four services it is what the pipeline does of a photo with one object: describe and detect answer little; segment
    answers the object's mask in a lent slot; postprocess gets the object's pixels in a slot of their own, and answers
    as many in a lent one.
    """
    pool = Pool.of()
    with remotes(addresses) as connected, closing(pool):

        def echo(array: np.ndarray) -> np.ndarray:
            payloads = Payloads.into([pool.take(array.nbytes)])
            image = to_tensor(array, payloads)
            for remote in connected[:2]:
                back = call(remote, Packet(pb.EchoRequest(tensor=image), payloads))
            used = list(payloads.slots)
            if len(connected) > 2:
                _, _, segment, postprocess = connected
                lent = payloads.lend(pool.take(array[..., 0].nbytes // 16))
                used = list(payloads.slots)
                call(segment, Packet(pb.EchoRequest(tensor=image, lent=lent), payloads))
                used += finish(postprocess, object_of(array), pool)
            for slot in used:
                pool.give_back(slot)
            return back

        yield echo


def finish(remote: Remote, crop: np.ndarray, pool: Pool) -> list[Slot]:
    """An object's pixels there and back, as postprocess gets and answers them. Returns the slots that were used."""
    payloads = Payloads.into([pool.take(crop.nbytes)])
    tensor = to_tensor(crop, payloads)
    call(remote, Packet(pb.EchoRequest(tensor=tensor, lent=payloads.lend(pool.take(crop.nbytes))), payloads))
    return payloads.slots


def call(remote: Remote, packet: Packet[pb.EchoRequest]) -> np.ndarray:
    """What the service answers; the slots count as carried until it does."""
    for slot in packet.payloads.slots:
        slot.enter()
    back = answer_to(remote, packet)
    for slot in packet.payloads.slots:
        slot.leave()
    return back


def answer_to(remote: Remote, packet: Packet[pb.EchoRequest]) -> np.ndarray:
    """The array that the service sends back; a unary method's call has one answer."""
    (answer,) = remote.call("Echo", packet)
    message, answered = readable(answer)
    return to_array(message.tensor, answered, "tensor")
