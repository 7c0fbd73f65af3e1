"""The tables of docs/http.md are whole."""

import re
from pathlib import Path

from tensorhop.settings import Settings
from tensorhop.web.cutouts.parameters import PARAMETERS
from tensorhop.web.problem import STATUSES
from tensorhop.web.services.old_routes import FIELDS, OLD_ROUTES
from tensorhop.web.services.operations import PICTURES_OUT

FROM_PATHS = (Path(__file__).parents[2] / "docs" / "from-paths.md").read_text()
HTTP = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def test_the_old_names_are_told() -> None:
    for old, new in [*FIELDS.items(), *(pair for route in OLD_ROUTES for pair in route.fields.items())]:
        assert re.search(rf"^\|[^|]*`{old}`[^|]*\| `{new}`", FROM_PATHS, re.MULTILINE), old
    for option in PICTURES_OUT:
        assert f"| `{option.http_name}` |" in FROM_PATHS


def test_the_tables_are_whole() -> None:
    for name in PARAMETERS:
        assert f"`{name}`" in HTTP
    for code, status in STATUSES.items():
        assert re.search(rf"{code}\b[^|]*\| {status}\b", HTTP), code
    for name in ("max_upload_bytes", "max_upload_seconds", "max_requests"):
        default = Settings.model_fields[name].default
        assert re.search(rf"`TENSORHOP_{name.upper()}` \| {default:g} ".replace("1.34218e+08", "134217728"), HTTP)
