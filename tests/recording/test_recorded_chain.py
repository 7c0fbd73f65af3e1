"""Requests on real sockets, recorded and run again."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result
from waiting import wait_for

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.client.views.client import ViewsClient
from tensorhop.errors import ServiceFault
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.orchestrator.recording.objects import objects_of
from tensorhop.orchestrator.recording.recording import Recording, find
from tensorhop.orchestrator.views.service import SERVICE as VIEWS
from tensorhop.rpc import retries
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.settings import Settings
from tensorhop.values.images import decode_image
from tensorhop.values.images.png import encode_png
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectFault, ObjectResult

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NETWORK = ROOT / "services" / "embedded" / "weights" / "u2netp.onnx"
PHOTOS = ROOT / "examples" / "photos"
ROCKET, CORNER = (100, 10, 200, 210), (1, 1, 15, 15)  # of the photo of a rocket; there is only sky in the corner


@contextmanager
def chain(service: Service, servers: dict[str, Server], **settings: object) -> Iterator[str]:
    """The address of a chain of its own before the services of all tests."""
    addresses = {name: servers[name].address for name in service.calls}
    with closing(Steps.connect(service, addresses, settings=Settings(**settings))) as steps:
        server = Server(service, service.make_servicer(steps), "127.0.0.1:0")
        try:
            yield server.address
        finally:
            server.stop(1).wait()


@pytest.fixture(scope="module")
def folder(servers: dict[str, Server], coffee: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings: "cup", "cached" (its masks and boxes came from the cache), "fault", "wrong", "digests"."""
    records, photo = tmp_path_factory.mktemp("records"), encode_png(np.ascontiguousarray(coffee[::2, ::2]))
    tensors = {"output": Output("tensor"), "return_masks": True, "return_layers": True}
    with chain(CUTOUTS, servers, record=str(records)) as address, PipelineClient(address) as client:
        list(client.process(photo, output=Output("png"), request_id="cup"))
        list(client.process(photo, request_id="cached", **tensors))
        sky = np.ascontiguousarray(decode_image((PHOTOS / "rocket.jpg").read_bytes())[::2, ::2])
        kinds = [type(one) for one in client.process(sky, boxes=[ROCKET, CORNER], ordered=True, request_id="fault")]
        assert {ObjectResult, ObjectFault} < {*kinds}
        with pytest.raises(ServiceFault):
            list(client.process(photo, phrases=[" "], request_id="wrong"))
    digests = {"record": str(records), "record_pixels": "none"}
    with chain(CUTOUTS, servers, **digests) as address, PipelineClient(address) as client:
        list(client.process(photo, request_id="digests"))
    (records / "photo.png").write_bytes(photo)
    return records


@pytest.fixture
def tensorhop(folder: Path, client: PipelineClient, servers: dict[str, Server]) -> Callable[..., Result]:
    def run(command: str, *words: object, endpoint: str = servers["pipeline"].address) -> Result:
        more = ["--endpoint", endpoint] if command == "replay" else []
        return CliRunner().invoke(app, [command, *map(str, words), "--record", str(folder), *more])

    return run


def said(result: Result) -> str:
    return " ".join(result.output.replace("│", " ").split())


def test_everything_is_there(folder: Path) -> None:
    recording = find(folder, "cup")
    (one,) = objects_of(recording)
    assert one.cutout is not None
    document = recording.document
    assert [call["service"] for call in document["calls"]] == ["describe", "detect", "segment", "postprocess"]
    assert all(call["code"] == "OK" and call["seconds"] > 0 for call in document["calls"])
    assert all(step["model"]["digest"] for step in document["steps"] if step["service"] != "postprocess")
    assert [next(key for key in event if key != "at") for event in document["events"]] == [
        *("description", "detections", "object", "summary")
    ]
    names = {"image.png", "0-segment.png", "0-cutout.png", "0-shadow.png", "0-file.png", "recording.json"}
    assert {path.name for path in (folder / "cup").iterdir()} == names
    assert (folder / "cup" / "image.png").read_bytes() == (folder / "photo.png").read_bytes()
    assert "127.0.0.1" not in (folder / "cup" / "recording.json").read_text()
    pixels, cutout = decode_image((folder / "cup" / "0-file.png").read_bytes()), one.cutout.array()
    assert pixels.shape == (1024, 1024, 3)
    assert cutout.shape[:2] == (one.cutout.region.size.height, one.cutout.region.size.width)


def test_answers_from_the_cache_are_there_too(folder: Path) -> None:
    calls = find(folder, "cached").document["calls"]
    assert [call["service"] for call in calls if call.get("cached")] == ["describe", "detect", "segment"]
    (first,), (cached,) = (objects_of(find(folder, name)) for name in ("cup", "cached"))
    for name in ("mask", "cutout", "shadow"):
        assert getattr(first, name).digest == getattr(cached, name).digest


@pytest.mark.parametrize("words", [["cup"], ["cup", "--from", "detect"], ["cached", "--from", "segment"]])
def test_the_same_again(tensorhop: Callable[..., Result], words: list[str]) -> None:
    done = tensorhop("replay", *words)
    assert done.exit_code == 0, done.output
    assert "segment object 0 same mask" in said(done)
    assert done.output.endswith("the same\n")


def test_it_can_begin_with_the_masks(tensorhop: Callable[..., Result]) -> None:
    done = tensorhop("replay", "cup", "--from", "postprocess")
    assert done.exit_code == 0, done.output
    assert "segment" not in said(done)
    assert "postprocess object 0 same cutout" in said(done)


def test_another_model_parts_where_it_is(
    folder: Path, servers: dict[str, Server], tensorhop: Callable[..., Result]
) -> None:
    segment = services()["segment"]
    other = Server(segment, segment.load(ModelChoice(str(NETWORK))), "127.0.0.1:0")
    try:
        with chain(CUTOUTS, servers | {"segment": other}) as address:
            done = tensorhop("replay", "cup", endpoint=address)
    finally:
        other.stop(0).wait()
    assert done.exit_code == 1, done.output
    assert "segment ran embedded" in said(done)
    assert "detect same" in said(done)
    assert "they part at segment, object 0: mask by at most" in said(done)


def test_a_fault_replays_as_a_fault(tensorhop: Callable[..., Result]) -> None:
    done = tensorhop("replay", "fault")
    assert done.exit_code == 0, done.output
    assert "segment object 1 same NOT_FOUND of segment, again" in said(done)
    done = tensorhop("replay", "fault", "--from", "postprocess")
    assert done.exit_code == 0, done.output
    assert "object 1 same NOT_FOUND of segment, which stays" in said(done)
    done = tensorhop("replay", "wrong")
    assert done.exit_code == 0, done.output
    assert "then INVALID_ARGUMENT of pipeline, now INVALID_ARGUMENT of pipeline" in said(done)


def test_without_pixels_it_says_what_is_missing(folder: Path, tensorhop: Callable[..., Result]) -> None:
    assert [path.name for path in (folder / "digests").iterdir()] == ["recording.json"]
    for words, says in (
        (["digests"], "the photo is missing: digests was recorded without pixels"),
        (["digests", "--image", PHOTOS / "cat.jpg"], "the photo is missing"),
        (["digests", "--from", "postprocess", "--image", folder / "photo.png"], "the mask of object 0 is missing"),
    ):
        done = tensorhop("replay", *words)
        assert done.exit_code == 2
        assert says in said(done)
    done = tensorhop("replay", "digests", "--image", folder / "photo.png")
    assert done.exit_code == 0, done.output
    page = tensorhop("show", "digests", "-o", "-").output
    assert "Recorded without pixels" in page
    assert "not kept" in page
    assert "data:image" not in page


def test_it_cannot_begin_before_it_began(tensorhop: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "LONGEST_OUTAGE", 0.1)
    assert "began with segment" in said(tensorhop("replay", "fault", "--from", "detect"))
    assert "--from is 'x'" in said(tensorhop("replay", "cup", "--from", "x"))
    assert tensorhop("replay", "cup", endpoint="127.0.0.1:9").exit_code == 4


def test_a_page_has_all_of_it_and_no_markup_of_callers(
    folder: Path, tensorhop: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = tmp_path / "evil"
    evil.mkdir()
    text = (folder / "fault" / "recording.json").read_text().replace('"label": "object"', '"label": "<script>1"')
    (evil / "recording.json").write_text(text)
    page = tensorhop("show", evil, "-o", "-").output
    assert "&lt;script&gt;1" in page
    assert "<script" not in page
    assert tensorhop("show", "cup").output == "cup.html\n"
    drawn = Path("cup.html").read_text()
    assert drawn.count("data:image/") == 5  # the photo, mask, cut-out, shadow and picture
    assert all(word in drawn for word in ("cup of coffee", "describe", "postprocess", "embedded"))
    assert tensorhop("show", "cup").exit_code == 0  # its own page may be replaced
    Path("mine.html").write_text("mine")
    assert "is no page of this command" in said(tensorhop("show", "cup", "-o", "mine.html"))
    assert Path("mine.html").read_text() == "mine"
    assert "NOT_FOUND" in tensorhop("show", "fault", "-o", "-").output
    assert "INVALID_ARGUMENT" in tensorhop("show", "wrong", "-o", "-").output


def test_the_list_is_the_newest_first(tensorhop: Callable[..., Result], folder: Path) -> None:
    lines = tensorhop("show").output.splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["digests", "wrong", "fault", "cached", "cup"]
    assert "failed: INVALID_ARGUMENT" in lines[1]
    assert len(tensorhop("show", "--last", 1).output.splitlines()) == 4


def test_the_chain_of_views_is_recorded_by_the_same_code(servers: dict[str, Server], tmp_path: Path) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(chain(VIEWS, servers, record=str(tmp_path), record_sample=0))
        client = stack.enter_context(ViewsClient(address))
        panorama = ROOT / "examples" / "panoramas" / "court.jpg"
        few = {"intervals": [2], "views": 1, "seed": 7, "size": (64, 64), "min_score": 0.01}
        list(client.process(panorama, **few))
        list(client.process(panorama, **few, record=True, request_id="views"))
    recording = find(tmp_path, "v")
    assert [path.name for path in tmp_path.iterdir()] == ["views"]
    called = [call["service"] for call in recording.document["calls"]]
    assert called.count("preprocess") == called.count("interpolate") == called.count("upscale") == 1
    view = recording.part(list(recording.events("view"))[-1]["view"])
    assert view is not None
    assert view.array().shape == (128, 128, 3)
    arguments = ["--record", str(tmp_path)]
    page = CliRunner().invoke(app, ["show", "views", "-o", "-", *arguments]).output
    assert "interval 2" in page
    assert page.count("data:image/") == 4  # the panorama, a pair, and a view of both scales
    done = CliRunner().invoke(app, ["replay", "views", *arguments])
    assert done.exit_code == 2
    assert "only the pipeline's are replayed" in said(done)


def test_a_caller_who_leaves_is_recorded_as_one(servers: dict[str, Server], tmp_path: Path, coffee: np.ndarray) -> None:
    with chain(CUTOUTS, servers, record=str(tmp_path)) as address, PipelineClient(address) as client:
        call = client.process(coffee, request_id="left", cache=False)
        next(call)
        call.close()
    wait_for((tmp_path / "left").exists)
    assert json.loads((tmp_path / "left" / "recording.json").read_text())["fault"]["code"] == "CODE_CANCELLED"
    assert Recording.load(tmp_path / "left").fault
