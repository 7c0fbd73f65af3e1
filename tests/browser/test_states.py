"""What one sees in each state of the page, on a desktop and on a phone: results and problems in view, focus kept."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import RECORD, answer, drop, focused, in_view, paste, resize, settle, shoot, text, until
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

OUT = Path(__file__).parents[2] / "out" / "page"
SIZES = {"desktop": (1280, 757), "phone": (390, 844)}


@pytest.fixture(params=SIZES)
def device(page: WebDriver, request: pytest.FixtureRequest) -> WebDriver:
    """The page, freshly opened, on a screen of a common size."""
    resize(page, *SIZES[request.param])
    page.execute_script("window.device = arguments[0]", request.param)
    return page


def picture_of(page: WebDriver, state: str) -> None:
    """Pictures of what is seen, light and dark."""
    device = page.execute_script("return window.device")
    for scheme in ("light", "dark"):
        resize(page, *SIZES[device], scheme)
        shoot(page, OUT / f"{state}-{device}-{scheme}.png", whole=False)


def check_seen(page: WebDriver, state: str, *selectors: str) -> None:
    picture_of(page, state)
    for selector in selectors:
        assert in_view(page, selector), f"{selector} is out of sight"
    wide = page.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page scrolls sideways"


def problem(page: WebDriver) -> str:
    return str(until(lambda: text(page, "problem"), "the problem"))


def encoded(photo: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, kind)
    return file.getvalue()


def test_at_the_start_all_that_one_needs_is_seen(device: WebDriver) -> None:
    check_seen(device, "start", "#phrases", "#choose", "#sample")
    placeholder, room = device.execute_script(
        "const field = document.getElementById('phrases'), pen = document.createElement('canvas').getContext('2d');"
        "const style = getComputedStyle(field); pen.font = style.font;"
        "return [pen.measureText(field.placeholder).width,"
        " field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)]"
    )
    assert placeholder <= room


@pytest.mark.parametrize(("words", "count"), [("cup", 1), ("cup, cat", 2)])
def test_the_first_cut_out_is_seen_when_it_comes(device: WebDriver, two: bytes, words: str, count: int) -> None:
    device.find_element(By.ID, "phrases").send_keys(words)
    drop(device, two, "two.jpg")
    settle(device)
    assert len(device.find_elements(By.CSS_SELECTOR, "#cards img:not([hidden])")) == count
    check_seen(device, f"results-{count}", "#cards li", "#cards a", "#status", "#phrases", "#stage .canvas")
    assert focused(device) == "phrases", "the focus stays with the one who types"
    clipped = device.execute_script(
        "return [...document.querySelectorAll('button, .button, #name, #size, .label, #status, .choice span')]"
        ".filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth).map((one) => one.textContent)"
    )
    assert clipped == []
    frame = device.execute_script(
        "const edge = document.getElementById('found').getBoundingClientRect();"
        "return [...document.querySelectorAll('#boxes span')].every((one) => { const { left, right, top, bottom } ="
        " one.getBoundingClientRect(); return left >= edge.left - 1 && right <= edge.right + 1"
        " && top >= edge.top - 5 && bottom <= edge.bottom + 5 })"
    )
    assert frame, "a label sticks out of the photo"


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("notes.txt", b"dear diary", "text/plain", "notes.txt is not a photo"),
        ("renamed.jpg", b"dear diary", "image/jpeg", "renamed.jpg is not a photo"),
        ("paper.pdf", b"%PDF-1.7 ...", "application/pdf", "paper.pdf is not a photo"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "drawing.svg is not a photo"),
        ("nothing.png", b"", "image/png", "nothing.png is empty"),
        ("film.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic", "cannot read film.heic"),
    ],
)
def test_a_wrong_file_is_told_by_its_name_and_is_not_sent(
    device: WebDriver, name: str, content: bytes, kind: str, said: str
) -> None:
    device.execute_script(RECORD)
    drop(device, content, name, kind)
    assert said in problem(device)
    assert said in device.find_element(By.ID, "stage").text
    assert device.execute_script("return window.sent") == []
    check_seen(device, f"wrong-{name}", "#problem", "#choose")


def test_a_wrong_file_leaves_what_is_there(device: WebDriver, two: bytes) -> None:
    device.find_element(By.ID, "phrases").send_keys("cup, cat")
    drop(device, two, "two.jpg")
    settle(device)
    drop(device, b"dear diary", "notes.txt", "text/plain")
    assert "notes.txt is not a photo" in problem(device)
    assert text(device, "name") == "two.jpg"
    assert len(device.find_elements(By.CSS_SELECTOR, "#cards img:not([hidden])")) == 2
    check_seen(device, "wrong-beside-results", "#problem", "#photo")


def test_a_file_over_the_servers_limit_is_not_sent(
    device: WebDriver, http_with: Callable[..., str], two: bytes
) -> None:
    device.get(f"http://{http_with(max_upload_bytes=50_000)}/")
    device.execute_script("window.device = innerWidth > 500 ? 'desktop' : 'phone'")
    device.execute_script(RECORD)
    drop(device, two + bytes(40_000), "holiday.jpg")
    said = problem(device)
    assert "holiday.jpg is too large" in said
    assert "At most 48.8 kB can be sent" in said
    assert [one for one in device.execute_script("return window.sent") if one] == []
    check_seen(device, "too-large", "#problem")


@pytest.mark.parametrize(
    ("most", "size", "said"),
    [
        (128 * 2**20, 180 * 2**20, ["180 MB", "128 MB"]),
        (128 * 2**20, 128 * 2**20 + 1, ["128.1 MB", "128 MB"]),
        (1000, 1001, ["1001 bytes", "1000 bytes"]),
        (1, 2, ["2 bytes", "1 byte"]),
    ],
)
def test_sizes_are_told_so_that_one_sees_which_is_larger(
    page: WebDriver, most: int, size: int, said: list[str]
) -> None:
    script = """
    const [most, size, done] = arguments, photo = await import("/photo.js");
    return [photo.size(size, Math.ceil), photo.size(most, Math.floor)];
    """
    assert page.execute_script(f"return (async (...arguments) => {{{script}}})(...arguments)", most, size) == said


BUSY = {"code": "UNAVAILABLE", "detail": "16 requests are being worked on already", "retry_after": 1, "retryable": True}
FULL = {"code": "RESOURCE_EXHAUSTED", "detail": "the queue of detect is full", "step": "detect", "retryable": True}
DOWN = {
    "code": "UNAVAILABLE",
    "detail": "detect: nothing answers at localhost:50052; start it with tensorhop up",
    "step": "detect",
}
PIXELS = {
    "code": "INVALID_ARGUMENT",
    "field": "image.encoded",
    "detail": "image.encoded has 900,000,000 pixels; too many",
}


@pytest.mark.parametrize(
    ("state", "status", "members", "said", "again"),
    [
        ("down", 0, {}, "The server does not answer", True),
        ("busy-503", 503, BUSY, "The server is busy", True),
        ("busy-429", 429, FULL, "The server is busy", True),
        ("detect-down", 503, DOWN, "The service detect does not answer", True),
        ("proxy", 502, {}, "The server is not ready", True),
        ("failed", 500, {"code": "INTERNAL", "detail": "it failed"}, "Something failed on the server", True),
        ("late", 504, {"code": "DEADLINE_EXCEEDED"}, "That took too long", True),
        ("refused", 400, {"code": "INVALID_ARGUMENT", "detail": "rot is 5"}, "The server refused the request", False),
        ("pixels", 400, PIXELS, "two.jpg has 900,000,000 pixels", False),
        ("body", 413, {"code": "RESOURCE_EXHAUSTED"}, "two.jpg is too large", False),
    ],
)
def test_a_request_that_fails_is_told_in_words_in_view(
    device: WebDriver, two: bytes, state: str, status: int, members: dict[str, Any], said: str, again: bool
) -> None:
    answer(device, status, **members)
    drop(device, two, "two.jpg")
    assert said in problem(device)
    assert device.find_element(By.ID, "retry").is_displayed() == again
    check_seen(device, f"problem-{state}", "#problem", "#problem-title")
    details = device.find_element(By.ID, "problem-more")
    if members:
        details.find_element(By.TAG_NAME, "summary").click()
        assert members["code"] in details.text
        assert members.get("field", "") in details.text
    settle(device)


def test_words_that_are_refused_are_told_beside_the_field(device: WebDriver, two: bytes) -> None:
    answer(
        device, 400, code="INVALID_ARGUMENT", field="phrases[0]", parameter="phrases", detail="phrases[0] is too long"
    )
    drop(device, two, "two.jpg")
    assert until(lambda: text(device, "words"), "the words") == "This is too long."
    assert device.find_element(By.ID, "phrases").get_attribute("aria-invalid") == "true"
    assert not device.find_element(By.ID, "problem").is_displayed()
    check_seen(device, "words-refused", "#words")


@pytest.mark.parametrize("words", ["xyzzy", "gizmotron, xyzzy"])
def test_an_unknown_phrase_is_told_beside_the_field(device: WebDriver, two: bytes, words: str) -> None:
    device.find_element(By.ID, "phrases").send_keys(words)
    drop(device, two, "two.jpg")
    settle(device)
    for word in words.split(", "):
        assert f"does not know '{word}'" in text(device, "words")
        assert word not in device.find_element(By.ID, "cards").text
        assert word not in device.find_element(By.ID, "boxes").text
    assert "stands out" in device.find_element(By.ID, "cards").text
    check_seen(device, "unknown-phrase", "#words", "#cards li")


def test_nothing_found_is_told_where_the_cut_outs_would_be(device: WebDriver, two: bytes) -> None:
    device.find_element(By.ID, "phrases").send_keys("zebra")
    drop(device, two, "two.jpg")
    settle(device)
    assert "no “zebra” in this photo" in text(device, "empty")
    check_seen(device, "nothing-found", "#empty")


def test_a_photo_without_a_preview_says_so(device: WebDriver, two: bytes, tmp_path: Path) -> None:
    with Image.open(io.BytesIO(two)) as photo:
        content = encoded(np.asarray(photo), "TIFF")
    device.find_element(By.ID, "phrases").send_keys("cup, cat")
    drop(device, content, "two.tif", "image/tiff")
    settle(device)
    assert "No preview" in text(device, "no-preview")
    check_seen(device, "no-preview", "#no-preview", "#cards li")


def test_what_is_no_file_and_several_files_are_told(device: WebDriver, two: bytes) -> None:
    device.execute_script(
        "const clipboardData = new DataTransfer(); clipboardData.setData('text/plain', 'a cat');"
        "document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }))"
    )
    assert "no picture in the clipboard" in problem(device)
    script = "const [data] = arguments, dataTransfer = new DataTransfer(), bytes = Uint8Array.from(atob(data), (one) =>"
    script += " one.charCodeAt(0)); for (const name of ['a.jpg', 'b.jpg'])"
    script += " dataTransfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));"
    script += " document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))"
    device.execute_script(script, base64.b64encode(two).decode())
    settle_with_photo(device)
    assert "the first of 2 files" in text(device, "size")
    assert not device.find_element(By.ID, "problem").is_displayed()


def settle_with_photo(page: WebDriver) -> None:
    until(lambda: text(page, "name"), "the photo")
    settle(page)


# The focus. Each walk is by keyboard alone.


def tab_to(page: WebDriver, name: str) -> None:
    for _ in range(40):
        if focused(page) == name:
            return
        ActionChains(page).send_keys(Keys.TAB).perform()
    raise AssertionError(f"{name} is not reached by Tab")


def test_the_focus_is_kept_from_the_sample_to_the_cut_out(device: WebDriver) -> None:
    tab_to(device, "sample")
    ActionChains(device).send_keys(Keys.ENTER).perform()
    settle_with_photo(device)
    assert focused(device) == "another"
    ActionChains(device).send_keys(Keys.TAB).perform()
    assert focused(device) != "BODY"


def test_the_focus_is_kept_when_a_file_is_chosen(device: WebDriver, two: bytes, tmp_path: Path) -> None:
    (tmp_path / "chosen.jpg").write_bytes(two)
    (tmp_path / "notes.txt").write_bytes(b"dear diary")
    tab_to(device, "choose")
    device.find_element(By.ID, "file").send_keys(str(tmp_path / "notes.txt"))
    problem(device)
    assert focused(device) == "choose"
    device.find_element(By.ID, "file").send_keys(str(tmp_path / "chosen.jpg"))
    settle_with_photo(device)
    assert text(device, "name") == "chosen.jpg"
    assert focused(device) == "another"


def test_the_focus_is_kept_when_cards_and_views_vanish(device: WebDriver, two: bytes) -> None:
    device.find_element(By.ID, "phrases").send_keys("cup, cat")
    drop(device, two, "two.jpg")
    settle(device)
    card = device.find_element(By.CSS_SELECTOR, "#cards .picture")
    card.send_keys(Keys.ENTER)
    assert focused(device).startswith("Compare ")
    paste(device, two, "again.jpg")  # its card vanishes
    until(lambda: text(device, "name") == "again.jpg", "the photo")
    assert focused(device) == "all"
    settle(device)
    device.find_element(By.CSS_SELECTOR, "#cards .picture").click()
    device.find_element(By.ID, "divider").send_keys(Keys.ARROW_LEFT)
    assert focused(device) == "divider"
    paste(device, two, "third.jpg")  # and with it the comparison
    until(lambda: text(device, "name") == "third.jpg", "the photo")
    assert focused(device) not in ("BODY", "divider")
    settle(device)
    tab_to(device, "all")
    ActionChains(device).send_keys(Keys.ENTER).perform()
    assert focused(device) == "all", "although it can do nothing until its file has come"


def test_the_focus_is_kept_from_a_problem_to_its_end(device: WebDriver, two: bytes) -> None:
    device.execute_script("window.real = window.fetch")
    device.find_element(By.ID, "phrases").send_keys("cup, cat")
    answer(device, 503, **BUSY)
    drop(device, two, "two.jpg")
    problem(device)
    assert focused(device) == "phrases", "a problem takes no focus from typing"
    tab_to(device, "retry")
    device.execute_script("window.fetch = window.real")
    ActionChains(device).send_keys(Keys.ENTER).perform()
    settle_with_photo(device)
    until(lambda: device.find_elements(By.CSS_SELECTOR, "#cards img:not([hidden])"), "the cut-outs")
    assert focused(device) == "another"


def test_a_cancelled_token_question_is_a_problem_that_can_be_tried_again(device: WebDriver, two: bytes) -> None:
    answer(device, 401, code="UNAUTHENTICATED", detail="http wants a token")
    tab_to(device, "phrases")
    drop(device, two, "two.jpg")
    until(lambda: focused(device) == "ask-token", "the question")
    check_seen(device, "token", "#ask")
    ActionChains(device).send_keys(Keys.ESCAPE).perform()
    assert "This server needs a token" in problem(device)
    assert focused(device) == "phrases"
    tab_to(device, "retry")
    ActionChains(device).send_keys(Keys.ENTER).perform()
    until(lambda: focused(device) == "ask-token", "the question again")
    device.find_element(By.ID, "ask-cancel").click()
    assert "This server needs a token" in problem(device)
    assert focused(device) != "BODY"


def test_progress_is_shown_and_read_out(device: WebDriver, two: bytes) -> None:
    rows = [
        {
            "index": n,
            "label": f"object of a long name {n}",
            "phrase_index": 0,
            "score": 0.5,
            "box": [n * 90, 20, n * 90 + 85, 300],
        }
        for n in range(12)
    ]
    data = json.dumps({"detections": rows, "warnings": []})
    device.execute_script(
        "const [data] = arguments, body = new ReadableStream({ start: (out) => out.enqueue(new TextEncoder().encode("
        "`event: detections\\ndata: ${data}\\n\\n`)) }); window.fetch = async () => new Response(body)",
        data,
    )
    drop(device, two, "two.jpg")
    until(lambda: text(device, "status") == "12 found, 0 finished", "the status")
    boxes = until(lambda: device.find_elements(By.CLASS_NAME, "box"), "the boxes, although the answer came first")
    assert len({box.rect["x"] for box in boxes}) == 12
    assert device.find_element(By.ID, "status").get_attribute("role") == "status"
    check_seen(device, "progress-12", "#status", "#cards li")
