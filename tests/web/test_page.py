"""The page's files: how they are served, and that they are safe and complete. tests/browser sees them at work."""

import re

import pytest
from http_caller import PHOTOS, call

from tensorhop.web.page import FOLDER

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SOURCES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".html", ".css", ".js", ".svg"))


def test_a_browser_gets_the_page_under_a_strict_policy(http: str) -> None:
    answer = call(http, "GET", "/", headers=HTML)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"


def test_others_get_words(http: str) -> None:
    answer = call(http, "GET", "/", headers={"Accept": "*/*"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"POST /process" in answer.body


def test_every_file_that_a_file_names_is_served(http: str) -> None:
    named = set(re.findall(r'(?:href|src)="(/[^"]*)"', (FOLDER / "index.html").read_text()))
    for path in FOLDER.glob("*.js"):
        named |= {f"/{name}" for name in re.findall(r'from "\./([^"]+)"', path.read_text())}
        named |= set(re.findall(r'fetch\("(/[a-z.]+\.[a-z]+)"', path.read_text()))
    assert {"/style.css", "/app.js", "/api.js", "/sample.jpg", "/openapi.json"} <= named
    for name in named:
        assert call(http, "GET", name).status == 200, name
    assert call(http, "GET", "/app.js").headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_browser_asks_whether_its_copy_is_good(http: str) -> None:
    first = call(http, "GET", "/style.css")
    assert first.headers["cache-control"] == "no-cache"
    again = call(http, "GET", "/style.css", headers={"If-None-Match": f'"old", W/{first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert call(http, "GET", "/style.css", headers={"If-None-Match": '"old"'}).body == first.body


@pytest.mark.parametrize("path", ["/page.py", "/../app.py", "/%2e%2e/app.py", "/page/index.html", "/NOTICE"])
def test_no_other_file_is_served(http: str, path: str) -> None:
    assert call(http, "GET", path).status == 404


def test_the_sample_is_a_photo_of_the_examples(http: str) -> None:
    assert call(http, "GET", "/sample.jpg").body == (PHOTOS / "coffee.jpg").read_bytes()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_read_as_html_or_taken_from_elsewhere(path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?:|//\w|@import", text)
    assert [one for one in found if not (path.suffix == ".js" and one.startswith("//"))] == []
    if path.suffix == ".html":
        assert not re.findall(r"\s(?:style|on[a-z]+)=|<style|<script>", text), "the policy would stop it"
