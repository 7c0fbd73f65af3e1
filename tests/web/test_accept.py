"""Which answer a caller gets."""

import pytest

from tensorhop.web.accept import OFFERS, choose


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("image/webp", "image/webp"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("application/json;q=0.5, image/jpeg", "image/jpeg"),
        ("application/json;q=0.5, */*;q=0.4", "application/json"),
        ("image/*;q=0.9, image/png;q=0.1", "image/webp"),  # the more specific range counts, whatever its weight
        ("*/*, application/json;q=0", "image/png"),
        ("application/zip ; q=1.0", "application/zip"),
        ("text/html, application/xhtml+xml, image/webp, */*;q=0.8", "image/webp"),  # as a browser asks
        ("text/event-stream", "text/event-stream"),
        ("text/html", None),
        ("image/png;q=0", None),
        ("image/png;q=high", None),
        (",,;", None),
    ],
)
def test_the_best_offer_is_chosen(accept: str, chosen: str | None) -> None:
    assert choose(accept, OFFERS) == chosen
