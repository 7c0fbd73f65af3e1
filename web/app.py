"""The HTTP application: its routes, and the headers that every answer has."""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.client.remotes import Remotes
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.health import why_not_ready
from tensorhop.rpc.security import Security
from tensorhop.rpc.tokens import Tokens
from tensorhop.settings import Settings
from tensorhop.web import page
from tensorhop.web.connect.routes import READ, SENT, connect_routes
from tensorhop.web.cutouts.answers import CANVAS, REGION
from tensorhop.web.cutouts.process import Process
from tensorhop.web.endpoint import REQUEST_ID, TIMEOUT, readable_id
from tensorhop.web.jobs.routes import KEY, LAST, job_routes
from tensorhop.web.openapi import describe
from tensorhop.web.problem import Refused, problem
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.upload import DTYPE, SHAPE, most_bytes
from tensorhop.web.services.routes import service_routes

PIPELINE = "pipeline"  # the name of the chain of cut-outs
READY_SECONDS = 2.0  # in which the pipeline must say that it is ready
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
FRONT = """Tensorhop: photo in, finished object cut-outs out.

GET  /              a page for the browser
POST /process       a photo as a form (image=@photo.jpg), JSON or a raw tensor
POST /upscale, /quality, /preprocess, /interpolate, /views
                    pictures or panoramas by path too, for one service or the chain of views
POST /jobs          the same as a job that runs later; GET /jobs/ID, /jobs/ID/results
POST /tensorhop.v1.DetectService/Detect
                    every method of every service, in JSON
GET  /openapi.json  all parameters and answers
GET  /healthz       this server lives
GET  /readyz        the pipeline behind it serves, and finds all its steps

curl --fail -F image=@photo.jpg -H 'Accept: image/png' -o cutout.png http://HOST:PORT/process
"""


class Application:
    """Everything that answers, and the connections behind it."""

    def __init__(
        self,
        pipeline: str,
        services: Mapping[str, str],
        origins: Sequence[str],
        security: Security,
        settings: Settings,
        multipart: bool = False,
    ) -> None:
        self._remotes = Remotes({**services, PIPELINE: pipeline}, security, settings)
        # No retries: our own caller is told when to come again, instead of holding one of the few places until then.
        self._client = PipelineClient(pipeline, security=security, settings=settings, retry=False)
        self._channel = open_channel(pipeline, security=security, settings=settings)
        tokens = Tokens(security.token_file) if security.token_file else None
        admission = Admission(settings, origins, tokens)
        self._most_bytes = most_bytes(settings)
        middleware = [Middleware(Fixed)]
        if origins:
            shared = Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", REQUEST_ID, TIMEOUT, DTYPE, SHAPE, KEY, LAST, *SENT],
                expose_headers=["Location", REQUEST_ID, DTYPE, SHAPE, REGION, CANVAS, "Retry-After", *READ],
            )
            middleware.append(shared)
        self.app = Starlette(
            routes=[
                *page.routes(FRONT),
                Route("/process", Process(admission, self._client, multipart), methods=["POST"]),
                *service_routes(admission, self._remotes),
                *job_routes(admission, self._remotes),
                *connect_routes(admission, self._remotes),
                Route("/openapi.json", self.openapi),
                Route("/healthz", healthz),
                Route("/readyz", self.readyz),
            ],
            middleware=middleware,
            exception_handlers={HTTPException: refused},
        )

    def close(self) -> None:
        self._client.close()
        self._remotes.close()
        self._channel.close()

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(describe(self._most_bytes))

    async def readyz(self, request: Request) -> Response:
        """Whether the pipeline can do its work; if not, which of its steps is missing."""
        reason = await asyncio.to_thread(why_not_ready, self._channel, READY_SECONDS)
        return (
            not_ready(request, f"the pipeline is not ready: {reason}") if reason else JSONResponse({"status": "ready"})
        )


def not_ready(request: Request, message: str) -> Response:
    return problem(Refused(503, "UNAVAILABLE", message, 1.0), id_of(request))


async def healthz(request: Request) -> Response:
    return JSONResponse({"status": "live"})


async def refused(request: Request, error: Exception) -> Response:
    """What the router refuses: an unknown path, or a method."""
    assert isinstance(error, HTTPException)
    codes = {404: "NOT_FOUND", 405: "UNIMPLEMENTED"}
    message = f"{request.method} {request.url.path[:200]} is not served here"
    own = Refused(
        error.status_code, codes.get(error.status_code, "UNKNOWN"), message, headers=dict(error.headers or {})
    )
    return problem(own, id_of(request))


def id_of(request: Request) -> str:
    return readable_id(request.headers.get(REQUEST_ID, ""))


class Fixed:
    """Adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
