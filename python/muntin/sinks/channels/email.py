"""Sends each row as a mail."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import smtplib
import ssl
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from string import Formatter
from typing import Any, Literal, get_args

import msgspec

from muntin.base.arguments import several, whole
from muntin.base.durations import Duration, parse
from muntin.base.errors import SinkError, unknown, with_hint
from muntin.sinks.base import When
from muntin.sinks.channels.outbox import Failed, Item, OutboxSink, Refused

Tls = Literal["starttls", "ssl", "none"]

_log = logging.getLogger("muntin.sinks")

# folding would break a long Message-ID into encoded words that no reader recognizes
_POLICY = SMTP.clone(max_line_length=512)
_SUBJECT_MAX = 200
_SIMPLE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")


class Email(OutboxSink):
    """A sink that sends each row as a mail; the pipeline never waits for the server.

    Rows wait in an outbox, and a thread of its own sends them in order, one at a time. If the
    server cannot be reached or answers 4xx, a row is retried, as by `Webhook`. A row that it
    refuses finally (5xx), that fails `attempts` times or finds the outbox full, goes to the dead
    letter file, and `dropped` counts it. The body has the alert's message, then each column on a
    line.

    With checkpoints each row is sent at least once, however the process ended: a restart sends
    again the rows of the last checkpoint, even if they have arrived since. A mail that is sent
    again has the same `Message-ID`, made from the alert's id, and the same `X-Muntin-Id`.

    Args:
        to: one address, or several.
        server: the host of the mail server.
        port: 587 for `starttls`, usually 465 for `ssl`, 25 for `none`.
        sender: the address of the sender.
        user: the name to log in with; None to send without.
        password: for `user`.
        tls: `starttls` and `ssl` check the server's certificate; `none` sends in the clear.
        subject: text with columns in braces; a missing column is empty.
        timeout: how long each response of the server may take.
        attempts: the maximum number of tries for a row.
        outbox: the maximum number of waiting rows.
        dead_letter: a file for rows that are given up, as JSON lines; without one their ids are
            logged.
        drain: how long the end of the run waits for the outbox to empty. Rows left then go to
            the dead letter file; with checkpoints they are sent after the next start.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: an option is invalid, or a password would be sent in the clear. No error,
            log line or repr shows the password.
        DurationError: `timeout` or `drain` is not a duration.

    >>> Email("oncall@example.com", server="smtp.example.com", sender="muntin@example.com")
    Email('smtp.example.com')
    """

    def __init__(
        self,
        to: str | Sequence[str],
        *,
        server: str,
        port: int = 587,
        sender: str,
        user: str | None = None,
        password: str | None = None,
        tls: Tls = "starttls",
        subject: str = "[muntin] {severity} {rule}",
        timeout: Duration = "10s",
        attempts: int = 8,
        outbox: int = 10_000,
        dead_letter: str | os.PathLike[str] | None = None,
        drain: Duration = "10s",
        when: When = None,
    ) -> None:
        """Check the options; connect only when there is a row."""
        if not isinstance(server, str) or not _HOST.fullmatch(server):
            raise SinkError(with_hint("email: the server is not a host", "give the port as port="))
        super().__init__(
            f"email by {server}",
            attempts=attempts,
            outbox=outbox,
            dead_letter=dead_letter,
            drain=drain,
            when=when,
        )
        if tls not in get_args(Tls):
            raise SinkError(unknown("tls", str(tls), get_args(Tls), self._place))
        if (user is None) != (password is None):
            raise SinkError(f"{self._place}: user and password go together")
        if user is not None and tls == "none":
            message = f"{self._place}: the password would be sent in the clear"
            raise SinkError(with_hint(message, 'use tls="starttls" or tls="ssl"'))
        self._sender = _address(sender, self._place)
        receivers = (
            (to,) if isinstance(to, str) else several(to, "email: to", "addresses", error=SinkError)
        )
        if not receivers:
            raise SinkError(f"{self._place}: there is nobody to send to")
        self._to = [_address(each, self._place) for each in receivers]
        self._subject = _template(subject, self._place)
        self._server = server
        self._port = whole(port, "email: port", 1, 65535, error=SinkError)
        self._user, self._password = user, password
        self._tls = tls
        self._context = ssl.create_default_context()
        self._timeout = parse(timeout, "timeout").us / 1e6

    def __repr__(self) -> str:
        """The server."""
        return f"Email({self._server!r})"

    def _send(self, item: Item) -> None:
        try:
            mail = self._mail(item)
        except (MessageError, ValueError) as error:
            raise Refused(f"no mail can be built from it: {type(error).__name__}") from None
        try:
            missed = self._delivered(mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise _judged([code for code, _ in error.recipients.values()]) from None
        except smtplib.SMTPResponseException as error:
            raise _judged([error.smtp_code]) from None
        except smtplib.SMTPNotSupportedError:
            raise Refused(
                "the server does not support what is required: STARTTLS, AUTH or UTF-8"
            ) from None
        except OSError as error:
            raise Failed(error.strerror or type(error).__name__) from None
        for address, (code, _) in missed.items():
            message = "%s: row %s was not accepted for %s: status %d"
            _log.warning(message, self._place, item.id, address, code)

    def _delivered(self, mail: EmailMessage) -> Mapping[str, tuple[int, bytes]]:
        """Send it; returns the addresses that the server refused, and why, if it accepted any."""
        server = self._connected()
        try:
            to = [each.addr_spec for each in self._to]
            return server.send_message(mail, self._sender.addr_spec, to)
        finally:
            # the mail is already accepted, whatever the server answers to QUIT
            with suppress(OSError):
                server.quit()
            server.close()

    def _connected(self) -> smtplib.SMTP:
        if self._tls == "ssl":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._server, self._port, timeout=self._timeout, context=self._context
            )
        else:
            server = smtplib.SMTP(self._server, self._port, timeout=self._timeout)
        try:
            if self._tls == "starttls":
                server.starttls(context=self._context)
            if self._user is not None and self._password is not None:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, item: Item) -> EmailMessage:
        columns = item.columns()
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self._sender
        mail["To"] = self._to
        mail["Subject"] = one_line(self._subject, columns)
        mail["Date"] = formatdate(usegmt=True)
        mail["Message-ID"] = f"<{_local(item.id)}.muntin@{self._sender.domain}>"
        mail["X-Muntin-Id"] = item.id
        # prevents out-of-office replies
        mail["Auto-Submitted"] = "auto-generated"
        lines = [_block(columns["message"], ""), ""] if columns.get("message") else []
        lines += [f"{_block(name)}: {_block(value)}" for name, value in columns.items()]
        mail.set_content("\n".join(lines) + "\n")
        return mail


def one_line(template: str, columns: Mapping[str, Any]) -> str:
    """The template with the columns' values, always on one line.

    >>> one_line("[muntin] {severity} {rule}", {"severity": "info", "rule": "a\\r\\nBcc: b"})
    '[muntin] info a Bcc: b'
    """
    parts = Formatter().parse(template)
    text = "".join(
        start + ("" if name is None else _text(columns.get(name))) for start, name, _, _ in parts
    )
    # line ends, control characters, and those that change the text direction
    plain = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    return " ".join(plain.split())[:_SUBJECT_MAX]


def _block(value: Any, indent: str = "    ") -> str:
    """The value's lines, indented after the first, so that none looks like another column."""
    lines = _text(value).splitlines()
    seen = ("".join(c for c in line if c == "\t" or c.isprintable()) for line in lines)
    return f"\n{indent}".join(seen)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _local(id: str) -> str:
    """The id as the left side of a `Message-ID`."""
    return id if _SIMPLE_ID.fullmatch(id) else hashlib.sha256(id.encode()).hexdigest()


def _address(text: str, place: str) -> Address:
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise SinkError(_no_address(text, place)) from error
    if not (address.username and address.domain and text.isascii() and text.isprintable()):
        raise SinkError(_no_address(text, place))
    return address


def _no_address(text: object, place: str) -> str:
    return with_hint(f"{place}: {text!r} is not a mail address", 'as in "oncall@example.com"')


def _template(subject: str, place: str) -> str:
    try:
        fields = list(Formatter().parse(subject))
    except (TypeError, ValueError) as error:
        raise SinkError(f"{place}: the subject {subject!r} is not a template: {error}") from error
    if any(form or turn for _, _, form, turn in fields):
        hint = "write only names of columns in braces"
        raise SinkError(with_hint(f"{place}: the subject {subject!r} is not a template", hint))
    return subject


def _judged(codes: Sequence[int]) -> Failed | Refused:
    """The error for a response of the server: 5xx is final, others are retried."""
    reason = f"status {', '.join(map(str, sorted(set(codes))))}"
    return Refused(reason) if codes and all(code >= 500 for code in codes) else Failed(reason)
