"""Who may see the page: the guard alone, on raw ASGI scopes, as any server may hand them over."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muntin.monitor.dashboard.guard import COOKIE, HEADERS, Guard

TOKEN = "0123456789abcdef-töken"
OURS = [(b"host", b"127.0.0.1:8080")]
TWICE = OURS * 2


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """The page behind the guard: what reaches it may see everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"secret"})


def asked(path: str, headers: Any = OURS, *, token: str | None = TOKEN, **scope: Any) -> list[Any]:
    """What the guard sends for a request."""
    query = scope.pop("query", b"")
    request = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode("utf-8", "replace"),
        "query_string": query, "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": list(headers), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
    }  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(Guard(behind, token, ["page.example"])(request | scope, receive, send))
    return sent


def status(*arguments: Any, **more: Any) -> int:
    return asked(*arguments, **more)[0]["status"]


# each of these once made a framework believe that an open route was meant
FORGED_HOSTS = """
    127.0.0.1/healthz  127.0.0.1/healthz?  127.0.0.1/healthz#  localhost/healthz?x=
    localhost:80/healthz  127.0.0.1?/healthz  127.0.0.1#/healthz  127.0.0.1\\healthz
    a@127.0.0.1  a:b@localhost  127.0.0.1:80:80  127.0.0.1:  127.0.0.1:x  127.0.0.1:999999
    [::1  ::1  [::1]x  [::1]/healthz?  [127.0.0.1]  [localhost]  evil.example
    evil.example:8080  localhost.evil.example  127.0.0.1.evil.example  page.example.evil
    localhost.  0x7f.1  127.1  2130706433  [fe80::1%25eth0]  *  %31  127.0.0.1,localhost
    127.0.0.1%20
""".split()


@pytest.mark.parametrize("host", ["", " ", "\t127.0.0.1", "127.0.0.1 ", "ö", *FORGED_HOSTS])
@pytest.mark.parametrize("path", ["/metrics", "/", "/healthz"])
def test_a_forged_host_sees_nothing(host: str, path: str) -> None:
    header = [(b"host", host.encode("utf-8"))]
    assert status(path, header) == 421
    assert status(path, header, token=None) == 421
    assert status(path, header, query=f"token={TOKEN}".encode()) == 421


@pytest.mark.parametrize("headers", [[], TWICE, [*OURS, (b"Host", b"evil.example")]])
def test_exactly_one_host_is_needed(headers: list[tuple[bytes, bytes]]) -> None:
    assert status("/healthz", headers) == 421
    assert status("/healthz", headers, http_version="1.0") == 421


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "LocalHost:1", "[::1]:8080", "[2001:DB8::1]", "10.0.0.7",
     "page.example", "PAGE.example:443"],
)  # fmt: skip
def test_our_names_and_addresses_pass(host: str) -> None:
    assert status("/metrics", [(b"host", host.encode())], token=None) == 200


SHUT = ["/metrics", "/", "/keys", "/events", "/healthz/", "//healthz", "/healthz/../metrics",
        "/HEALTHZ", "/healthz%00", "/metrics;/healthz", "/metrics?/healthz", "healthz", "",
        "*", "http://127.0.0.1:8080/healthz", "//127.0.0.1/healthz", "/ħealthz"]  # fmt: skip


@pytest.mark.parametrize("path", SHUT)
def test_only_the_path_itself_is_open_without_the_token(path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "TRACE", "CONNECT", "get", "PROPFIND"):
        assert status(path, method=method) == 401
    assert status("/healthz") == 200
    assert status("/healthz", method="POST") == 405


def test_where_nothing_needs_a_token_a_target_that_is_no_path_is_refused() -> None:
    for path in ("", "*", "healthz", "http://127.0.0.1:8080/healthz"):
        assert status(path, token=None) == 400


@pytest.mark.parametrize("method", "POST PUT DELETE PATCH OPTIONS TRACE CONNECT get Head ".split())
def test_nothing_but_get_and_head(method: str) -> None:
    assert status("/", token=None, method=method) == 405


ORIGINS = """
    null  http://evil.example  http://127.0.0.1  http://127.0.0.1:8081
    http://127.0.0.1:8080/  ftp://127.0.0.1:8080  127.0.0.1:8080  http://[::1  http://[
    http://  //127.0.0.1:8080  http://127.0.0.1:8080.evil.example  http://a@127.0.0.1:8080
    http://127.0.0.1:x  http://127.0.0.1:99999
""".split()


@pytest.mark.parametrize("origin", ["", "\xff", *ORIGINS])
def test_another_origin_sees_nothing_and_a_broken_one_is_no_fault_of_ours(origin: str) -> None:
    headers = [*OURS, (b"origin", origin.encode("latin-1"))]
    assert status("/", headers, token=None) == 403
    assert status("/", [*headers, (b"origin", b"http://127.0.0.1:8080")], token=None) == 403


def test_our_own_origin_passes_also_behind_a_proxy_with_tls() -> None:
    for scheme in (b"http", b"https", b"HTTP"):
        assert status("/", [*OURS, (b"origin", scheme + b"://127.0.0.1:8080")], token=None) == 200


@pytest.mark.parametrize(
    ("site", "mode", "code"),
    [("cross-site", "no-cors", 403), ("same-site", "cors", 403), ("cross-site", "navigate", 200),
     ("same-origin", "cors", 200), ("none", "navigate", 200), ("cross-site", None, 403)],
)  # fmt: skip
def test_a_page_of_another_site_may_link_but_not_load(
    site: str, mode: str | None, code: int
) -> None:
    headers = [*OURS, (b"sec-fetch-site", site.encode())]
    if mode is not None:
        headers.append((b"sec-fetch-mode", mode.encode()))
    assert status("/metrics", headers, token=None) == code


def cookie_of(token: str) -> bytes:
    (value,) = [
        value
        for name, value in asked("/", query=f"token={token}".encode())[0]["headers"]
        if name == b"set-cookie"
    ]
    assert value.startswith(COOKIE.encode() + b"=")
    return bytes(value.split(b";")[0])


def test_the_token_opens_in_a_query_a_header_and_by_a_cookie() -> None:
    token, cookie = TOKEN.encode(), cookie_of(TOKEN)
    assert status("/metrics", query=b"token=" + token) == 200
    assert status("/", query=b"token=" + token) == 303
    for headers in (
        [(b"authorization", b"Bearer " + token)],
        [(b"Authorization", b"bEARER   " + token + b" ")],
        [(b"cookie", cookie)],
        [(b"cookie", b"a=b; " + cookie + b"; c")],
        [(b"cookie", b"muntin=older"), (b"cookie", cookie)],
    ):
        assert status("/metrics", [*OURS, *headers]) == 200


@pytest.mark.parametrize(
    "wrong", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\x00", "0123456789abcdef-t\xf6ken"]
)
def test_a_wrong_token_opens_nothing(wrong: str) -> None:
    given = wrong.encode("latin-1", "replace")
    cases: list[tuple[bytes, list[tuple[bytes, bytes]]]] = [
        (b"token=" + given, []),
        (b"Token=" + TOKEN.encode(), []),
        (b"", [(b"authorization", b"Bearer " + given)]),
        (b"", [(b"authorization", b"Basic " + TOKEN.encode())]),
        (b"", [(b"authorization", TOKEN.encode())]),
        (b"", [(b"cookie", b"muntin=" + given)]),
        (b"", [(b"cookie", b"muntin=" + TOKEN.encode())]),
        (b"", [(b"x-forwarded-for", b"127.0.0.1"), (b"x-original-url", b"/healthz")]),
    ]
    for query, headers in cases:
        assert status("/metrics", [*OURS, *headers], query=query) == 401


def test_a_refused_visitor_does_not_keep_the_connection() -> None:
    for answer in (asked("/metrics"), asked("/", [(b"host", b"evil.example")])):
        headers = dict(answer[0]["headers"])
        assert headers[b"connection"] == b"close"
        assert {name.lower().encode() for name in HEADERS} <= headers.keys()


def test_what_is_not_http_is_refused() -> None:
    assert asked("/events", type="websocket") == [{"type": "websocket.close", "code": 1008}]
    assert asked("/", type="lifespan") == []


anything = st.binary(max_size=40)
host = st.one_of(
    anything,
    st.sampled_from([b"127.0.0.1", b"localhost", b"[::1]"]).flatmap(
        lambda name: anything.map(lambda rest: name + rest)
    ),
)


@given(
    path=st.one_of(st.text(max_size=30), st.sampled_from(SHUT)).filter(lambda p: p != "/healthz"),
    headers=st.lists(
        st.tuples(st.sampled_from([b"host", b"origin", b"cookie", b"authorization"]), host),
        max_size=4,
    ),
    query=anything,
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
)
def test_no_request_without_the_token_gets_past(
    path: str, headers: Any, query: bytes, method: str
) -> None:
    assert status(path, headers, query=query, method=method) in (401, 403, 421)
    assert status(path, [*headers, *OURS], query=query, method=method) in (401, 403, 421)


@given(st.ip_addresses())
def test_every_address_passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    shown = f"[{address}]" if address.version == 6 else str(address)
    assert status("/metrics", [(b"host", shown.encode())], token=None) == 200
