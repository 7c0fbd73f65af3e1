"""Slots of shared memory: their life, their pool, what a service opens or refuses, and the chain through them."""

import contextlib
import errno
import gc
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from waiting import GUARD

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput, NotShared, fault_of
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.cutouts.servicer import PipelineServicer
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.rpc.status import from_error
from tensorhop.services.segment.service import SERVICE as SEGMENT
from tensorhop.settings import current_settings
from tensorhop.v1 import echo_pb2, fault_pb2, pipeline_pb2, segment_pb2
from tensorhop.v1.tensor_pb2 import SharedMemory
from tensorhop.values.geometry import Box
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectFault, ObjectResult, Summary
from tensorhop.wire.codec import Packet, Stub
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import write_box, write_image
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import SMALLEST, SUPPORTED, Attachments, Pool, remove_orphans
from tensorhop.wire.tensor import to_array, to_tensor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SUPPORTED, reason="this platform has no shared memory of this kind"),
]

MIB = 1024 * 1024
NOBODYS = "tensorhop-" + 32 * "0"


@pytest.fixture
def folder(tmp_path, limit):
    """A folder for this test's slots instead of /dev/shm."""
    folder = tmp_path / "shm"
    folder.mkdir()
    limit(shm_dir=str(folder))
    return folder


@pytest.fixture
def pool(folder):
    pool = Pool(folder, 16 * MIB)
    yield pool
    pool.close()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def open_files():
    """How many files of slots this process has open; its connections come and go meanwhile."""
    gc.collect()  # what earlier tests have left open is not this one's
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed since
            count += "/shm/" in str(entry.readlink())
    return count


# Slots and their pool.


def test_a_slot_is_its_owners_alone(pool, folder):
    before = os.umask(0)
    try:
        slot = pool.take(MIB)
    finally:
        os.umask(before)
    status = slot.path.stat()
    assert slot.path.parent == folder
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == slot.size >= MIB
    assert status.st_blocks * 512 >= slot.size, "it is reserved, not sparse"
    assert slot.memory.nbytes == slot.size
    pool.give_back(slot)


def test_names_do_not_repeat(pool):
    slots = [pool.take(SMALLEST) for _ in range(20)]
    assert len({slot.path.name for slot in slots}) == 20
    for slot in slots:
        pool.give_back(slot)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_folder_costs_a_slot_and_nothing_else(pool, folder, monkeypatch, error):
    def fail(*_):
        raise OSError(error, os.strerror(error))

    opened = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", fail)
        assert [pool.take(MIB) for _ in range(50)] == [None] * 50, "more than it may have, if each were counted"
    assert files(folder) == []
    assert open_files() == opened
    slots = [pool.take(MIB) for _ in range(16)]
    assert None not in slots
    for slot in slots:
        pool.give_back(slot)


def test_a_mapping_that_fails_leaves_nothing(pool, folder, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOMEM, "no memory")

    opened = open_files()
    with monkeypatch.context() as patch:
        patch.setattr("tensorhop.wire.shared_memory.mmap.mmap", fail)
        assert pool.take(MIB) is None
    assert files(folder) == []
    assert open_files() == opened


@pytest.mark.parametrize("where", ["missing", "file"])
def test_a_folder_that_is_none_gives_no_slots(tmp_path, where):
    (tmp_path / "file").touch()
    pool = Pool(tmp_path / where, MIB)
    assert pool.take(SMALLEST) is None
    pool.close()


def test_small_tensors_take_no_slot(pool, folder):
    assert pool.take(0) is None
    assert pool.take(SMALLEST - 1) is None
    assert files(folder) == []


@pytest.mark.parametrize("size", [SMALLEST, SMALLEST + 1, 300_000, MIB, MIB + 1, 3 * MIB - 1, 7_000_000])
def test_a_slot_is_large_enough_and_little_larger(pool, size):
    slot = pool.take(size)
    assert size <= slot.size <= max(1.25 * size, size + SMALLEST)
    pool.give_back(slot)


def test_a_slot_is_used_again(pool, folder):
    slot = pool.take(MIB)
    pool.give_back(slot)
    assert pool.take(MIB - 1000) is slot
    other = pool.take(MIB)
    assert other is not slot, "it is in use"
    assert files(folder) == sorted([slot.path.name, other.path.name])
    pool.give_back(slot)
    pool.give_back(other)
    assert files(folder) == sorted([slot.path.name, other.path.name])


def test_a_much_larger_slot_is_kept_for_larger_tensors(pool):
    large = pool.take(8 * MIB)
    pool.give_back(large)
    small = pool.take(MIB)
    assert small is not large
    assert pool.take(8 * MIB) is large
    pool.give_back(small)
    pool.give_back(large)


def test_a_slot_of_a_call_without_the_services_own_word_is_never_used_again(pool, folder):
    """Its file goes; who has it open keeps what was in it."""
    slot = pool.take(8 * MIB)
    slot.memory[:4] = b"mine"
    late = Attachments().view(slot.part(0, 4), "t")
    slot.enter()
    slot.enter()
    slot.leave()  # one of two
    assert slot.tainted
    pool.give_back(slot)
    assert files(folder) == []
    again = [pool.take(8 * MIB), pool.take(8 * MIB)]
    assert None not in again, "its bytes are not counted any more"
    for one in again:
        assert one is not slot
        one.memory[:4] = b"next"
        pool.give_back(one)
    assert bytes(late) == b"mine"


def test_a_slot_of_calls_that_all_ended_well_is_used_again(pool):
    slot = pool.take(MIB)
    for _ in range(3):
        slot.enter()
        slot.leave()
    assert not slot.tainted
    pool.give_back(slot)
    assert pool.take(MIB) is slot
    pool.give_back(slot)


def test_all_slots_together_are_bounded(folder):
    pool = Pool(folder, MIB)
    slots = []
    while (slot := pool.take(3 * SMALLEST)) is not None:
        slots.append(slot)
    assert sum(slot.size for slot in slots) <= MIB
    assert len(slots) == MIB // (3 * SMALLEST)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MIB
    for slot in slots:
        pool.give_back(slot)
    whole = pool.take(MIB)
    assert whole is not None, "what is free gives way"
    assert files(folder) == [whole.path.name]
    assert pool.take(SMALLEST) is None
    pool.give_back(whole)
    assert pool.take(MIB + 1) is None
    pool.close()


def test_no_bytes_are_no_slots(folder):
    pool = Pool(folder, 0)
    assert pool.take(SMALLEST) is None
    assert files(folder) == []


def test_close_removes_the_files_of_those_that_come_back_later_too(folder):
    pool = Pool(folder, 16 * MIB)
    early, late = pool.take(MIB), pool.take(MIB)
    opened = open_files()
    pool.give_back(early)
    pool.close()
    assert files(folder) == [late.path.name]
    pool.give_back(late)
    assert files(folder) == []
    assert open_files() < opened
    pool.close()


def test_many_threads_never_share_a_slot(folder):
    pool = Pool(folder, 2 * MIB)
    wrong = []

    def work(number):
        mark = bytes([number]) * 64
        for turn in range(100):
            slot = pool.take(SMALLEST * (1 + turn % 3))
            if slot is None:
                continue
            slot.memory[:64] = mark
            if turn % 7 == 0:
                slot.enter()  # and is given back tainted
            if bytes(slot.memory[:64]) != mark:
                wrong.append(number)
            pool.give_back(slot)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
    assert not wrong
    whole = pool.take(2 * MIB)
    assert whole is not None, "nothing is lost"
    pool.give_back(whole)
    pool.close()
    assert files(folder) == []


# Orphans.

OWNER = """
import sys
from pathlib import Path
from tensorhop.wire.shared_memory import Pool


pool = Pool(Path(sys.argv[1]), 2**24)
slots = [pool.take(size) for size in (100_000, 200_000)]
slots[0].memory[:5] = b"alive"
print(*(slot.path.name for slot in slots), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owners(folder):
    """Two processes that own slots, and the slots' names."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", OWNER, str(folder)]
    with (
        subprocess.Popen(command, env=environment, **pipes) as one,
        subprocess.Popen(command, env=environment, **pipes) as other,
    ):
        yield [(process, process.stdout.readline().split()) for process in (one, other)]
        for process in (one, other):
            process.kill()


def test_the_slots_of_a_killed_process_go_when_the_next_one_starts(folder, owners):
    (dead, lost), (_, kept) = owners
    assert files(folder) == sorted(lost + kept)
    Pool(folder, MIB).close()
    assert files(folder) == sorted(lost + kept), "both live"
    dead.kill()
    dead.wait(GUARD)
    assert files(folder) == sorted(lost + kept), "nobody could clean up"
    Pool(folder, MIB).close()
    assert files(folder) == sorted(kept)
    assert bytes(Attachments().view(SharedMemory(name=kept[0], size=5), "t")) == b"alive"


def test_a_pool_leaves_the_slots_of_another_in_its_own_process(pool, folder):
    slot = pool.take(MIB)
    other = Pool(folder, MIB)
    theirs = other.take(SMALLEST)
    remove_orphans(folder)
    assert files(folder) == sorted([slot.path.name, theirs.path.name])
    other.give_back(theirs)
    other.close()
    assert files(folder) == [slot.path.name]
    pool.give_back(slot)


def test_only_slots_are_taken_for_orphans(folder):
    """The operator may name a folder in which other files are."""
    (folder / NOBODYS).write_bytes(b"orphan")
    others = ["tensorhop-notes.txt", "tensorhop-" + 31 * "0", "tensorhop-" + 32 * "0" + ".png", "other", "x" + NOBODYS]
    for name in others:
        (folder / name).write_text("precious")
    (folder / ("tensorhop-" + 32 * "1")).mkdir()
    (folder / ("tensorhop-" + 32 * "2")).symlink_to(folder / "other")
    remove_orphans(folder)
    assert files(folder) == sorted([*others, "tensorhop-" + 32 * "1", "tensorhop-" + 32 * "2"])
    assert all((folder / name).read_text() == "precious" for name in others)


def test_a_slot_taken_for_an_orphan_before_it_was_locked_is_given_up(pool, folder, monkeypatch):
    """Another process that starts may look at the file just when it was made."""
    import fcntl

    lock = fcntl.flock

    def late(file, how):
        for path in folder.iterdir():
            path.unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert pool.take(MIB) is None
    monkeypatch.undo()
    assert files(folder) == []


# What a service opens.


@pytest.fixture
def slot(pool):
    slot = pool.take(2 * SMALLEST)
    slot.memory[:] = bytes(range(256)) * (slot.size // 256)
    yield slot
    pool.give_back(slot)


@pytest.fixture
def attachments():
    return Attachments()


def test_a_reference_names_the_owners_bytes(slot, attachments):
    view = attachments.view(slot.part(10, 5), "t")
    assert bytes(view) == bytes(range(10, 15))
    slot.memory[12] = 255
    assert view[2] == 255, "not a copy"
    view[0] = 99
    assert slot.memory[10] == 99, "and writable, for answers"
    assert attachments.view(slot.part(slot.size, 0), "t").nbytes == 0
    assert attachments.view(slot.part(0, slot.size), "t").nbytes == slot.size


def test_a_slot_is_mapped_once(slot, attachments):
    attachments.view(slot.part(0, 1), "t")
    opened = open_files()
    views = [attachments.view(slot.part(offset, 1), "t") for offset in range(50)]
    assert open_files() == opened
    assert len({id(view.obj) for view in views}) == 1


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 1), (1, 0), (2**63, 1), (2**64 - 1, 1), (1, 2**64 - 1), (2**64 - 1, 2**64 - 1), (2**32, 0), (0, 2**63)],
)
def test_bytes_outside_of_the_slot_are_refused(slot, attachments, offset, size):
    part = slot.part(offset, size)
    if (offset, size) in ((0, 1), (1, 0)):  # just one too many
        part = slot.part(offset, slot.size + 1 - offset) if size else slot.part(slot.size + 1, 0)
    with pytest.raises(InvalidInput) as caught:
        attachments.view(part, "t.shared_memory")
    assert caught.value.field == "t.shared_memory"
    assert not isinstance(caught.value, NotShared)
    assert fault_of(caught.value).code == fault_pb2.CODE_INVALID_ARGUMENT


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "../" + NOBODYS,
        "./" + NOBODYS,
        "/etc/hostname",
        "/dev/shm/" + NOBODYS,
        NOBODYS + "/../" + NOBODYS,
        NOBODYS + "/",
        NOBODYS + "\0",
        NOBODYS + "\n",
        NOBODYS + "0",
        NOBODYS[:-1],
        NOBODYS.upper(),
        "tensorhop-" + 32 * "g",
        "tensorhop-" + 32 * "٣",
        "x" * 100_000,
    ],
)
def test_a_name_that_is_no_slots_is_refused(folder, attachments, name):
    (folder.parent / NOBODYS).write_bytes(b"secret" * 20_000)
    (folder / NOBODYS).write_bytes(b"secret" * 20_000)
    with pytest.raises(InvalidInput) as caught:
        attachments.view(SharedMemory(name=name, size=1), "t.shared_memory")
    assert caught.value.field == "t.shared_memory.name"
    assert not isinstance(caught.value, NotShared)
    assert len(str(caught.value)) < 300


def test_a_missing_slot_is_not_shared(folder, attachments):
    with pytest.raises(NotShared) as caught:
        attachments.view(SharedMemory(name=NOBODYS, size=1), "image.tensor.shared_memory")
    fault = fault_of(caught.value)
    assert (fault.code, fault.field) == (fault_pb2.CODE_FAILED_PRECONDITION, "image.tensor.shared_memory")
    assert str(folder) not in fault.message


@pytest.mark.parametrize("kind", ["symlink", "symlink to a slot", "fifo", "directory", "socket", "empty", "unreadable"])
def test_what_is_no_slot_is_not_opened(folder, attachments, slot, kind):
    path = folder / NOBODYS
    match kind:
        case "symlink":
            (folder / "secret").write_bytes(b"secret" * 20_000)
            path.symlink_to(folder / "secret")
        case "symlink to a slot":
            path.symlink_to(slot.path)
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            os.mknod(path, 0o600 | stat.S_IFSOCK)
        case "empty":
            path.touch()
        case "unreadable":
            path.write_bytes(b"x" * SMALLEST)
            path.chmod(0)
            if os.access(path, os.R_OK):
                pytest.skip("root may read everything")
    opened = open_files()
    caught = []

    def view():
        try:
            attachments.view(SharedMemory(name=NOBODYS, size=1), "t")
        except InvalidInput as error:
            caught.append(error)

    reader = threading.Thread(target=view, daemon=True)
    reader.start()
    reader.join(GUARD)
    assert caught, "refused, and soon"
    assert open_files() == opened


def test_a_slot_of_another_user_is_not_opened(slot, attachments, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    opened = open_files()
    with pytest.raises(NotShared, match="of another user"):
        attachments.view(slot.part(0, 1), "t")
    assert open_files() == opened


@pytest.mark.parametrize("opened_before", [True, False])
@pytest.mark.parametrize("size", [0, 1, 4096, 10_000, SMALLEST])
def test_a_slot_that_its_owner_made_shorter(slot, attachments, opened_before, size):
    """Touching what lies beyond its end would kill the process."""
    if opened_before:
        attachments.view(slot.part(0, slot.size), "t")
    os.truncate(slot.path, size)
    with pytest.raises(InvalidInput):
        attachments.view(slot.part(0, size + 1), "t")
    with pytest.raises(InvalidInput):
        attachments.view(slot.part(0, slot.size), "t")
    if size:
        assert bytes(attachments.view(slot.part(size - 1, 1), "t")) == bytes([(size - 1) % 256])


def test_a_slot_that_grew_since_is_refused_beyond_what_is_mapped(slot, attachments):
    attachments.view(slot.part(0, 1), "t")
    os.truncate(slot.path, 4 * slot.size)
    with pytest.raises(InvalidInput):
        attachments.view(slot.part(slot.size, 1), "t")


def test_only_so_many_slots_stay_open_and_views_outlive_theirs(folder, attachments):
    pool = Pool(folder, 64 * MIB)
    slots = [pool.take(SMALLEST) for _ in range(Attachments.MOST + 20)]
    before, views = open_files(), []
    for number, slot in enumerate(slots):
        slot.memory[0] = number
        views.append(attachments.view(slot.part(0, SMALLEST), "t"))
        attachments.view(slots[0].part(0, 1), "t")  # always among the latest
    assert [view[0] for view in views] == list(range(len(slots)))
    assert attachments.view(slots[0].part(0, 1), "t").obj is views[0].obj, "used last, so kept"
    assert attachments.view(slots[1].part(0, 1), "t").obj is not views[1].obj, "opened again"
    del views
    assert open_files() - before == 2 * Attachments.MOST, "mmap keeps a descriptor of its own"
    for slot in slots:
        pool.give_back(slot)
    pool.close()


def test_a_slot_that_is_gone_is_let_go_when_the_next_is_opened(pool, attachments):
    gone, next_one = pool.take(SMALLEST), pool.take(SMALLEST)
    before = open_files()
    view = attachments.view(gone.part(0, 4), "t")
    view[:] = b"kept"
    gone.enter()
    pool.give_back(gone)
    attachments.view(next_one.part(0, 1), "t")
    assert bytes(view) == b"kept"
    del view
    assert open_files() - before == 2 - 1, "the next one's two, less the one that its owner has closed"
    with pytest.raises(NotShared):
        attachments.view(gone.part(0, 1), "t")
    pool.give_back(next_one)


def test_two_services_and_two_owners(folder, pool):
    other = Pool(folder, MIB)
    slots = [pool.take(SMALLEST), other.take(SMALLEST)]
    for number, slot in enumerate(slots):
        slot.memory[0] = number
    for service in (Attachments(), Attachments()):
        assert [service.view(slot.part(0, 1), "t")[0] for slot in slots] == [0, 1]
    pool.give_back(slots[0])
    other.give_back(slots[1])
    other.close()


def test_in_the_real_folder():
    folder = Path("/dev/shm")
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        pytest.skip("this machine has none")
    pool = Pool(folder, MIB)
    slot = pool.take(SMALLEST)
    if slot is None:
        pytest.skip("it is full")
    slot.memory[:4] = b"real"
    assert stat.S_IMODE(slot.path.stat().st_mode) == 0o600
    if current_settings().shm_dir == str(folder):
        assert bytes(Attachments().view(slot.part(0, 4), "t")) == b"real"
    pool.give_back(slot)
    assert slot.path.exists()
    pool.close()
    assert not slot.path.exists()


# Over a socket.

ECHO = echo_pb2.DESCRIPTOR.services_by_name["EchoService"]


class Echo:
    """Answers the tensor that came, in the slot that was lent."""

    def Echo(self, packet, context):
        array = to_array(packet.message.tensor, packet.payloads, "tensor")
        payloads = Payloads.lent(packet.message.lent)
        return Packet(echo_pb2.EchoResponse(tensor=to_tensor(array, payloads)), payloads)


@pytest.fixture
def echo():
    """The stub of a running EchoService."""
    server = Server(Service("echo", ECHO, Echo), Echo(), "127.0.0.1:0")
    with open_channel(server.address) as channel:
        yield Stub(channel, ECHO).Echo
    server.stop(0).wait(GUARD)


def test_there_and_back_by_reference(echo, pool):
    array = np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8)
    payloads = Payloads.into([pool.take(array.nbytes)])
    request = echo_pb2.EchoRequest(tensor=to_tensor(array, payloads))
    request.lent.extend(payloads.lend(pool.take(array.nbytes)))
    assert payloads.nbytes == 0
    ((message, received),) = echo(Packet(request, payloads), timeout=GUARD)
    assert message.tensor.shared_memory.name == payloads.slots[1].path.name
    assert received.nbytes == 0
    np.testing.assert_array_equal(to_array(message.tensor, received, "t"), array)
    for slot in payloads.slots:
        pool.give_back(slot)


def test_a_slot_that_the_service_cannot_open_is_a_failed_precondition(echo, pool, folder):
    payloads = Payloads.into([pool.take(SMALLEST)])
    request = echo_pb2.EchoRequest(tensor=to_tensor(np.ones(SMALLEST, np.uint8), payloads))
    payloads.slots[0].path.unlink()
    with pytest.raises(grpc.RpcError) as caught:
        next(echo(Packet(request, payloads), timeout=GUARD))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert from_error(caught.value).fault.field == "tensor.shared_memory"
    pool.give_back(payloads.slots[0])


def test_a_slot_cut_short_is_an_invalid_argument(echo, pool):
    payloads = Payloads.into([pool.take(SMALLEST)])
    request = echo_pb2.EchoRequest(tensor=to_tensor(np.ones(SMALLEST, np.uint8), payloads))
    os.truncate(payloads.slots[0].path, 100)
    with pytest.raises(grpc.RpcError) as caught:
        next(echo(Packet(request, payloads), timeout=GUARD))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    pool.give_back(payloads.slots[0])


# Through the chain.


class Chain:
    """A pipeline of its own, whose slots are in the test's folder, and a client of it."""

    def __init__(self, servers, **others):
        addresses = {name: servers[name].address for name in PIPELINE.calls}
        self.stages = Steps.connect(PIPELINE, {**addresses, **others})
        self.front = Server(PIPELINE, PipelineServicer(self.stages), "127.0.0.1:0")
        self.client = PipelineClient(self.front.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.front.stop(0).wait(GUARD)
        self.stages.close()


def transports(events):
    return {step.step: step.transport for step in events[-1].steps}


def assert_same(events, expected):
    assert [type(event) for event in events] == [type(event) for event in expected]
    for one, other in zip(events, expected, strict=True):
        if isinstance(one, ObjectResult):
            assert one.detection == other.detection
            np.testing.assert_array_equal(one.picture.pixels, other.picture.pixels)
            np.testing.assert_array_equal(one.mask.alpha, other.mask.alpha)
            assert one.picture.region == other.picture.region
        elif not isinstance(one, Summary):
            assert one == other


@pytest.fixture
def inline(servers, folder, cat, limit):
    """What the chain answers without shared memory."""
    limit(shm_dir=str(folder), shm_bytes=0)
    with Chain(servers) as chain:
        events = list(chain.client.process(cat, return_masks=True))
    assert set(transports(events).values()) == {"message"}
    assert files(folder) == []
    limit(shm_dir=str(folder))
    return events


def test_by_reference_the_chain_answers_the_same(servers, folder, cat, inline):
    with Chain(servers) as chain:
        events = list(chain.client.process(cat, return_masks=True))
        assert_same(events, inline)
        assert set(transports(events).values()) == {"shared_memory"}
        assert files(folder), "they are kept for the next request"
        kept = files(folder)
        assert_same(list(chain.client.process(cat, return_masks=True)), inline)
        assert files(folder) == kept, "and used again"
    assert files(folder) == []


def test_a_full_folder_costs_speed_only(servers, folder, cat, inline, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with Chain(servers) as chain:
        events = list(chain.client.process(cat, return_masks=True))
    assert_same(events, inline)
    assert set(transports(events).values()) == {"message"}


def test_a_service_that_shares_no_memory_is_sent_the_bytes(servers, folder, cat, inline, tmp_path):
    """It says so itself; nothing is configured."""
    (tmp_path / "elsewhere").mkdir()
    environment = {**os.environ, "TENSORHOP_SHM_DIR": str(tmp_path / "elsewhere")}
    command = [sys.executable, "-P", "-m", "tensorhop.services.detect", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stderr if "serves on" in line)
            with Chain(servers, detect=line.split()[-1]) as chain:
                events = list(chain.client.process(cat, return_masks=True))
                assert_same(events, inline)
                by = {"describe": "shared_memory", "segment": "shared_memory", "postprocess": "shared_memory"}
                assert transports(events) == {**by, "detect": "message"}
                assert files(folder), "the refusal was the service's own word: the slots are good"
            assert files(folder) == []
        finally:
            process.kill()


class SlowSegment:
    """Holds the image of the first call until it is let go, whatever becomes of its caller."""

    def __init__(self):
        self.views, self.came, self.let_go = [], threading.Event(), threading.Event()

    def Segment(self, packet, context):
        image = read_image(packet.message.image, packet.payloads)
        assert packet.message.image.tensor.WhichOneof("content") == "shared_memory"
        self.views.append((image, packet.message.image.tensor.shared_memory.name))
        if len(self.views) == 1:
            self.came.set()
            self.let_go.wait(GUARD)
        for index in range(len(packet.message.boxes)):
            yield Packet(segment_pb2.SegmentResponse(index=index, fault={"code": "CODE_INTERNAL"}), Payloads())


@pytest.mark.parametrize("ending", ["cancelled", "timed out"])
def test_a_late_handler_never_sees_another_calls_pixels(servers, folder, ending, monkeypatch):
    first, second = (np.full((400, 500, 3), value, np.uint8) for value in (11, 222))
    slow, back = SlowSegment(), threading.Event()
    close = RequestScope.close
    monkeypatch.setattr(RequestScope, "close", lambda scope: (close(scope), back.set()))
    server = Server(SEGMENT, slow, "127.0.0.1:0")
    try:
        with Chain(servers, segment=server.address) as chain:
            box = [(0, 0, 500, 400)]
            if ending == "cancelled":
                events = chain.client.process(first, boxes=box)
                next(events)
                assert slow.came.wait(GUARD)
                events.close()
            else:
                (fault,) = (
                    event
                    for event in chain.client.process(first, boxes=box, timeout=2)
                    if isinstance(event, ObjectFault)
                )
                assert fault.code == "DEADLINE_EXCEEDED"
                assert slow.came.is_set()
            assert back.wait(GUARD), "the first request is over for its pipeline"
            (view, name), *_ = slow.views
            assert name not in files(folder)
            for _ in range(3):
                assert isinstance(list(chain.client.process(second, boxes=box))[-1], Summary)
            assert len(slow.views) == 4
            assert all((later == 222).all() for later, _ in slow.views[1:])
            assert name not in {later for _, later in slow.views[1:]}
            assert (view == 11).all()
            assert not slow.let_go.is_set()
        assert files(folder) == []
    finally:
        slow.let_go.set()
        server.stop(0).wait(GUARD)


def test_an_objects_slots_serve_the_next(servers, folder, cat):
    """So that a photo of many objects holds no more of them than of a few."""
    height, width = cat.shape[:2]
    with Chain(servers) as chain:
        taken = []
        take = chain.stages.pool.take

        def watched(size):
            slot = take(size)
            if threading.current_thread().name.startswith("postprocess"):
                taken.append(slot.name)
            return slot

        chain.stages.pool.take = watched
        events = chain.client.process(
            cat, boxes=[Box(0, 0, width, height)] * 3, max_parallel=1, output=Output("png"), cache=False
        )
        assert sum(isinstance(event, ObjectResult) for event in events) == 3
    assert len(taken) == 6  # what goes and what comes back, for each
    assert len(set(taken)) == 2


class Held(Pool):
    """Holds up a worker as it takes a slot for the second object, and tells if slots come back meanwhile."""

    def __init__(self, folder, most):
        super().__init__(folder, most)
        self.taken, self.asked, self.let_go = 0, threading.Event(), threading.Event()
        self.early = False

    def take(self, size):
        if threading.current_thread().name.startswith("postprocess"):
            self.taken += 1
            if self.taken == 3:  # each object takes two
                self.asked.set()
                self.let_go.wait(GUARD)
        return super().take(size)

    def give_back(self, slot):
        self.early |= self.asked.is_set() and not self.let_go.is_set()
        super().give_back(slot)


def test_slots_come_back_when_the_last_worker_is_done_with_them(servers, folder, cat, monkeypatch):
    """A caller that leaves in the middle: until its workers are done, their slots are not for others."""
    cancel = RequestScope.cancel

    class Context:
        def time_remaining(self):
            return None

        def invocation_metadata(self):
            return ()

        def add_callback(self, callback):
            return True

    pool = Held(folder, 64 * MIB)
    stages = replace(Steps.connect(PIPELINE, {name: servers[name].address for name in PIPELINE.calls}), pool=pool)
    monkeypatch.setattr(RequestScope, "cancel", lambda scope: (cancel(scope), pool.let_go.set()))
    payloads = Payloads()
    height, width = cat.shape[:2]
    whole = write_box(Box(0, 0, width, height))
    request = pipeline_pb2.ProcessRequest(image=write_image(cat, payloads), boxes=[whole, whole], max_parallel=1)
    try:
        events: Any = PipelineServicer(stages).Process(Packet(request, payloads), Context())
        assert next(events).message.WhichOneof("event") == "detections"
        assert next(events).message.WhichOneof("event") == "object"
        assert pool.asked.wait(GUARD)
        events.close()
        del events
        gc.collect()
    finally:
        pool.let_go.set()
        stages.close()
    assert not pool.early
    assert files(folder) == []
