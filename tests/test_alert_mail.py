"""Rows that leave by mail, to a real mail server."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from muntin.base.errors import SinkError
from muntin.sinks import Email
from muntin.sinks.channels.outbox import Pace
from muntin.values.table import Table
from receivers import certificate_in, letters, sent

CANARY = "c4n4ry"


class Post(Controller):
    """Keeps mails, and answers each with the next of what it was told, then takes it."""

    def __init__(self, **options: Any) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.to: list[list[str]] = []
        self.answers: list[str] = []
        self.unknown: set[str] = set()
        super().__init__(
            self, hostname="127.0.0.1", port=0, authenticator=self.authenticator, **options
        )

    def authenticator(self, server: Any, session: Any, envelope: Any, how: str, pair: Any) -> Any:
        self.logins.append((pair.login, pair.password))
        return AuthResult(success=pair.password != b"wrong", handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802
        if address in self.unknown:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers and not (answer := self.answers.pop(0)).startswith("2"):
            return answer
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.to.append(envelope.rcpt_tos)
        return "250 taken"

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def post() -> Iterator[Post]:
    post = Post()
    post.start()
    yield post
    post.stop()


def mailer(post: Post, to: Any = "oncall@example.com", **options: Any) -> Email:
    options = {"tls": "none", "sender": "muntin@example.com"} | options
    sink = Email(to, server="127.0.0.1", port=post.port, **options)
    sink._outbox.pace = Pace(pause=lambda stop, seconds: None)
    sink.open("alerts", ("id",))
    return sink


def test_an_alert_is_one_mail(post: Post) -> None:
    to = ["a@example.com", "b@example.com"]
    sink = mailer(post, to)
    columns: dict[str, Any] = {"severity": "critical", "rule": "många", "message": "400 € spent"}
    columns |= {"score": 7, "shadow": False, "key": '{"card":"c1"}', "partition": None}
    sent(sink, "0a1b", **{name: [value] for name, value in columns.items()})
    sink.close()
    (mail,) = post.mails
    assert post.to == [to]
    assert mail["From"] == "muntin@example.com"
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["Subject"] == "[muntin] critical många"
    assert mail["Message-ID"] == "<0a1b.muntin@example.com>"
    assert mail["X-Muntin-Id"] == "0a1b"
    assert mail["Date"].datetime is not None
    assert mail.get_content().splitlines() == [
        "400 € spent",
        "",
        "id: 0a1b",
        "severity: critical",
        "rule: många",
        "message: 400 € spent",
        "score: 7",
        "shadow: false",
        'key: {"card":"c1"}',
        "partition: ",
    ]
    assert (sink.waiting, sink.dropped) == (0, 0)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_value_cannot_write_headers_or_other_columns(post: Post, end: str) -> None:
    evil = f"x{end}Bcc: evil@example.com{end}{end}score: 0\u202e\x00"
    sink = mailer(post, subject=f"{{rule}} {{nothing}}{end}Cc: evil@example.com")
    sent(sink, "a", rule=[evil], **{f"n{end}score": [1]}, score=[9])
    sink.close()
    (mail,) = post.mails
    assert mail["Bcc"] is None
    assert mail["Cc"] is None
    assert post.to == [["oncall@example.com"]]
    assert mail["Subject"] == "x Bcc: evil@example.com score: 0 Cc: evil@example.com"
    lines = mail.get_content().splitlines()
    assert [line for line in lines if line.startswith("score:")] == ["score: 9"]


def test_a_repeat_has_the_same_message_id_also_of_rows_without_an_id(post: Post) -> None:
    sink = mailer(post)
    sink.open("stores", ("k",))
    for k in ("a", "a", "b"):
        sink.stage("stores", Table([pa.table({"k": [k]})]))
    sent(sink, "weird@id>", "weird@id>", "..")
    sink.close()
    ids = [mail["Message-ID"] for mail in post.mails]
    assert ids[0] == ids[1] != ids[2]
    assert ids[3] == ids[4] != ids[5]
    assert all(len(each.split(".muntin@")[0]) == 65 for each in ids)


@pytest.mark.parametrize(
    ("answers", "taken", "reasons"),
    [
        (["451 later", "421 later", "250"], ["a", "b"], []),
        (["550 never"], ["b"], ["status 550"]),
        (["451 later"] * 3, ["b"], ["status 451"]),
    ],
)
def test_what_may_pass_is_tried_again(
    post: Post, tmp_path: Path, answers: list[str], taken: list[str], reasons: list[str]
) -> None:
    post.answers = answers
    dead = tmp_path / "dead.jsonl"
    sink = mailer(post, attempts=3, dead_letter=dead)
    sent(sink, "a", "b")
    sink.close()
    assert [mail["X-Muntin-Id"] for mail in post.mails] == taken
    assert [each["reason"] for each in letters(dead)] == reasons


def test_an_address_that_is_refused_is_said(
    post: Post, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    post.unknown = {"gone@example.com"}
    dead = tmp_path / "dead.jsonl"
    for to in (["gone@example.com", "here@example.com"], "gone@example.com"):
        sink = mailer(post, to, dead_letter=dead)
        sent(sink, "a")
        sink.close()
    assert post.to == [["here@example.com"]]
    assert "row a was not accepted for gone@example.com: status 550" in caplog.text
    assert [each["reason"] for each in letters(dead)] == ["status 550"]


def test_a_server_that_is_away_is_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    dead = tmp_path / "dead.jsonl"
    sink = Email(
        "a@b.c", server="127.0.0.1", port=port, sender="a@b.c", attempts=2, dead_letter=dead
    )
    sink._outbox.pace = Pace(pause=lambda stop, seconds: None)
    sink.open("alerts", ("id",))
    sent(sink, "a")
    sink.close()
    assert [(each["sink"], each["attempts"]) for each in letters(dead)] == [
        ("email by 127.0.0.1", 2)
    ]


@pytest.mark.parametrize("password", [CANARY, "wrong"])
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_the_password_goes_to_the_right_server_and_nowhere_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    password: str,
    trusted: bool,
    tls: str,
) -> None:
    caplog.set_level(logging.DEBUG, "muntin")
    pem = certificate_in(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem.with_suffix(".crt")))
    if tls == "ssl":
        # the server takes a login only where it began with STARTTLS itself
        post = Post(ssl_context=context, auth_require_tls=False)
    else:
        post = Post(tls_context=context, require_starttls=True)
    post.start()
    try:
        dead = tmp_path / "dead.jsonl"
        options = {"user": "me", "password": password, "attempts": 2, "dead_letter": dead}
        sink = mailer(post, tls=tls, **options)
        sink.restore(None)
        sink.stage("alerts", Table([pa.table({"id": ["a"]})]))
        state = json.dumps(sink.prepare())
        sink.publish()
        sink.close()
    finally:
        post.stop()
    assert len(post.mails) == (trusted and password == CANARY)
    assert set(post.logins) == ({(b"me", password.encode())} if trusted else set())
    assert len(letters(dead)) == 1 - len(post.mails)
    said = repr(sink) + state + caplog.text + dead.read_text()
    assert password not in said
    assert repr(sink) == "Email('127.0.0.1')"


@pytest.mark.parametrize(
    "options",
    [
        {"to": "nobody"},
        {"to": []},
        {"to": "a@b.c\r\nBcc: d@e.f"},
        {"to": "a@b.c, d@e.f"},
        {"sender": "a@b.c\n"},
        {"server": "smtp.example.com/path"},
        {"server": f"me:{CANARY}@smtp.example.com"},
        {"tls": "tls"},
        {"user": "me"},
        {"user": "me", "password": CANARY, "tls": "none"},
        {"subject": "{"},
        {"subject": "{rule!r}"},
        {"attempts": 0},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    right = {"to": "a@b.c", "server": "smtp.example.com", "sender": "d@e.f"}
    with pytest.raises(SinkError) as caught:
        Email(**(right | options))
    assert CANARY not in str(caught.value)
