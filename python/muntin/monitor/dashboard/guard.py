"""Access control of the page: host, origin, token and method, checked before any route.

All checks read the raw ASGI scope. A URL that a framework builds from it contains the `Host`
header, which anybody can forge.

An unknown name in `Host` may be a foreign name that was pointed at this address (DNS rebinding), so
only addresses, `localhost`, this machine's name and the names in `hosts=` are allowed.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
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

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_POLICY_VIOLATION = 1008


class Guard:
    """An ASGI application around another: refuses, or passes on and adds the headers above."""

    def __init__(self, app: App, token: str | None, hosts: Iterable[str]) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = {"localhost", socket.gethostname().lower(), *map(str.lower, hosts)}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(_Head(scope))
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, head: _Head) -> Response | None:
        hosts = head.all(b"host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return _text(421, "this page is not served under that name")
        if not _same_origin(head, hosts[0]):
            return _text(403, "another site asked for this page")
        refusal = self._without_token(head)
        if refusal is None and head.method not in ("GET", "HEAD"):
            return _text(405, "only GET", {"Allow": "GET, HEAD"})
        if refusal is None and not head.path.startswith("/"):
            return _text(400, "that is not a path")
        return refusal

    def _without_token(self, head: _Head) -> Response | None:
        if self._token is None or head.path in OPEN_PATHS:
            return None
        if _any_equal(head.query("token"), self._token):
            if head.path != "/":
                return None
            answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
            secret = _cookie(self._token)
            answer.set_cookie(COOKIE, secret, httponly=True, samesite="strict", path="/")
            return answer
        if _any_equal(head.cookies(COOKIE.encode()), _cookie(self._token).encode()):
            return None
        if _any_equal(head.bearers(), self._token):
            return None
        return _text(401, "open the address with ?token=...", {"WWW-Authenticate": "Bearer"})

    def _is_ours(self, header: bytes) -> bool:
        found = _HOST.fullmatch(header.decode("latin-1").lower())
        if found is None:
            return False
        if found["six"] is not None:
            return _is_address(found["six"], 6)
        return found["name"] in self._hosts or _is_address(found["name"], 4)


class _Head:
    """The head of a request, unchanged."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        # latin-1 keeps each byte, so that values can be compared byte by byte
        query = scope.get("query_string", b"").decode("latin-1")
        self._query = parse_qsl(query, encoding="latin-1")
        self.method: str = scope["method"]
        # used for routing; decoded once
        self.path: str = scope["path"]

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self._headers if key.lower() == name]

    def query(self, name: str) -> list[bytes]:
        return [value.encode("latin-1") for key, value in self._query if key == name]

    def cookies(self, name: bytes) -> list[bytes]:
        pairs = (pair.partition(b"=") for line in self.all(b"cookie") for pair in line.split(b";"))
        return [value.strip() for key, _, value in pairs if key.strip() == name]

    def bearers(self) -> list[bytes]:
        pairs = (value.strip().partition(b" ") for value in self.all(b"authorization"))
        return [value.strip() for kind, _, value in pairs if kind.lower() == b"bearer"]


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _same_origin(head: _Head, host: bytes) -> bool:
    """False if a browser says that a page of another site has sent the request.

    A link on another site may lead here: that is a navigation.
    """
    ours = {b"http://" + host.lower(), b"https://" + host.lower()}
    if any(origin.lower() not in ours for origin in head.all(b"origin")):
        return False
    foreign = any(site in (b"cross-site", b"same-site") for site in head.all(b"sec-fetch-site"))
    return not foreign or head.all(b"sec-fetch-mode") == [b"navigate"]


def _any_equal(given: Iterable[bytes], wanted: bytes) -> bool:
    """Compare in constant time, so that timing does not reveal how much agrees."""
    found = [hmac.compare_digest(each, wanted) for each in given]
    return any(found)


def _cookie(token: bytes) -> str:
    # cookies are shared by all ports of a host, so the token itself does not go into one
    return sha256(b"muntin page " + token).hexdigest()


def _text(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    # close the connection of a refused visitor
    always = {"Cache-Control": "no-store", "Connection": "close"}
    return PlainTextResponse(message + "\n", status, headers={**always, **(headers or {})})
