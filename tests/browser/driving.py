"""What the tests do to the page, and what they read from it."""

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

SECONDS = 120  # in which the page must be where a test wants it, on a slow machine too
GIVE = """
const [kinds, name, type, data] = arguments;
const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], name, { type }));
const options = { dataTransfer, clipboardData: dataTransfer, bubbles: true, cancelable: true };
const Kind = kinds[0] === "paste" ? ClipboardEvent : DragEvent;
for (const kind of kinds) document.getElementById("stage").dispatchEvent(new Kind(kind, options));
"""
# Looks again and again how many objects are there and how many are waited for. A timer: what comes in one piece of the
# answer is handled without a pause in which it could look.
WATCH = """
window.seen = [];
setInterval(() => {
  const state = [
    document.querySelectorAll("#cards img:not([hidden])").length, document.querySelectorAll("#cards .waiting").length,
  ];
  if (String(state) !== String(window.seen.at(-1))) window.seen.push(state);
}, 5);
"""
IN_VIEW = """
const element = document.querySelector(arguments[0]), { top, left, bottom, right } = element.getBoundingClientRect();
const frames = [{ top: 0, left: 0, bottom: innerHeight, right: innerWidth }];
for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) {
  if (getComputedStyle(at).overflow !== "visible") frames.push(at.getBoundingClientRect());
}
const within = (one) =>
  top >= one.top - 1 && left >= one.left - 1 && bottom <= one.bottom + 1 && right <= one.right + 1;
return bottom > top && frames.every(within);
"""
# Keeps what is sent: its form, and whether it was aborted.
RECORD = """
const { fetch } = window;
window.sent = [];
window.fetch = (address, options) => (window.sent.push(options), fetch(address, options));
"""


def drop(page: WebDriver, content: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> None:
    """Drops a file on the stage, as a hand would."""
    page.execute_script(GIVE, ["dragenter", "dragover", "drop"], name, kind, base64.b64encode(content).decode())


def paste(page: WebDriver, content: bytes, name: str) -> None:
    page.execute_script(GIVE, ["paste"], name, "image/jpeg", base64.b64encode(content).decode())


def press(page: WebDriver, *choices: str) -> None:
    """Chooses radio buttons, "format=webp", without waiting between them."""
    script = "for (const one of arguments) { const [name, value] = one.split('=');"
    script += "document.querySelector(`[name='${name}'][value='${value}']`).click(); }"
    page.execute_script(script, *choices)


def keys(page: WebDriver, name: str, times: int) -> None:
    """Presses a key on the dial, many times at once."""
    script = "for (let at = 0; at < arguments[1]; at++) "
    script += "document.getElementById('dial').dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0] }))"
    page.execute_script(script, name, times)


def until(what: Callable[[], Any], name: str) -> Any:
    """Waits until something is true, and gives it."""
    deadline = time.monotonic() + SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, f"did not come: {name}"
        time.sleep(0.05)
    return found


def settle(page: WebDriver) -> None:
    """Waits until the page has nothing under way, and nothing that it is about to send."""
    until(lambda: not page.find_elements(By.CSS_SELECTOR, "[aria-busy]"), f"an end; {text(page, 'status')!r}")


def requests(page: WebDriver) -> list[str]:
    """The addresses of everything that the page has asked for."""
    return page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")


def text(page: WebDriver, name: str) -> str:
    return page.find_element(By.ID, name).text


def resize(driver: WebDriver, width: int, height: int = 900, scheme: str = "light") -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    # Without motion a picture catches nothing half-way.
    features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]
    media = {"features": [{"name": name, "value": value} for name, value in features]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def steps(page: WebDriver) -> dict[str, tuple[int, int]]:
    """How often each step was called, and how often the cache answered instead."""
    rows = page.find_elements(By.CSS_SELECTOR, "#steps li")
    return {
        str(row.get_attribute("data-step")): (
            int(row.get_attribute("data-calls") or 0),
            int(row.get_attribute("data-cached") or 0),
        )
        for row in rows
    }


def in_view(page: WebDriver, selector: str) -> bool:
    """Whether the whole of an element is within the viewport, and within all that would clip it."""
    return bool(page.execute_script(IN_VIEW, selector))


def focused(page: WebDriver) -> str:
    """The control that has the focus, by its id or text; "BODY" if it was lost."""
    script = "const { id, ariaLabel, textContent, tagName } = document.activeElement;"
    script += "return tagName === 'BODY' ? tagName : id || ariaLabel || textContent || tagName"
    return str(page.execute_script(script))


def answer(page: WebDriver, status: int, **members: Any) -> None:
    """From now on the page gets this problem, with status 0 no answer at all."""
    script = (
        "const [status, body] = arguments; window.fetch = async () => { if (!status) throw new TypeError('refused');"
    )
    script += "return new Response(body, { status, headers: { 'Content-Type': 'application/problem+json' } }) }"
    page.execute_script(script, status, json.dumps({"status": status, **members}))


def shoot(page: WebDriver, path: Path, whole: bool = True) -> None:
    """The whole page, or what is seen of it, as a PNG file of 256 colours."""
    size = page.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    beyond = {"captureBeyondViewport": True, "clip": clip} if whole else {}
    shot = page.execute_cdp_cmd("Page.captureScreenshot", beyond)
    picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
