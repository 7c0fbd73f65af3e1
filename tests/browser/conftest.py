"""A headless Chromium, and a photo of two objects. `make test-web` installs what this needs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from driving import resize
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.exit("Chromium and its driver are missing; on Debian: apt-get install chromium chromium-driver", 1)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Service(driver)) as running:
        yield running


@pytest.fixture
def page(chromium: WebDriver, http: str) -> WebDriver:
    """The page, freshly opened, 1280 pixels wide."""
    resize(chromium, 1280)
    chromium.get(f"http://{http}/")
    chromium.get_log("browser")
    return chromium


@pytest.fixture(scope="session")
def two() -> bytes:
    """A cup and a cat side by side, as a JPEG file."""
    cup, cat = (cv2.imread(str(PHOTOS / f"{name}.jpg")) for name in ("coffee", "cat"))
    cat = cv2.resize(cat, (600, 400), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", np.hstack([cup, cat]))[1].tobytes()
