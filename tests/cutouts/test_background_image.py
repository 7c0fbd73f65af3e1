"""A picture behind the object, through every door: where its pixels lie, and what is refused."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from http_caller import CAT, PHOTOS, call, oval, post
from PIL import Image
from typer.testing import CliRunner

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.orchestrator.cli import app
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.images import decode_image, decode_mask
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult

RED, BLUE = (200, 10, 20), (10, 30, 220)
MASK = decode_mask(oval())
FINISH = Finish(shadow="none", canvas=Size(120, 80))


def halves(width: int = 60, height: int = 40) -> np.ndarray:
    """Red on the left, blue on the right."""
    pixels = np.full((height, width, 3), RED, np.uint8)
    pixels[:, width // 2 :] = BLUE
    return pixels


def encoded(pixels: np.ndarray, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **more)
    return file.getvalue()


def result_of(client: PipelineClient, output: Output, finish: Finish = FINISH, **more: Any) -> ObjectResult:
    events = list(client.process(CAT, masks=[MASK], finish=finish, output=output, **more))
    (result,) = [event for event in events if isinstance(event, ObjectResult)]
    return result


def pixels_of(client: PipelineClient, output: Output, finish: Finish = FINISH, **more: Any) -> np.ndarray:
    result = result_of(client, output, finish, **more)
    assert result.picture is not None
    assert result.picture.region == Region.of(result.placement.canvas)
    return result.picture.pixels


def near(pixel: np.ndarray, colour: tuple[int, ...], most: int = 0) -> bool:
    return int(np.abs(pixel.astype(int) - colour).max()) <= most


@pytest.mark.parametrize("kind", ["array", "bytes", "pillow", "path"])
def test_it_covers_the_canvas_whatever_it_is_given_as(client: PipelineClient, tmp_path: Path, kind: str) -> None:
    pixels = halves()
    (tmp_path / "studio.png").write_bytes(encoded(pixels))
    given = {
        "array": pixels,
        "bytes": encoded(pixels),
        "pillow": Image.fromarray(pixels),
        "path": tmp_path / "studio.png",
    }
    found = pixels_of(client, Output("tensor", background_image=given[kind]))
    assert (found[..., 3] == 255).all()
    assert near(found[1, 1], (*RED, 255))
    assert near(found[-2, -2], (*BLUE, 255))
    plain = pixels_of(client, Output("tensor", background="white"))
    assert near(found[40, 60], tuple(plain[40, 60])), "the object is unchanged"


def test_its_channels_are_in_the_order_of_the_image_s(client: PipelineClient) -> None:
    bgr = cv2.cvtColor(decode_image(CAT), cv2.COLOR_RGB2BGR)
    output = Output("tensor", background_image=halves()[..., ::-1])
    events = list(client.process(bgr, order="bgr", masks=[MASK], finish=FINISH, output=output))
    (result,) = [event for event in events if isinstance(event, ObjectResult)]
    assert result.picture is not None
    assert near(result.picture.pixels[1, 1], (*RED, 255))
    file = Output("tensor", background_image=encoded(halves()))
    events = list(client.process(bgr, order="bgr", masks=[MASK], finish=FINISH, output=file))
    assert near(events[-2].picture.pixels[1, 1], (*RED, 255)), "a file says its own"  # type: ignore[union-attr]


@pytest.mark.parametrize(("background", "beside"), [("", (0, 0, 0, 0)), ("#eee", (238, 238, 238, 255))])
def test_contained_all_of_it_is_in_the_middle_and_the_colour_beside_it(
    client: PipelineClient, background: str, beside: tuple[int, ...]
) -> None:
    output = Output("tensor", background=background, background_image=halves(40, 40), background_fit="contain")
    found = pixels_of(client, output)
    assert (found[:5, :20] == beside).all()
    assert (found[-5:, 100:] == beside).all()
    assert near(found[1, 21], (*RED, 255), 1)
    assert near(found[-2, 98], (*BLUE, 255), 1)


def test_covering_cuts_off_both_sides_alike(client: PipelineClient) -> None:
    wide = np.full((40, 240, 3), 255, np.uint8)
    wide[:, 90:150] = halves()  # the middle, which has the canvas's proportions
    found = pixels_of(client, Output("tensor", background_image=wide))
    assert near(found[2, 10], (*RED, 255), 2)
    assert near(found[2, -11], (*BLUE, 255), 2)
    high = np.full((240, 60, 3), 255, np.uint8)
    high[100:140] = halves()
    found = pixels_of(client, Output("tensor", background_image=high))
    assert near(found[10, 2], (*RED, 255), 2)
    assert near(found[-11, -3], (*BLUE, 255), 2)


def test_it_lies_upright_as_its_file_says(client: PipelineClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    found = pixels_of(client, Output("tensor", background_image=encoded(halves(), exif=exif)))
    assert near(found[1, 1], (*BLUE, 255))


@pytest.mark.parametrize(("encoding", "most"), [("png", 0), ("webp", 12), ("jpeg", 12)])
@pytest.mark.parametrize("level", [None, 6])
def test_files_are_opaque(client: PipelineClient, encoding: str, most: int, level: int | None) -> None:
    if level and encoding != "png":
        return
    result = result_of(client, Output(encoding, png_level=level, background_image=halves()))
    assert result.file is not None
    with Image.open(io.BytesIO(result.file)) as image:
        assert image.mode == "RGB"
        found = np.asarray(image)
    assert found.shape == (80, 120, 3)
    assert near(found[4, 4], RED, most)
    assert near(found[-5, -5], BLUE, most)


def test_quality_counts_for_webp_over_a_picture(client: PipelineClient) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (80, 120, 3), np.uint8)
    files = [result_of(client, Output("webp", quality, background_image=noise)).file for quality in (30, 95)]
    assert files[0] is not None
    assert files[1] is not None
    assert len(files[0]) < 0.6 * len(files[1])


def test_in_place_the_canvas_is_the_photo_and_layers_stay_apart(client: PipelineClient) -> None:
    finish = Finish(shadow="none", center=False, decontaminate=False)
    output = Output("tensor", background_image=halves())
    result = result_of(client, output, finish, return_layers=True)
    assert result.picture is not None
    assert result.cutout is not None
    photo = decode_image(CAT)
    assert result.picture.pixels.shape == (*photo.shape[:2], 4)
    assert np.array_equal(result.picture.pixels[MASK == 255][:, :3], photo[MASK == 255])
    assert (result.cutout.pixels[..., 3] == 0).any(), "the cut-out alone has no background"


def test_under_a_shadow_on_a_backdrop_it_is_the_background(client: PipelineClient) -> None:
    grey = np.full((80, 120, 3), 200, np.uint8)
    finish = Finish(shadow="backdrop", canvas=Size(120, 80), length=0.3)
    found = pixels_of(client, Output("tensor", background_image=grey), finish)
    assert near(found[0, 0], (200, 200, 200, 255), 3), "and not the backdrop's light grey"
    assert (found[..., :3].min(axis=2) < 190).any()


@pytest.mark.parametrize(
    ("picture", "field", "says"),
    [
        (b"", "output.background_image.encoded", "is empty; give the bytes of an image file"),
        (b"no picture", "output.background_image.encoded", "is not an image file; known formats are"),
        (encoded(halves())[:60], "output.background_image.encoded", "is a broken image file"),
        (np.zeros((1, 40_000, 3), np.uint8), "output.background_image.tensor.shape", "at most 32,767"),
    ],
)
def test_what_is_no_picture_is_refused(client: PipelineClient, picture: Any, field: str, says: str) -> None:
    with pytest.raises(ServiceFault) as caught:
        list(client.process(CAT, masks=[MASK], output=Output("tensor", background_image=picture)))
    assert (caught.value.code, caught.value.fault.field) == ("INVALID_ARGUMENT", field)
    assert says in caught.value.fault.message


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (np.full((4, 4, 3), np.nan, np.float32), "is an array of float32; an image is uint8"),
        (np.zeros((4, 4, 2), np.uint8), "has shape [4, 4, 2]"),
        (7, "is a int; give a numpy array"),
    ],
)
def test_the_client_refuses_what_is_no_picture(client: PipelineClient, picture: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.process(CAT, output=Output("tensor", background_image=picture))
    assert caught.value.field == "output.background_image"
    assert says in caught.value.message


def test_http_takes_it_in_a_form_and_in_json(http: str) -> None:
    accept = {"Accept": "image/png"}
    fields = {"canvas": "120x80", "shadow": "none", "background_fit": "contain", "background": "#eee"}
    square = encoded(halves(40, 40))
    masks = [{"encoded": base64.b64encode(oval()).decode()}]
    members = {"image": {"encoded": base64.b64encode(CAT).decode()}, "masks": masks, **fields}
    members["background_image"] = {"encoded": base64.b64encode(square).decode()}
    answers = [
        post(http, fields, masks=[oval()], files={"background_image": square}, headers=accept),
        call(http, "POST", "/process", json.dumps(members), {"Content-Type": "application/json", **accept}),
    ]
    for answer in answers:
        assert answer.status == 200, answer.body
        found = decode_image(answer.body)
        assert near(found[40, 2], (238, 238, 238))
        assert near(found[1, 21], RED, 1)
        assert near(found[-2, 98], BLUE, 1)


@pytest.mark.parametrize(
    ("fields", "files", "field", "says"),
    [
        ({}, {"background_image": b"no picture"}, "output.background_image.encoded", "is not an image file"),
        ({"background_image": "studio.jpg"}, {}, "background_image", "is text; send it as a file"),
        ({}, {"background": b"x"}, "background", "is a file; the only files are image, masks, background_image"),
        ({"background_fit": "fill"}, {}, "background_fit", "it must be one of cover, contain"),
        ({"background": "studio.jpg"}, {}, "output.background", "give a CSS colour name"),
    ],
)
def test_http_refuses(http: str, fields: dict[str, str], files: dict[str, bytes], field: str, says: str) -> None:
    answer = post(http, fields, masks=[oval()], files=files)
    assert answer.status == 400
    assert answer.json["field"] == field
    assert says in answer.json["detail"]


@pytest.mark.parametrize("given", [7, None, {"path": "x"}, {"encoded": "x", "dtype": "y"}, {"encoded": "%"}])
def test_http_refuses_in_json(http: str, given: Any) -> None:
    members = {"image": {"encoded": base64.b64encode(CAT).decode()}, "background_image": given}
    answer = call(http, "POST", "/process", json.dumps(members), {"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.json["field"].startswith("background_image")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mask.png").write_bytes(oval())
    (tmp_path / "studio.png").write_bytes(encoded(halves()))
    return tmp_path


def run(folder: Path, *words: str) -> Any:
    mask = [] if "--manifest" in words else [str(PHOTOS / "cat.jpg"), "--mask", str(folder / "mask.png")]
    command = ["run", *mask, "--canvas", "120x80", "--shadow", "none", "-o", str(folder / "out"), *words]
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, command)


def test_run_takes_a_file(folder: Path) -> None:
    done = run(folder, "--background", str(folder / "studio.png"))
    assert done.exit_code == 0, done.output
    found = decode_image((folder / "out" / "cat-0.png").read_bytes())
    assert near(found[1, 1], RED)
    assert near(found[-2, -2], BLUE)
    report = json.loads((folder / "out" / "cat.json").read_text())
    assert report["options"]["output"]["background_image"].startswith(f"{(folder / 'studio.png').stat().st_size} bytes")
    again = run(folder, "--background", str(folder / "studio.png"), "--resume", "--json")
    assert again.exit_code == 0
    assert '"event": "skipped"' in again.output


def test_a_colour_goes_before_a_file_of_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "red").write_bytes(encoded(halves()))
    assert run(folder, "--background", "red").exit_code == 0
    assert near(decode_image((folder / "out" / "cat-0.png").read_bytes())[-2, -2], (255, 0, 0))
    assert run(folder, "--background", "./red").exit_code == 0
    assert near(decode_image((folder / "out" / "cat-0.png").read_bytes())[-2, -2], BLUE)


def test_a_manifests_file_is_relative_to_it(folder: Path) -> None:
    line = {"image": str(PHOTOS / "cat.jpg"), "boxes": [[20, 10, 440, 300]], "options": {"background": "studio.png"}}
    (folder / "lines.jsonl").write_text(json.dumps(line))
    done = run(folder, "--manifest", str(folder / "lines.jsonl"))
    assert done.exit_code == 0, done.output
    (file,) = (folder / "out").glob("*-0.png")
    assert near(decode_image(file.read_bytes())[1, 1], RED)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("studio.jpg", "studio.jpg: No such file or directory"),
        ("mask.txt", "is not an image file"),
        ("whitish", "give a CSS colour name, #rgb or #rrggbb, transparent, or the file of a picture"),
    ],
)
def test_run_refuses_what_is_neither(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.chdir(folder)
    (folder / "mask.txt").write_text("no picture")
    done = run(folder, "--background", text)
    assert done.exit_code == 2
    assert says in " ".join((done.output + done.stderr).replace("│", " ").split())


@pytest.mark.parametrize("words", [[], ["--overwrite"]])
def test_the_file_is_never_written_over(folder: Path, words: list[str]) -> None:
    studio = folder / "studio.png"
    before = studio.read_bytes()
    done = run(folder, "--background", str(studio), "-o", str(studio), *words)
    assert done.exit_code == 2
    assert "is one of the files that this run reads" in " ".join((done.output + done.stderr).replace("│", " ").split())
    (folder / "out").mkdir()
    inside = folder / "out" / "cat-0.png"
    inside.write_bytes(before)
    done = run(folder, "--background", str(inside), *words)
    assert done.exit_code == 2
    assert studio.read_bytes() == inside.read_bytes() == before
