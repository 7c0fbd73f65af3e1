"""The page at /: its files, which lie in the folder page beside this module."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import blake3
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tensorhop.web.accept import choose

FOLDER = Path(__file__).parent / "page"
HTML, TEXT = "text/html", "text/plain"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}


def routes(front: str) -> list[Route]:
    """A route for each file, and / for index.html. Who does not ask for HTML there, as curl, gets the text `front`."""
    files = {path.name: file_endpoint(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}
    page = files.pop("index.html")

    async def index(request: Request) -> Response:
        wanted = choose(", ".join(request.headers.getlist("accept")), (TEXT, HTML))
        response = await page(request) if wanted == HTML else PlainTextResponse(front)
        response.headers["Vary"] = "Accept"
        return response

    return [Route("/", index), *(Route(f"/{name}", endpoint) for name, endpoint in files.items())]


def file_endpoint(path: Path) -> Callable[[Request], Awaitable[Response]]:
    """Answers a file, or that the one the browser keeps is still good: it asks each time, so no version is mixed."""
    content = path.read_bytes()
    tag = f'"{blake3.blake3(content).hexdigest(16)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Cross-Origin-Resource-Policy": "same-origin"}

    async def endpoint(request: Request) -> Response:
        known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
        if tag in known:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=TYPES[path.suffix])

    return endpoint
