"""What `tensorhop run` does to folders: nobody's files are touched, and after a run they show that run."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner, Result

from tensorhop.orchestrator.cli import app
from tensorhop.rpc.server import Server

pytestmark = pytest.mark.slow

NOBODY = "127.0.0.1:9"  # what got as far as the pipeline would be exit code 4
BOX = ("--box", "10,10,50,40")
QUICK = ("--shadow", "none", "--canvas", "64x48", "--no-refine", "--no-decontaminate")


def draw(path: Path, colour: str = "firebrick") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (60, 50), (225, 228, 230))
    ImageDraw.Draw(image).ellipse((10, 10, 50, 40), fill=colour)
    image.save(path)
    return path


def tree(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def tensorhop(*arguments: object, endpoint: str = NOBODY) -> Result:
    command = ["run", *map(str, arguments), *QUICK, "--endpoint", endpoint]
    return CliRunner().invoke(app, command, env={"COLUMNS": "1000", "TERM": "dumb"})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def endpoint(servers: dict[str, Server]) -> str:
    return servers["pipeline"].address


@pytest.mark.parametrize(
    ("mine", "arguments", "says"),
    [
        ("shop/a-0.png", ["shop", "-o", "shop"], "shop/a-0.png is one of the files that this run reads"),
        ("shop/a-0.png", ["shop", "-o", "shop", "--overwrite"], "shop/a-0.png is one of the files that this run reads"),
        ("shop/a-0.png", ["shop/a.jpg", "-o", "shop"], "shop/a-0.png is there, and no earlier run wrote it"),
        ("shop/a-3.png", ["shop/a.jpg", "-o", "shop"], "shop/a-3.png is there"),
        ("a-overview.png", ["shop/a.jpg", "-o", "."], "a-overview.png is there"),
        ("a.json", ["shop/a.jpg", "-o", "."], "a.json is there"),
        ("a.json", ["shop/a.jpg", "-o", ".", "--resume"], "a.json is there"),
        ("out/x/a.json", ["deep", "-r"], "out/x/a.json is there"),
        ("out/a/0.jpg", ["shop", "--name", "{stem}/{index}.jpg"], "out/a/0.jpg is there"),
        ("cut.png", ["shop/a.jpg", "-o", "cut.png"], "cut.png is there"),
        ("steps/a/photo.npy", ["shop", "--save-steps", "steps"], "steps/a/photo.npy is there"),
        ("out/results.jsonl", ["--manifest", "m.jsonl"], "out/results.jsonl is there"),
        ("out/2-a-0.png", ["--manifest", "m.jsonl"], "out/2-a-0.png is there"),
        ("results.jsonl", ["--manifest", "results.jsonl", "-o", ".", "--overwrite"], "results.jsonl is one of the"),
        ("mask.png", ["shop/a.jpg", "--mask", "mask.png", "-o", "mask.png", "--overwrite"], "mask.png is one of the"),
    ],
)
def test_a_file_in_the_way_is_refused_before_any_work(here: Path, mine: str, arguments: list[str], says: str) -> None:
    for photo in ("shop/a.jpg", "shop/b.jpg", "deep/x/a.jpg"):
        draw(here / photo)
    text = '{"image": "shop/b.jpg"}\n{"image": "shop/a.jpg"}\n'
    (here / "m.jsonl").write_text(text)
    (here / mine).parent.mkdir(parents=True, exist_ok=True)
    draw(here / mine) if mine.endswith((".png", ".jpg")) else (here / mine).write_text(
        text if "jsonl" in mine else "{}"
    )
    if mine == "out/results.jsonl":
        (here / mine).write_text('{"mine": 1}')
    before = tree(here)
    done = tensorhop(*arguments)
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert tree(here) == before


@pytest.mark.parametrize("link", ["soft", "hard"])
@pytest.mark.parametrize("out", ["out", "out/a-0.png"])
def test_the_photo_behind_a_link_stays(here: Path, link: str, out: str) -> None:
    photo, place = draw(here / "a.png"), here / "out" / "a-0.png"
    place.parent.mkdir()
    place.symlink_to(photo) if link == "soft" else place.hardlink_to(photo)
    before = tree(here)
    done = tensorhop(photo, "-o", out, "--overwrite")
    assert done.exit_code == 2, done.output
    assert "that this run reads" in done.stderr
    assert tree(here) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.jpg", "-o", ""], "--out is empty"),
        (["a.jpg", "--save-steps", ""], "--save-steps is empty"),
        ([""], "an IMAGE is empty"),
        ([f"{'x' * 246}.jpg"], "bytes; at most"),
        (["a.jpg", f"{'ü' * 122}.jpg"], "bytes; at most"),
        ([f"{'x' * 150}.jpg", "--name", "{stem}-{label}-{index}-" + "y" * 50 + ".png"], "bytes; at most"),
        (["a.jpg", "a.png"], '--name "{file}-{index}.png" keeps them apart'),
        (["x/a.jpg", "y/a.jpg"], '--name "{folder}-{stem}-{index}.png" keeps them apart'),
        (["x/a.jpg", "y/A.jpg", "--name", "{stem}-{index}.webp"], "run one after the other"),
        (["-", "stdin.jpg"], "- and stdin.jpg would both have a file"),
        (["a.jpg", "a-0.jpg", "--name", "{stem}-{index}-0.png"], ""),
        (["...jpg", "--name", "{stem}/{index}.png"], "leaves out"),
    ],
)
def test_names_are_checked_before_any_work(here: Path, arguments: list[str], says: str) -> None:
    done = tensorhop(*arguments)
    assert done.exit_code == (2 if says else 1), done.output  # 1: the photos are not there
    assert says in done.stderr
    assert not list(here.iterdir())


def test_runs_into_the_photos_own_folder(here: Path, endpoint: str) -> None:
    """As often as one likes: what earlier runs wrote are no photos, and the last run is what is seen."""
    draw(here / "shop" / "a.jpg"), draw(here / "shop" / "deep" / "a.png")
    photos = tree(here)
    for extra, names in (
        ([], {"a-0.png", "a-overview.png", "a.json"}),
        (["--resume"], {"a-0.png", "a-overview.png", "a.json"}),
        (["--no-overlay", "--format", "jpeg"], {"a-0.jpg", "a.json"}),
        (["--name", "{stem}/{index}.webp"], {"a/0.webp", "a-overview.png", "a.json"}),
    ):
        done = tensorhop("shop", "-r", "-o", "shop", *extra, "--max-objects", 1, endpoint=endpoint)
        assert done.exit_code == 0, done.output
        assert "2 photos: 2 " in done.stderr
        wanted = {f"shop/{folder}{name}" for folder in ("", "deep/") for name in names}
        assert tree(here).keys() == wanted | photos.keys()
        assert tree(here).items() >= photos.items()
    assert "left out: 4 of an earlier run (0.webp" not in done.stderr
    again = tensorhop("shop", "-o", "shop", "--json", "--resume", endpoint=endpoint)
    row = json.loads(again.stdout.splitlines()[0])
    assert (row["event"], row["reason"], row["count"]) == ("left_out", "result", 2)


def test_fewer_objects_leave_no_older_ones(here: Path, endpoint: str) -> None:
    photo, boxes = draw(here / "a.jpg"), (*BOX, "--box", "12,12,40,40", "--box", "20,20,50,40")
    (here / "out").mkdir()
    (here / "out" / "a-7.png").write_text("mine")
    for count in (3, 1, 2):
        done = tensorhop(photo, *boxes[: 2 * count], "--save-steps", "steps", endpoint=endpoint)
        assert done.exit_code == 0, done.output
        cutouts = {f"a-{index}.png" for index in range(count)}
        assert tree(here / "out").keys() == {*cutouts, "a-7.png", "a-overview.png", "a.json"}
        assert {path.name for path in (here / "steps" / "a").glob("*-segment.png")} == {
            f"{index}-segment.png" for index in range(count)
        }
        report = json.loads((here / "out" / "a.json").read_text())
        assert {*report["files"]} == cutouts | {"a-overview.png"}


def test_another_photo_of_the_same_name_takes_nothing_over(here: Path, endpoint: str) -> None:
    first, second = draw(here / "x" / "a.jpg"), draw(here / "y" / "a.jpg", "navy")
    assert tensorhop(first, *BOX, endpoint=endpoint).exit_code == 0
    before = tree(here)
    done = tensorhop(second, *BOX)
    assert done.exit_code == 2
    assert "out/a.json is there, and no earlier run wrote it for this photo: a.json is of ../x/a.jpg" in done.stderr
    assert tree(here) == before
    assert tensorhop(second, *BOX, "--overwrite", endpoint=endpoint).exit_code == 0
    assert tree(here / "out").keys() == {"a-0.png", "a-overview.png", "a.json"}


def test_a_label_that_names_somebody_s_file_is_found_when_it_is_known(here: Path, endpoint: str) -> None:
    photos = [draw(here / "a.jpg"), draw(here / "b.jpg", "navy")]
    (here / "out" / "cup").mkdir(parents=True)
    (here / "out" / "cup" / "a-0.png").write_text("mine")
    name = ("--name", "{label}/{stem}-{index}.png")
    lines = "".join(json.dumps({"image": str(photo), "boxes": [[10, 10, 50, 40]]}) + "\n" for photo in photos)
    (here / "m.jsonl").write_text(lines)
    (here / "out" / "cup" / "1-a-0.png").write_text("mine")
    done = tensorhop("--manifest", "m.jsonl", "--prompt", "cup", *name, endpoint=endpoint)
    assert done.exit_code == 1, done.output
    assert "out/cup/1-a-0.png: is there, and no earlier run wrote it" in done.stderr
    assert "ALREADY_EXISTS" in done.stderr
    assert (here / "out" / "cup" / "1-a-0.png").read_text() == "mine"
    assert tree(here / "out").keys() == {
        "cup/a-0.png", "cup/1-a-0.png", "cup/2-b-0.png", "2-b-overview.png", "2-b.json", "results.jsonl"
    }  # fmt: skip
    assert tensorhop("--manifest", "m.jsonl", "--prompt", "cup", endpoint=endpoint).exit_code == 0
    assert "cup/2-b-0.png" not in tree(here / "out")


def test_a_line_with_a_name_that_is_too_long_fails_alone(here: Path, endpoint: str) -> None:
    photo = draw(here / "a.jpg")
    lines = [{"image": f"{'x' * 250}.jpg"}, {"image": str(photo), "boxes": [[10, 10, 50, 40]]}]
    (here / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert tensorhop("--manifest", "m.jsonl", endpoint=endpoint).exit_code == 1
    first, second = map(json.loads, (here / "out" / "results.jsonl").read_text().splitlines())
    assert (first["faults"][0]["code"], second["status"]) == ("INVALID_ARGUMENT", "done")
    assert "at most 255" in first["faults"][0]["message"]
