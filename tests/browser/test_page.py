"""The page in a real browser, with real services behind it. `make test-web` runs it; pictures go to out/page."""

import io
import zipfile
from pathlib import Path

import pytest
from driving import (
    RECORD,
    WATCH,
    drop,
    focused,
    keys,
    paste,
    press,
    requests,
    resize,
    settle,
    shoot,
    steps,
    text,
    until,
)
from PIL import Image, ImageOps
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.web.serve import HttpServer

OUT = Path(__file__).parents[2] / "out" / "page"
ONLY_POSTPROCESS = {"describe": (0, 0), "detect": (0, 1), "segment": (0, 2), "postprocess": (2, 0)}


@pytest.fixture
def finished(page: WebDriver, two: bytes) -> WebDriver:
    """The page with a cup and a cat cut out."""
    page.find_element(By.ID, "phrases").send_keys("cup, cat")
    drop(page, two, "two.jpg")
    settle(page)
    assert len(pictures(page)) == 2, text(page, "results")
    return page


def pictures(page: WebDriver) -> list[str]:
    """The addresses of the cut-outs that are there."""
    return [str(one.get_attribute("src")) for one in page.find_elements(By.CSS_SELECTOR, "#cards img:not([hidden])")]


def mirrored(photo: bytes) -> bytes:
    file = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(photo))).save(file, "JPEG")
    return file.getvalue()


def allow_downloads(page: WebDriver, folder: Path) -> None:
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})


def downloaded(folder: Path, name: str) -> bytes:
    file = folder / name
    until(lambda: file.exists() and file.stat().st_size, f"{name}; there is {[one.name for one in folder.iterdir()]}")
    return file.read_bytes()


def test_boxes_and_objects_appear_one_after_the_other(page: WebDriver, two: bytes) -> None:
    page.execute_script(WATCH)
    page.find_element(By.ID, "phrases").send_keys("cup, cat")
    drop(page, mirrored(two), "two.jpg")  # which no other test has put into the cache
    settle(page)
    assert {row.text for row in page.find_elements(By.CSS_SELECTOR, "#cards .label")} == {"cup", "cat"}
    assert len(page.find_elements(By.CSS_SELECTOR, ".box.done")) == 2
    seen = page.execute_script("return window.seen")
    assert [0, 2] in seen, "boxes come before the first object"
    assert [1, 1] in seen, "the first object comes before the last is done"
    until(lambda: page.execute_script("return String(window.seen.at(-1))") == "2,0", "both")
    assert text(page, "status").startswith("2 cut-outs in ")
    assert steps(page) == {"describe": (0, 0), "detect": (1, 0), "segment": (1, 0), "postprocess": (2, 0)}


def test_without_words_the_photo_is_described(page: WebDriver) -> None:
    page.find_element(By.ID, "sample").click()
    until(lambda: pictures(page), "a cut-out")
    settle(page)
    assert "cup" in text(page, "steps")
    assert text(page, "name") == "sample.jpg"


def test_only_postprocess_runs_again_when_the_dial_turns(finished: WebDriver) -> None:
    page, before = finished, pictures(finished)
    page.execute_script(RECORD)
    dial = page.find_element(By.ID, "dial")
    keys(page, "ArrowRight", 9)
    assert dial.get_attribute("aria-valuenow") == "105"
    assert dial.get_attribute("aria-valuetext") == "105 degrees, to the right"
    settle(page)
    assert steps(page) == ONLY_POSTPROCESS
    assert "from the cache" in text(page, "steps")
    assert not set(before) & set(pictures(page))
    assert page.execute_script("return window.sent.map(({ body }) => body.get('rot'))") == ["105"], (
        "nine steps, one request"
    )
    dial.send_keys(Keys.ARROW_LEFT)
    assert dial.get_attribute("aria-valuenow") == "100"
    ActionChains(page).move_to_element_with_offset(dial, -50, 0).click().perform()
    assert dial.get_attribute("aria-valuenow") == "270"
    settle(page)
    assert steps(page) == ONLY_POSTPROCESS


def test_the_dial_turns_the_shadow_on_a_backdrop(finished: WebDriver) -> None:
    press(finished, "shadow=backdrop")
    settle(finished)
    assert finished.find_element(By.ID, "no-ground").text == "Light grey"
    assert finished.find_element(By.ID, "dial").get_attribute("aria-disabled") == "false"
    before = pictures(finished)
    finished.execute_script(RECORD)
    keys(finished, "ArrowRight", 9)
    settle(finished)
    sent = finished.execute_script("return window.sent.map(({ body }) => [body.get('shadow'), body.get('rot')])")
    assert sent == [["backdrop", "105"]]
    assert not set(before) & set(pictures(finished))
    press(finished, "shadow=cast")
    settle(finished)
    assert finished.find_element(By.ID, "no-ground").text == "Transparent"


def test_the_dial_turns_a_learned_shadow_and_a_server_without_a_network_says_so(finished: WebDriver) -> None:
    press(finished, "shadow=learned")
    settle(finished)
    assert finished.find_element(By.ID, "dial").get_attribute("aria-disabled") == "false"
    assert "--shadow-model" in finished.find_element(By.CSS_SELECTOR, "#cards .failed .hint").text
    finished.execute_script(RECORD)
    keys(finished, "ArrowRight", 9)
    settle(finished)
    sent = finished.execute_script("return window.sent.map(({ body }) => [body.get('shadow'), body.get('rot')])")
    assert sent == [["learned", "105"]]
    press(finished, "shadow=cast")
    settle(finished)
    assert not finished.find_elements(By.CSS_SELECTOR, "#cards .failed")


def test_a_picture_lies_behind(finished: WebDriver, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (10, 200, 30)).save(tmp_path / "studio.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    press(finished, "ground=picture", "format=png")
    file = finished.find_element(By.ID, "ground-file")
    assert file.is_displayed()
    settle(finished)
    before = pictures(finished)
    finished.execute_script(RECORD)
    file.send_keys(str(tmp_path / "studio.png"))
    until(lambda: finished.execute_script("return window.sent.length"), "a request")
    settle(finished)
    sent = finished.execute_script(
        "return window.sent.map(({ body }) => [body.get('background_image').name, body.get('background_fit')])"
    )
    assert sent == [["studio.png", "cover"]]
    assert not set(before) & set(pictures(finished))
    assert steps(finished) == ONLY_POSTPROCESS
    file.send_keys(str(tmp_path / "broken.png"))
    until(lambda: finished.find_element(By.ID, "problem").is_displayed(), "a problem")
    assert text(finished, "problem-title") == "The background cannot be used"
    press(finished, "ground=")
    settle(finished)
    assert not file.is_displayed()


def test_the_last_choice_wins(finished: WebDriver) -> None:
    press(finished, "format=webp", "shadow=none", "center=false")
    settle(finished)
    finished.execute_script(RECORD)
    press(finished, "format=webp", "format=jpeg")
    until(lambda: finished.execute_script("return window.sent.length"), "a request")
    press(finished, "shadow=contact")
    settle(finished)
    assert finished.execute_script("return window.sent.map(({ signal }) => signal.aborted)") == [True, False]
    assert {one.text for one in finished.find_elements(By.CSS_SELECTOR, "#cards a")} == {"↓ JPEG"}
    assert not finished.find_element(By.ID, "problem").is_displayed()
    assert finished.find_element(By.CSS_SELECTOR, "[name=ground][value=white]").is_selected()
    assert finished.find_element(By.ID, "dial").get_attribute("aria-disabled") == "true"


@pytest.mark.parametrize(
    ("choice", "suffix", "mode"), [("png", "png", "RGBA"), ("webp", "webp", "RGBA"), ("jpeg", "jpg", "RGB")]
)
def test_a_download_is_a_valid_picture(
    finished: WebDriver, tmp_path: Path, choice: str, suffix: str, mode: str
) -> None:
    allow_downloads(finished, tmp_path)
    press(finished, f"format={choice}")
    settle(finished)
    finished.find_element(By.CSS_SELECTOR, "#cards a").click()
    with Image.open(io.BytesIO(downloaded(tmp_path, f"two-0.{suffix}"))) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == (choice.upper(), mode, (1024, 1024))


def test_all_come_in_one_archive(finished: WebDriver, tmp_path: Path) -> None:
    allow_downloads(finished, tmp_path)
    finished.find_element(By.ID, "all").click()
    with zipfile.ZipFile(io.BytesIO(downloaded(tmp_path, "two.zip"))) as archive:
        assert set(archive.namelist()) == {"0.png", "1.png", "summary.json"}
        assert archive.testzip() is None


def test_before_and_after_are_compared_by_keyboard(finished: WebDriver) -> None:
    card = finished.find_element(By.CSS_SELECTOR, "#cards .picture")
    card.send_keys(Keys.ENTER)
    assert finished.find_element(By.ID, "compare").is_displayed()
    assert card.get_attribute("aria-pressed") == "true"
    divider = finished.find_element(By.ID, "divider")
    divider.send_keys(Keys.ARROW_RIGHT * 3)
    assert divider.get_attribute("value") == "53"
    assert finished.execute_script("return document.getElementById('compare').style.getPropertyValue('--at')") == "53%"


def test_a_file_that_is_no_photo_is_refused_in_words(page: WebDriver) -> None:
    drop(page, b"dear diary", "notes.txt", "text/plain")
    alert = page.find_element(By.CSS_SELECTOR, "[role=alert]")
    until(lambda: alert.text, "the problem")
    assert "notes.txt is not a photo" in alert.text
    assert "JPEG, PNG, WebP" in alert.text
    assert not page.find_elements(By.CSS_SELECTOR, "#cards li")


def test_a_photo_that_the_browser_cannot_show_is_cut_out(page: WebDriver, two: bytes) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(two)).save(file, "TIFF")
    page.find_element(By.ID, "phrases").send_keys("cup, cat")
    drop(page, file.getvalue(), "two.tif", "image/tiff")
    settle(page)
    assert len(pictures(page)) == 2
    assert "cannot show" in text(page, "no-preview")


def test_an_answer_that_breaks_off_is_told(page: WebDriver, two: bytes) -> None:
    page.execute_script("window.fetch = async () => new Response('event: detections\\ndata: {\"detections\": [], ')")
    drop(page, two)
    assert "does not answer" in until(lambda: text(page, "problem-title"), "the problem")


def test_names_and_labels_are_never_html(page: WebDriver, two: bytes) -> None:
    name = "<img src=x onerror=document.title='owned'>.jpg"
    page.find_element(By.ID, "phrases").send_keys("<b>cat</b>")
    paste(page, two, name)
    settle(page)
    assert text(page, "name") == name
    assert not page.find_elements(By.CSS_SELECTOR, "#name *, #words *, #cards b, #boxes b")
    press(page, "center=false")
    settle(page)
    assert page.title == "Tensorhop"


def test_it_fits_a_phone_and_stays_with_its_own_host(finished: WebDriver, http: str) -> None:
    finished.execute_script("document.activeElement.blur()")
    for width, height in ((1280, 900), (360, 740)):
        for scheme in ("light", "dark"):
            resize(finished, width, height, scheme)
            shoot(finished, OUT / f"{width}-{scheme}.png")
            shown, all_of_it = finished.execute_script(
                "const { clientWidth, scrollWidth } = document.documentElement; return [clientWidth, scrollWidth]"
            )
            assert all_of_it == shown <= width, "nothing sticks out"
    finished.find_element(By.CSS_SELECTOR, "#cards .picture").click()
    shoot(finished, OUT / "360-compare.png")
    assert all(one.startswith((f"http://{http}/", f"blob:http://{http}/")) for one in requests(finished))
    assert [row for row in finished.get_log("browser") if row["level"] in ("SEVERE", "WARNING")] == []


def test_every_control_has_a_name_and_is_reached_by_tab(finished: WebDriver) -> None:
    names = []
    for _ in range(40):  # more than there are; after the last, the focus leaves the page and comes back
        names.append(finished.switch_to.active_element.accessible_name)
        finished.switch_to.active_element.send_keys(Keys.TAB)
    wanted = {"What to look for", "Cut out", "Another photo", "Download all", "Where the shadow falls, in degrees"}
    assert wanted | {"Found", "Cast", "Transparent", "Centred", "PNG"} <= set(names)


def test_a_token_is_asked_for_once(chromium: WebDriver, servers: dict[str, Server], two: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("secret")
    front = HttpServer("127.0.0.1:0", servers["pipeline"].address, security=Security(token_file=str(file)))
    try:
        chromium.get(f"http://{front.address}/")
        chromium.find_element(By.ID, "phrases").send_keys("cup, cat")
        chromium.find_element(By.ID, "sample").click()
        for token, said in (("wrong", "operator"), ("secret", "did not take")):
            until(lambda said=said: said in text(chromium, "ask-text"), "the question")
            assert focused(chromium) == "ask-token"
            chromium.find_element(By.ID, "ask-token").send_keys(token + Keys.ENTER)
        settle(chromium)
        assert focused(chromium) == "another", "where the focus was before, there is nothing any more"
        assert len(pictures(chromium)) == 1
        drop(chromium, two)
        until(lambda: text(chromium, "name") == "photo.jpg", "the photo")
        settle(chromium)
        assert len(pictures(chromium)) == 2
    finally:
        front.stop(1).wait()
