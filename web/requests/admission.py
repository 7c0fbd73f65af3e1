"""Who may ask, and whether there is room: tokens, origins, and places that are shared fairly among the callers."""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from starlette.requests import Request

from tensorhop.rpc.fairness.callers import Caller, digest
from tensorhop.rpc.fairness.shares import OVERSHOOT, FairShare
from tensorhop.rpc.tokens import KEY, Tokens
from tensorhop.settings import Settings
from tensorhop.web.problem import Refused
from tensorhop.web.requests.upload import BUSY_SECONDS, Uploads


class Admission:
    """What all routes of a server share. Of each limit there is one, whichever route is asked.

    Args:
        origins: of pages that may call; "*" for all.
        tokens: one of which is wanted; None for none.
    """

    def __init__(self, settings: Settings, origins: Sequence[str] = (), tokens: Tokens | None = None) -> None:
        self.settings, self._origins, self._tokens = settings, origins, tokens
        self._places = FairShare(settings.max_requests)
        self.uploads = Uploads(settings)
        # Has a thread for each request that is worked on.
        self.pool = ThreadPoolExecutor(OVERSHOOT * settings.max_requests, thread_name_prefix="request")

    def admit(self, request: Request) -> None:
        """Raises Refused: the page's origin may not call, or the token is none of ours."""
        self._check_origin(request)
        self._check_token(request)

    def caller_of(self, request: Request) -> Caller:
        """Who asks: by token, if tokens were checked, by address, and by connection."""
        host, port = request.client or ("unix", 0)
        named = [f"token {digest(request.headers.get(KEY, ''))}"] if self._tokens else []
        return (*named, host, f"{host}:{port}")

    def check_room(self, caller: Caller) -> None:
        """Raises Refused: there would be no place for the caller; asked before anything is sent in vain."""
        if not self._places.has_room(caller):
            raise self._busy()

    def take_place(self, caller: Caller, stack: contextlib.ExitStack) -> None:
        """A place until the stack ends. Raises Refused: all are taken."""
        if not self._places.take(caller):
            raise self._busy()
        stack.callback(self._places.give_back, caller)

    def _busy(self) -> Refused:
        message = f"{self._places.held} requests are being worked on already"
        return Refused(503, "UNAVAILABLE", message, BUSY_SECONDS)

    def _check_token(self, request: Request) -> None:
        """Services are called with this server's own token, so this server asks for one itself."""
        if self._tokens and not self._tokens.take(request.headers.get(KEY, "")):
            message = f"http wants a token (--token-file); send the header {KEY}: Bearer TOKEN"
            raise Refused(401, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})

    def _check_origin(self, request: Request) -> None:
        """A browser would send a form here from any site, and only keep the answer from it."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if urlsplit(origin).netloc != request.headers.get("host"):
            raise Refused(
                403, "PERMISSION_DENIED", f"pages of {origin[:200]} may not call this server; it has --allow-origin"
            )
