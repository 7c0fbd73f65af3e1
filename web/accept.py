"""Content negotiation: which of the answers that are possible a caller likes best (RFC 9110, 12.5.1)."""

import re
from collections.abc import Sequence

JSON, ZIP, EVENTS, TENSOR = "application/json", "application/zip", "text/event-stream", "application/octet-stream"
MULTIPART, LINES = "multipart/form-data", "application/x-ndjson"
PICTURES = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
OFFERS = (JSON, *PICTURES.values(), ZIP, EVENTS, TENSOR)  # in the order that decides among equals
WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def choose(accept: str, offers: Sequence[str]) -> str | None:
    """The offer of the highest q-value, None if all are refused. The most specific range that fits an offer counts."""
    ranges = dict(_ranges(accept)) if accept.strip() else {"*/*": 1.0}
    best, weight = None, 0.0
    for offer in offers:
        kind = offer.partition("/")[0]
        q = next((ranges[name] for name in (offer, f"{kind}/*", "*/*") if name in ranges), 0.0)
        if q > weight:
            best, weight = offer, q
    return best


def _ranges(accept: str) -> list[tuple[str, float]]:
    """Media ranges with their q-values. A q-value that is none counts as 0: nobody knows what was meant."""
    found = []
    for entry in accept.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        q = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                q = float(value) if WEIGHT.fullmatch(value.strip()) else 0.0
        if name:
            found.append((name, q))
    return found
