"""Sends each row as an HTTP request."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import http.client
import os
import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, unquote, urlsplit

from muntin.base.arguments import kind
from muntin.base.durations import Duration, parse
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import When
from muntin.sinks.channels.outbox import Failed, Item, OutboxSink, Refused
from muntin.sinks.channels.pinned import Forbidden, PinnedConnection, is_public, literal

_ANSWER_MAX = 64 << 10
_RETRY_AFTER_MAX_S = 600.0
_RETRIED = frozenset({408, 425, 429})
_SAYS_WHEN = frozenset({429, 503})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_TARGET = re.compile(r"[\x21-\x7e]*")
_OWN = frozenset(
    "host content-length content-type transfer-encoding connection idempotency-key "
    "muntin-signature".split()
)


class Webhook(OutboxSink):
    """A sink that posts each row as a JSON object; the pipeline never waits for the server.

    Rows wait in an outbox, and a thread of its own sends them in order, one at a time. A request
    that fails for a reason that may pass (no connection, or status 408, 425, 429, 5xx) is tried
    again: after up to half a second, then up to one, two, and so on to a minute, or when
    `Retry-After` says (at most 10 minutes). Any other status but 2xx is final; redirects are not
    followed. A row that fails finally or `attempts` times, or finds the outbox full, goes to the
    dead letter file; `dropped` counts it.

    Each request has an `Idempotency-Key`: the `id` of an alert; for other rows a SHA-256 of the
    key columns and its revision, or of all its columns if it has no key. With checkpoints each
    row is delivered at least once, however the process ended: a restart sends again, with the
    same keys, the rows of the last checkpoint, even if they have arrived since. With `secret` each
    request has a `Muntin-Signature` too: see `verify`.

    Args:
        url: the address. `https`, and all addresses of the host must be public. A user and a
            password in it become an `Authorization` header.
        secret: signs each request, by HMAC-SHA256.
        headers: more headers; their values are treated as secrets.
        timeout: how long a request may take, from the moment its host is resolved.
        attempts: the maximum number of tries for a row.
        outbox: the maximum number of waiting rows.
        dead_letter: a file for rows that are given up, appended as JSON lines (`at`, `sink`, `id`,
            `reason`, `attempts`, `row`); without one their ids are logged.
        drain: how long the end of the run waits for the outbox to empty. Rows left then go to
            the dead letter file; with checkpoints they are sent after the next start.
        allow_http: allow `http` too.
        allow_private: allow addresses that are private, loopback, link-local and the like, among
            them those where clouds keep the credentials of a machine.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: an option is invalid, or the url is not allowed. Errors, log lines and the repr
            show only the host of the url, and nothing of the secret and the headers.
        DurationError: `timeout` or `drain` is not a duration.

    >>> sink = Webhook("https://hooks.example.com/T0/B1/x7", secret="s3cret")
    >>> sink
    Webhook('hooks.example.com')
    >>> Webhook("http://hooks.example.com/")
    Traceback (most recent call last):
        ...
    muntin.SinkError: webhook to hooks.example.com: http is not allowed
    hint: use https, or say allow_http=True
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration = "5s",
        attempts: int = 8,
        outbox: int = 10_000,
        dead_letter: str | os.PathLike[str] | None = None,
        drain: Duration = "10s",
        allow_http: bool = False,
        allow_private: bool = False,
        when: When = None,
    ) -> None:
        """Check the options; connect only when there is a row."""
        parts, self._host, self._port = _split(url)
        super().__init__(
            f"webhook to {self._host}",
            attempts=attempts,
            outbox=outbox,
            dead_letter=dead_letter,
            drain=drain,
            when=when,
        )
        if parts.scheme != "https" and not allow_http:
            message = f"{self._place}: {parts.scheme} is not allowed"
            raise SinkError(with_hint(message, "use https, or say allow_http=True"))
        self._allow_private = allow_private
        address = literal(self._host)
        if address is not None and not allow_private and not is_public(address):
            message = f"{self._place}: the address is not a public one"
            raise SinkError(with_hint(message, "if it is meant, say allow_private=True"))
        if secret is not None and not isinstance(secret, str | bytes):
            raise SinkError(f"{self._place}: the secret is {kind(secret)}, not a text")
        if secret is not None and not secret:
            raise SinkError(f"{self._place}: the secret is empty")
        if headers is not None and not isinstance(headers, Mapping):
            hint = 'give a dict: headers={"X-Team": "fraud"}'
            raise SinkError(with_hint(f"{self._place}: headers are {kind(headers)}", hint))
        self._secret = secret
        self._timeout = parse(timeout, "timeout").us / 1e6
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = {"User-Agent": "muntin"} | _authorization(parts)
        self._headers |= _checked(headers or {}, self._place)
        self._now = time.time

    def __repr__(self) -> str:
        """The host; the rest of a url may be a secret."""
        return f"Webhook({self._host!r})"

    def _send(self, item: Item) -> None:
        body = item.row.encode()
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "Idempotency-Key": item.id,
            "Connection": "close",
        }
        if self._secret is not None:
            headers["Muntin-Signature"] = sign(self._secret, body, int(self._now()))
        connection = PinnedConnection(
            self._host,
            self._port,
            tls=self._tls,
            timeout=self._timeout,
            allow_private=self._allow_private,
        )
        try:
            with connection.limited():
                connection.request("POST", self._target, body, headers)
                answer = connection.getresponse()
                connection.check_time()
                with suppress(OSError, http.client.HTTPException):
                    answer.read(_ANSWER_MAX)
        except Forbidden as error:
            raise Refused(str(error)) from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise Failed(reason or type(error).__name__) from None
        finally:
            connection.close()
        self._judge(answer.status, answer.getheader("Retry-After"))

    def _judge(self, status: int, retry_after: str | None) -> None:
        if 200 <= status < 300:
            return
        if status in _RETRIED or status >= 500:
            wait = _seconds(retry_after, self._now()) if status in _SAYS_WHEN else None
            raise Failed(f"status {status}", wait)
        raise Refused(f"status {status}")


def sign(secret: str | bytes, body: bytes, at: int) -> str:
    """The value of `Muntin-Signature` for a body sent at `at`, in Unix seconds.

    >>> sign("s3cret", b"{}", 1700000000)[:23]
    't=1700000000,v1=9792681'
    """
    return f"t={at},v1={_digest(secret, body, str(at))}"


def verify(
    secret: str | bytes,
    header: str | None,
    body: bytes,
    now: float | None = None,
    tolerance: float = 300.0,
) -> bool:
    """Whether a request comes from a `Webhook` with this secret; for receivers.

    The signature is `t=<Unix seconds>,v1=<hex>`: the HMAC-SHA256 of the seconds, a dot and the
    body. The digests are compared in constant time.

    Args:
        secret: what the sink was given.
        header: the value of `Muntin-Signature`, unchanged; None if the request has none.
        body: the body's bytes, unchanged.
        now: Unix seconds; by default the clock's.
        tolerance: how many seconds the signature may lie in the past or the future.

    Raises:
        SinkError: the header is not a text, or the body is not bytes.

    >>> header = sign("s3cret", b"{}", 1700000000)
    >>> verify("s3cret", header, b"{}", now=1700000010)
    True
    >>> verify("s3cret", header, b"[]", now=1700000010)
    False
    """
    if header is None:
        return False
    if not isinstance(header, str) or not isinstance(body, bytes | bytearray):
        hint = 'write verify(secret, request.headers["Muntin-Signature"], request.body)'
        raise SinkError(
            with_hint(f"verify: the header is {kind(header)}, the body {kind(body)}", hint)
        )
    fields = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    if len(times) != 1 or not re.fullmatch(r"[0-9]{1,12}", times[0]):
        return False
    if abs((time.time() if now is None else now) - int(times[0])) > tolerance:
        return False
    right = _digest(secret, body, times[0]).encode()
    given = [value.encode(errors="replace") for name, _, value in fields if name == "v1"]
    return any(hmac.compare_digest(right, each) for each in given)


def _digest(secret: str | bytes, body: bytes, at: str) -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def _split(url: str) -> tuple[SplitResult, str, int]:
    """The url in parts, its host and its port."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except (TypeError, ValueError, AttributeError, binascii.Error):
        parts, host, port = SplitResult("", "", "", "", ""), "", 0
    sendable = _TARGET.fullmatch(parts.path) and _TARGET.fullmatch(parts.query)
    if parts.scheme not in ("http", "https") or not host or not sendable:
        hint = 'write it as in "https://hooks.example.com/alerts", percent-encoded'
        raise SinkError(with_hint("webhook: the url is not one of http or https", hint))
    return parts, host, port


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _checked(headers: Mapping[str, str], place: str) -> dict[str, str]:
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SinkError(f"{place}: the name of a header is invalid")
        if name.lower() in _OWN:
            raise SinkError(f"{place}: the header {name} is set by the sink")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            message = f"{place}: the value of the header {name} cannot be sent"
            raise SinkError(with_hint(message, "one line of text in latin-1"))
    # names ignore case: a header of the caller replaces one of the sink
    return {name.title(): value for name, value in headers.items()}


def _seconds(text: str | None, now: float) -> float | None:
    """The value of `Retry-After` in seconds from now; None if it is invalid.

    >>> _seconds("7", 0.0), _seconds("Thu, 01 Jan 1970 00:00:30 GMT", 10.0), _seconds("soon", 0.0)
    (7.0, 20.0, None)
    """
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]+", text):
        wait = float(text[:20])
    else:
        try:
            at = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        wait = at.replace(tzinfo=at.tzinfo or dt.UTC).timestamp() - now
    return min(max(wait, 0.0), _RETRY_AFTER_MAX_S)
