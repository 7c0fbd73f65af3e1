"""Shared memory that callers of the Open Inference Protocol register: reading, writing, bounds, names, and who may."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from oip_caller import Caller, asked, calling, outputs
from test_inference import BOXES, HERE, Boxes

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.oip.shared_memory import FOLDER, Regions
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="there is no /dev/shm")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A caller's shared memory of 2,000 bytes."""
    path = FOLDER / f"oip-test-{secrets.token_hex(8)}"
    path.write_bytes(bytes(2000))
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def caller() -> Iterator[Caller]:
    service = services()["segment"]
    server = Server(service, service.make_servicer(Boxes()), HERE, settings=Settings(oip_shm=True))
    with calling(server.address) as calls:
        yield calls
    server.stop(0).wait()


def register(caller: Caller, path: Path, name: str = "region", **more: int) -> None:
    given = {"offset": 0, "byte_size": 2000} | more
    caller.SystemSharedMemoryRegister(
        oip.message("SystemSharedMemoryRegisterRequest")(name=name, key=f"/{path.name}", **given)
    )


def refer(tensor: Any, region: str, offset: int, size: int) -> None:
    tensor.parameters["shared_memory_region"].string_param = region
    tensor.parameters["shared_memory_offset"].int64_param = offset
    tensor.parameters["shared_memory_byte_size"].int64_param = size


def test_an_image_comes_and_masks_go_by_reference(caller: Caller, shared: Path) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8)
    shared.write_bytes(bytes(8) + photo.tobytes() + bytes(840))
    register(caller, shared)
    request = asked("segment", IMAGE=photo, BOXES=BOXES[:1])
    plain = outputs(caller.infer(request))["MASKS"]
    del request.raw_input_contents[0]  # what is left is of BOXES
    refer(request.inputs[0], "region", 8, photo.nbytes)
    request.outputs.add(name="MASKS")
    refer(request.outputs[0], "region", 1200, 400)
    request.outputs.add(name="INDEX")
    answer = caller.infer(request)
    masks, index = answer.outputs
    assert masks.parameters["shared_memory_byte_size"].int64_param == plain.nbytes
    assert [*answer.raw_output_contents] == [b"", np.int32([0]).tobytes()]
    assert shared.read_bytes()[1200 : 1200 + plain.nbytes] == plain.tobytes()
    assert index.name == "INDEX"
    refer(request.outputs[0], "region", 1200, plain.nbytes - 1)
    assert "has 384 bytes; its place in shared memory has 383" in caller.refused(request)[1]
    os.truncate(shared, 100)
    assert "which its owner has made shorter" in caller.refused(request)[1]


def test_status_and_unregister(caller: Caller, shared: Path) -> None:
    asked_for, forget = (oip.message(f"SystemSharedMemory{one}Request") for one in ("Status", "Unregister"))
    register(caller, shared, "a", offset=10, byte_size=90)
    register(caller, shared, "b")
    regions = caller.SystemSharedMemoryStatus(asked_for()).regions
    assert {name: (one.key, one.offset, one.byte_size) for name, one in regions.items()} == {
        "a": (f"/{shared.name}", 10, 90),
        "b": (f"/{shared.name}", 0, 2000),
    }
    assert {*caller.SystemSharedMemoryStatus(asked_for(name="a")).regions} == {"a"}
    caller.SystemSharedMemoryUnregister(forget(name="a"))
    for method, message in (("SystemSharedMemoryStatus", asked_for), ("SystemSharedMemoryUnregister", forget)):
        assert caller.refused(message(name="a"), method) == ("NOT_FOUND", "no region 'a' is registered")
    again = oip.message("SystemSharedMemoryRegisterRequest")(name="b", key=shared.name, byte_size=1)
    assert caller.refused(again, "SystemSharedMemoryRegister")[0] == "ALREADY_EXISTS"
    caller.SystemSharedMemoryUnregister(forget())
    assert not caller.SystemSharedMemoryStatus(asked_for()).regions


@pytest.mark.parametrize(
    ("name", "key", "offset", "size", "words"),
    [
        ("", "{0}", 0, 1, "name has 0 characters"),
        ("a", "", 0, 1, "key is ''"),
        ("a", "/../{0}", 0, 1, "key is '/../"),
        ("a", "..", 0, 1, "key is '..'"),
        ("a", "{0}", 0, 0, "byte_size is 0"),
        ("a", "{0}", 1, 2000, "byte_size is 2,000 from 1 on; {0} has 2,000 bytes"),
        ("a", "{0}", 2**64 - 1, 2**64 - 1, "byte_size is"),
        ("a", "/tensorhop-" + "0" * 32, 0, 1, "names a slot of Tensorhop's own"),
    ],
)
def test_what_cannot_be_registered(shared: Path, name: str, key: str, offset: int, size: int, words: str) -> None:
    regions = Regions("segment", True, False)
    with pytest.raises(InvalidInput) as caught:
        regions.register(name, key.format(shared.name), offset, size)
    assert words.format(shared.name) in str(caught.value)


def test_only_files_of_this_user_are_opened(shared: Path) -> None:
    regions = Regions("segment", True, False)
    link = shared.with_name(f"{shared.name}-link")
    link.symlink_to(shared)
    try:
        for key in ("nothing-of-this-name", link.name):
            with pytest.raises(ServiceFault) as caught:
                regions.register("a", key, 0, 1)
            assert caught.value.code == "NOT_FOUND"
    finally:
        link.unlink()


def test_offsets_and_names_are_checked_when_used(shared: Path) -> None:
    regions = Regions("segment", True, False)
    regions.register("a", shared.name, 100, 50)
    assert regions.read("a", 10, 40, "f") == bytes(40)
    with pytest.raises(InvalidInput, match="f is 41 bytes from 10 on in the region 'a', which has 50"):
        regions.read("a", 10, 41, "f")
    with pytest.raises(InvalidInput, match="f is 41 bytes"):
        regions.write("a", 10, memoryview(bytes(41)), "f")
    with pytest.raises(ServiceFault, match="no region 'b'"):
        regions.read("b", 0, 1, "f")
    regions.unregister("")


@pytest.mark.parametrize(
    ("peer", "tokens", "allowed"),
    [
        ("ipv4:127.0.0.1:4000", False, True),
        ("ipv6:%5B::1%5D:4000", False, True),
        ("unix:", False, True),
        ("ipv4:10.0.0.7:4000", False, False),
        ("ipv4:10.0.0.7:4000", True, True),
    ],
)
def test_who_may_use_it(peer: str, tokens: bool, allowed: bool) -> None:
    context: Any = SimpleNamespace(peer=lambda: peer)
    regions = Regions("segment", True, tokens)
    if allowed:
        regions.check_allowed(context)
        return
    with pytest.raises(ServiceFault) as caught:
        regions.check_allowed(context)
    assert caught.value.code == "PERMISSION_DENIED"
    with pytest.raises(NotImplementedError):
        Regions("segment", False, tokens).check_allowed(context)
