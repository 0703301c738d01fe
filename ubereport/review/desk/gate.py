"""Who may speak to the review page: this person's own browser, on this machine, and nobody else.

A page that anybody opens in a browser can send requests to loopback, and a name of its own can be
made to point there. So a request must name the address that the server printed (Host), come from
the page itself (Origin), and carry a cookie that was given for the random token in that address.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from ubereport.language.speaking import N_, _

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY_BYTES = 2 * 2**20
_MAX_REQUESTS = 600
_WINDOW_S = 10.0
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " font-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Handler = Callable[["Request"], Awaitable[Response]]


class Gate:
    """Lets through who has the token's cookie and asks in the right way.

    Parameters
    ----------
    port
        Where the server listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        # Browsers send a cookie to every port of a host: under one name, two reviews at once would
        # each overwrite the cookie of the other.
        self.cookie = f"ubereport_review_{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._asked: deque[float] = deque()
        self.last_asked_s = time.monotonic()

    async def __call__(self, request: Request, call_next: Handler) -> Response:
        """Answer a request, or refuse it with 4xx before anything is read or written."""
        refusal = self._refusal(request)
        if refusal is not None:
            return _with_headers(refusal)
        if request.url.path == "/" and "token" in request.query_params:
            return _with_headers(self._admitted())
        self.last_asked_s = time.monotonic()
        return _with_headers(await call_next(request))

    def _refusal(self, request: Request) -> Response | None:
        headers = request.headers
        if headers.get("host") not in self._hosts:
            return _refused(421, _("This page answers under its own address only."))
        # Browsers send the origin of the page that asks; programs need not, and are held by the
        # cookie.
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return _refused(403, "Only the review page itself may ask.")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return _refused(403, "Only the review page itself may ask.")
        # Before the token is compared, so that guesses count as well.
        if self._is_too_often():
            return _refused(429, _("Too many requests at once. Wait a moment."))
        token = request.query_params.get("token")
        if request.url.path == "/" and token is not None:
            is_right = hmac.compare_digest(token.encode(), self.token.encode())
            return None if is_right else _refused(403, _(_WRONG))
        if not self._has_session(request):
            return _refused(403, _(_WRONG))
        # Every browser names the origin of a request that changes something.
        if request.method not in ("GET", "HEAD") and origin is None:
            return _refused(403, "Only the review page itself may ask.")
        return self._body_refusal(request)

    def _body_refusal(self, request: Request) -> Response | None:
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return _refused(413, f"A request holds {MAX_BODY_BYTES} bytes at most.")
        # A body without a length has no bound that could be checked before it is read.
        if request.headers.get("transfer-encoding"):
            return _refused(411, "Say how long the request is.")
        return None

    def _has_session(self, request: Request) -> bool:
        cookie = request.cookies.get(self.cookie, "")
        # In constant time: how long a comparison takes must not tell how much of a guess was right.
        return hmac.compare_digest(cookie.encode(), self._session.encode())

    def _admitted(self) -> Response:
        """Exchange the token for a cookie, so that it leaves the address bar and the history."""
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self.cookie, self._session, httponly=True, samesite="strict", path="/")
        return response

    def _is_too_often(self) -> bool:
        now_s = time.monotonic()
        while self._asked and now_s - self._asked[0] > _WINDOW_S:
            self._asked.popleft()
        if len(self._asked) >= _MAX_REQUESTS:
            return True
        self._asked.append(now_s)
        return False


_WRONG = N_("Open the address that `ubereport review` printed; it is new each time.")


def _refused(status: int, why: str) -> Response:
    return PlainTextResponse(why, status_code=status)


def _with_headers(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
