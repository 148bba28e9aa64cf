"""Who may see the page: method, host, origin and token, looked at before any route.

A name in `Host` that is not known to be ours may be a foreign name that was pointed at this
address (DNS rebinding), so only addresses, `localhost`, this machine's name and the names in
`hosts=` pass.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "muntin"
OPEN_PATHS = {"/healthz"}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

App = Callable[[Any, Any, Any], Awaitable[None]]


class Guard:
    """An ASGI application around another: refuses, or passes on and adds the headers above."""

    def __init__(self, app: App, token: str | None, hosts: Iterable[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = {"localhost", socket.gethostname().lower(), *map(str.lower, hosts)}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        if not self._is_ours(request.headers.get("host", "")):
            return _text(421, "this page is not served under that name")
        if not _same_origin(request):
            return _text(403, "another site asked for this page")
        refusal = self._without_token(request)
        if refusal is None and request.method not in ("GET", "HEAD"):
            return _text(405, "only GET", {"Allow": "GET, HEAD"})
        return refusal

    def _without_token(self, request: Request) -> Response | None:
        if self._token is None or request.url.path in OPEN_PATHS:
            return None
        given = request.query_params.get("token")
        if given is not None and _equal(given, self._token):
            if request.url.path != "/":
                return None
            answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
            secret = _cookie(self._token)
            answer.set_cookie(COOKIE, secret, httponly=True, samesite="strict", path="/")
            return answer
        if _equal(request.cookies.get(COOKIE, ""), _cookie(self._token)):
            return None
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _equal(bearer.strip(), self._token):
            return None
        return _text(401, "open the address with ?token=...", {"WWW-Authenticate": "Bearer"})

    def _is_ours(self, header: str) -> bool:
        host = _host(header)
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._hosts
        return True


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _cookie(token: str) -> str:
    # cookies are shared by all ports of a host, so the token itself does not go into one
    return sha256(b"muntin page " + token.encode()).hexdigest()


def _text(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(
        message + "\n", status, headers={"Cache-Control": "no-store", **(headers or {})}
    )
