"""Rows that leave by HTTP, to real servers that answer as badly as real ones do."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.base.errors import SinkError
from muntin.sinks import Webhook, verify
from muntin.sinks.channels.outbox import Pace, _id
from muntin.sinks.channels.pinned import is_public
from muntin.testing import check_sink
from muntin.values.table import Table
from receivers import PATIENCE_S, Server, certificate_in, letters, sent, until
from runs import MINUTES, Cut, CutShort, rows_at

CANARY = "c4n4ry"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def hook_to(url: str, **options: Any) -> Webhook:
    sink = Webhook(url, allow_http=True, allow_private=True, **options)
    sink._outbox.pace = Pace(pause=lambda stop, seconds: None)
    return sink


def hook(server: Server, **options: Any) -> Webhook:
    return hook_to(server.url, **options)


def test_an_alert_is_one_signed_request_with_its_id(server: Server) -> None:
    sink = hook(server, secret=CANARY, headers={"X-Token": "t"})
    sink.open("alerts", ("id",))
    sent(sink, "a1", "a2", message=["héllo", "two"])
    sink.close()
    assert server.rows() == [{"id": "a1", "message": "héllo"}, {"id": "a2", "message": "two"}]
    assert server.ids() == ["a1", "a2"]
    path, headers, body = server.requests[0]
    assert path == "/hook"
    assert headers["X-Token"] == "t"
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert headers["Content-Type"] == "application/json"
    signature = headers["Muntin-Signature"]
    assert verify(CANARY, signature, body)
    assert not verify("other", signature, body)
    assert not verify(CANARY, signature, body + b" ")
    assert not verify(CANARY, signature, body, now=time.time() + 301)
    assert not verify(CANARY, signature.replace("t=", "t=1"), body)
    assert not verify(CANARY, None, body)
    with pytest.raises(mt.SinkError, match="the header is a bytes, the body a str\nhint: write"):
        verify(CANARY, body, signature)
    assert (sink.waiting, sink.dropped) == (0, 0)


def test_other_rows_are_known_again_by_their_key_and_revision(server: Server) -> None:
    sink = hook(server)
    sink.open("stores", ("k",))
    sink.open("shops", ("k",))
    sink.open("free", ())
    for output, k, v, revision in [
        ("stores", "a", 1, 0),
        ("stores", "a", 1, 0),
        ("stores", "a", 2, 1),
        ("stores", "b", 1, 0),
        ("shops", "a", 1, 0),
        ("free", "a", 1, 0),
        ("free", "a", 2, 0),
    ]:
        row = {"k": [k], "v": [v], "revision": [revision]}
        sink.stage(output, Table([pa.table(row)]))
    sink.publish()
    sink.close()
    first, again, *others = server.ids()
    assert first == again
    assert len({first, *others}) == 6
    assert all(len(each) == 64 for each in server.ids())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_in_order(server: Server, status: int) -> None:
    server.answers = [status, status, 200]
    sink = hook(server)
    sink.open("alerts", ("id",))
    sent(sink, "a", "b")
    sink.close()
    assert server.ids() == ["a", "a", "a", "b"]
    assert sink.dropped == 0


@pytest.mark.parametrize("answer", [400, 401, 404, 410, 422, (302, {"Location": "/other"}), 304])
def test_what_is_final_is_not_tried_again(server: Server, tmp_path: Path, answer: Any) -> None:
    server.answers = [answer]
    dead = tmp_path / "dead.jsonl"
    sink = hook(server, dead_letter=dead)
    sink.open("alerts", ("id",))
    sent(sink, "a", "b")
    sink.close()
    assert server.ids() == ["a", "b"]
    assert {path for path, _, _ in server.requests} == {"/hook"}
    (letter,) = letters(dead)
    status = answer if isinstance(answer, int) else answer[0]
    assert letter.pop("at")
    assert letter == {
        "sink": "webhook to 127.0.0.1",
        "id": "a",
        "reason": f"status {status}",
        "attempts": 1,
        "row": {"id": "a"},
    }
    assert sink.dropped == 1


def test_after_the_last_try_the_next_row_has_its_turn(server: Server, tmp_path: Path) -> None:
    server.answers = [500, 500, 500]
    dead = tmp_path / "dead.jsonl"
    sink = hook(server, attempts=3, dead_letter=dead)
    sink.open("alerts", ("id",))
    sent(sink, "a", "b")
    sink.close()
    assert server.ids() == ["a", "a", "a", "b"]
    assert [(each["id"], each["attempts"]) for each in letters(dead)] == [("a", 3)]


def test_waits_grow_with_jitter_and_the_server_has_the_last_word(server: Server) -> None:
    past, soon = "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:47 GMT"
    server.answers = [
        500,
        500,
        (500, {"Retry-After": "9"}),
        (503, {"Retry-After": "9"}),
        (429, {"Retry-After": soon}),
        (429, {"Retry-After": past}),
        (429, {"Retry-After": "99999999"}),
        (429, {"Retry-After": "soon"}),
    ]
    waits: list[float] = []
    sink = hook(server, attempts=9)
    sink._now = lambda: 17.0
    sink._outbox.pace = Pace(chance=lambda: 0.5, pause=lambda stop, s: waits.append(s))
    sink.open("alerts", ("id",))
    sent(sink, "a")
    sink.close()
    # a Retry-After counts with 429 and 503 alone, and never means a day
    assert waits == [0.25, 0.5, 1.0, 9.0, 30.0, 8.0, 600.0, 30.0]


def test_a_server_that_is_away_and_one_that_hangs_up_are_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ends = threading.Thread(target=lambda: [listener.accept()[0].close() for _ in range(2)])
        ends.start()
        dead = tmp_path / "dead.jsonl"
        sink = hook_to(f"http://127.0.0.1:{port}/", attempts=2, dead_letter=dead)
        sink.open("alerts", ("id",))
        sent(sink, "a")
        until(lambda: sink.waiting == 0)
        ends.join()
    sent(sink, "b")
    sink.close()
    assert [(each["id"], each["attempts"]) for each in letters(dead)] == [("a", 2), ("b", 2)]
    assert "refused" in letters(dead)[1]["reason"]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nX-Drip: "])
def test_a_server_that_drips_is_cut_off(tmp_path: Path, said: bytes) -> None:
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(said)
            while said and not over.wait(0.01):
                connection.sendall(b" ")
            over.wait(PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        dead = tmp_path / "dead.jsonl"
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        sink = hook_to(url, attempts=1, timeout="100ms", dead_letter=dead)
        sink.open("alerts", ("id",))
        sent(sink, "a")
        until(lambda: sink.waiting == 0)
        over.set()
        thread.join()
    sink.close()
    assert [each["id"] for each in letters(dead)] == ["a"]


def test_a_full_outbox_holds_nobody_up(server: Server, tmp_path: Path) -> None:
    server.gate.clear()
    dead = tmp_path / "dead.jsonl"
    sink = hook(server, outbox=2, dead_letter=dead)
    sink.open("alerts", ("id",))
    sent(sink, "a", "b", "c")
    sent(sink, "d")
    assert (sink.waiting, sink.dropped) == (2, 2)
    assert [each["id"] for each in letters(dead)] == ["c", "d"]
    server.gate.set()
    until(lambda: sink.waiting == 0)
    sent(sink, "e")
    sink.close()
    assert server.ids() == ["a", "b", "e"]


def test_without_a_dead_letter_the_id_is_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [400]
    sink = hook(server)
    sink.open("alerts", ("id",))
    sent(sink, "a-17")
    sink.close()
    assert "webhook to 127.0.0.1: row a-17 is given up: status 400" in caplog.text


def test_what_is_left_at_the_end_goes_to_the_dead_letter(server: Server, tmp_path: Path) -> None:
    server.gate.clear()
    dead = tmp_path / "dead.jsonl"
    sink = hook(server, drain="0s", dead_letter=dead)
    sink.open("alerts", ("id",))
    sent(sink, "a", "b")
    sink.close()
    assert [each["id"] for each in letters(dead)] == ["a", "b"]
    assert (sink.waiting, sink.dropped) == (0, 2)


def test_equal_rows_without_a_key_have_ids_of_their_own(server: Server) -> None:
    row = pa.table({"v": [1, 1]})
    first = hook(server, drain="0s")
    first.open("rows", ())
    first.restore(None)
    first.stage("rows", Table([row]))
    state = json.loads(json.dumps(first.prepare()))
    first.stage("rows", Table([row]))
    later = [each["id"] for each in first.prepare()["waiting"]]
    assert len(set(later)) == 4
    first.close()
    # a replay gives the same ids again, and not those of the rows before
    second = hook(server)
    second.open("rows", ())
    second.restore(state)
    second.stage("rows", Table([row]))
    second.publish()
    second.close()
    assert server.ids() == later


def test_a_row_is_in_the_outbox_until_it_is_in_the_dead_letter(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is taken between the two finds it in one of them."""
    server.answers = [400]
    sink = hook(server, dead_letter=tmp_path / "dead.jsonl")
    sink.open("alerts", ("id",))
    sink.restore(None)
    seen: list[tuple[list[str], list[str]]] = []
    give_up = sink._outbox._give_up

    def watched(item: Any, *more: Any) -> None:
        for _ in range(2):
            waiting = [each["id"] for each in sink.prepare()["waiting"]]
            seen.append((waiting, [each["id"] for each in letters(tmp_path / "dead.jsonl")]))
            give_up(item, *more) if len(seen) == 1 else None

    monkeypatch.setattr(sink._outbox, "_give_up", watched)
    sent(sink, "a")
    until(lambda: sink.waiting == 0)
    sink.close()
    assert seen == [(["a"], []), (["a"], ["a"])]


@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_end_of_a_run_waits_no_longer_than_drain(
    checkpoint: bool, server: Server, tmp_path: Path
) -> None:
    server.gate.clear()
    sink = hook(server, drain="500ms", dead_letter=tmp_path / "dead.jsonl")
    table = pa.table({"at": pa.array([0], pa.timestamp("us", "UTC"))})
    stream = mt.stream(time="at", out_of_order="0s")
    start = time.monotonic()
    mt.run(mt.sources.Arrow(table), stream, sinks=[sink],
           checkpoint=tmp_path / "state" if checkpoint else None)  # fmt: skip
    assert 0.4 < time.monotonic() - start < 5


def test_with_checkpoints_what_is_left_waits_for_the_next_start(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead = tmp_path / "dead.jsonl"
    server.gate.clear()
    first = hook(server, drain="0s", dead_letter=dead)
    first.open("alerts", ("id",))
    first.restore(None)
    sent(first, "a")
    until(lambda: server.ids() == ["a"])
    first.stage("alerts", Table([pa.table({"id": ["b"], "score": [1.5]})]))
    state = json.loads(json.dumps(first.prepare()))
    assert [each["id"] for each in state["waiting"]] == ["a", "b"]
    first.publish()
    first.close()
    assert letters(dead) == []
    assert "2 rows were not sent; the checkpoint keeps them" in caplog.text

    server.gate.set()
    server.requests.clear()
    second = hook(server)
    second.open("alerts", ("id",))
    second.restore(state)
    second.close()
    assert server.rows() == [{"id": "a"}, {"id": "b", "score": 1.5}]


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1
    100.100.100.200 169.254.169.254 169.254.0.1 168.63.129.16 192.0.0.192 198.18.0.1 203.0.113.1
    224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
    ::127.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 2002:7f00:1:: 2001:0:a00:1:: 2001:db8::1 fe80::1
    fc00::1 fd00:ec2::254 fec0::1 ff02::1 ff0e::1""".split(),
)
def test_addresses_that_are_nobodys_business_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(SinkError, match=r"not a public one\nhint: .*allow_private=True"):
        Webhook(f"https://{host}/")
    Webhook(f"https://{host}/", allow_private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Names lead to these addresses, whatever the machine says; gives the names asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def found(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host in addresses or host.startswith("127."):
            return real(host, port, *args, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


def test_one_private_address_among_many_is_enough(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "8.8.8.8", "127.0.0.1")
    dead = tmp_path / "dead.jsonl"
    url = f"http://hooks.example.com:{server.port}/"
    sink = Webhook(url, allow_http=True, dead_letter=dead)
    sink.open("alerts", ("id",))
    sent(sink, "a")
    sink.close()
    (letter,) = letters(dead)
    assert letter["attempts"] == 1
    assert letter["reason"].endswith("leads to 127.0.0.1, which is not a public address")
    assert server.requests == []


def test_the_name_is_asked_once_and_kept_in_the_request(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, "127.0.0.1")
    sink = hook_to(f"http://hooks.example.com:{server.port}/in?a=1")
    sink.open("alerts", ("id",))
    sent(sink, "a")
    sink.close()
    assert asked == ["hooks.example.com"]
    ((path, headers, _),) = server.requests
    assert (path, headers["Host"]) == ("/in?a=1", f"hooks.example.com:{server.port}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("name", ["hooks.example.com", "other.example.com"])
def test_the_certificate_must_be_of_the_name(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    seen: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda sock, asked, _: seen.append(asked)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    resolving(monkeypatch, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    dead = tmp_path / "dead.jsonl"
    url = f"https://{name}:{server.port}/"
    sink = Webhook(url, allow_private=True, attempts=1, dead_letter=dead)
    sink.open("alerts", ("id",))
    sent(sink, "a")
    sink.close()
    assert seen == [name]
    if name == "hooks.example.com":
        assert server.ids() == ["a"]
    else:
        assert server.ids() == []
        assert "CERTIFICATE_VERIFY_FAILED" in letters(dead)[0]["reason"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"hooks.example.com/{CANARY}",
        f"ftp://{CANARY}@hooks.example.com/",
        f"https:///{CANARY}",
        f"https://hooks.example.com:99999/{CANARY}",
        f"https://[{CANARY}/",
        f"https://hooks.example.com/{CANARY} HTTP/1.1",
        f"https://{'a' * 64}.example.com/{CANARY}",
        f"http://user:{CANARY}@hooks.example.com/{CANARY}",
    ],
)
def test_a_url_that_cannot_be_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SinkError, match="hint: ") as caught:
        Webhook(url)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X-Token": f"{CANARY}\r\nX-More: 1"}},
        {"headers": {f"X {CANARY}": "a"}},
        {"headers": {"idempotency-KEY": CANARY}},
        {"headers": {"X-Token": f"{CANARY}\u20ac"}},
        {"secret": ""},
        {"attempts": 0},
        {"outbox": True},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SinkError, match=r"webhook to hooks\.example\.com: ") as caught:
        Webhook("https://hooks.example.com/", **options)
    assert CANARY not in str(caught.value)


def test_secrets_are_nowhere_but_in_the_request(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers = [500, 404, 503]
    dead = tmp_path / "dead.jsonl"
    url = f"http://user:{CANARY}1@127.0.0.1:{server.port}/{CANARY}2?token={CANARY}3"
    sink = hook_to(
        url, secret=f"{CANARY}4", headers={"X-Token": f"{CANARY}5"}, attempts=2, dead_letter=dead
    )
    sink.open("alerts", ("id",))
    sink.restore(None)
    sent(sink, "a", "b")
    sink.stage("alerts", Table([pa.table({"id": ["c"]})]))
    state = json.dumps(sink.prepare())
    sink.close()
    path, headers, _ = server.requests[0]
    pair = base64.b64encode(f"user:{CANARY}1".encode()).decode()
    assert headers["Authorization"] == f"Basic {pair}"
    assert path == f"/{CANARY}2?token={CANARY}3"
    assert headers["X-Token"] == f"{CANARY}5"
    shown = repr(sink) + state + caplog.text + dead.read_text()
    assert "row a: status 500" in shown
    assert CANARY not in shown
    assert pair not in shown


@pytest.mark.slow
def test_every_row_arrives_whenever_the_process_dies(server: Server) -> None:
    made: list[Webhook] = []

    def make() -> Webhook:
        made.append(hook(server))
        return made[-1]

    def read() -> list[dict[str, Any]]:
        until(lambda: not any(sink.waiting for sink in made))
        return server.rows()

    check_sink(make, read, clear=server.requests.clear, repeats=True)


EVENTS = rows_at(*range(0, 1200, 20))


def test_a_run_that_dies_delivers_every_alert_at_least_once(server: Server, tmp_path: Path) -> None:
    rule = mt.rule("any", "n > 0", by="k")
    ids = {each["id"] for each in mt.collect(MINUTES, EVENTS, rules=[rule]).alerts.to_dicts()}
    assert len(ids) == 20

    def run(polls: float, drain: str) -> None:
        mt.run(
            CutShort(EVENTS, polls),
            MINUTES,
            rules=[rule],
            alerts=[hook(server, drain=drain)],
            checkpoint=mt.Checkpoint(tmp_path / "state", every="0s"),
        )

    server.gate.clear()
    with pytest.raises(Cut):
        run(8, drain="0s")
    until(lambda: len(server.ids()) == 1)
    with pytest.raises(Cut):
        run(6, drain="0s")
    server.answers = [500, 503, 500, 200, 429] * 4
    server.gate.set()
    server.requests.clear()
    run(float("inf"), drain="20s")
    assert set(server.ids()) == ids


def test_an_id_of_alerts_is_kept_as_long_as_receivers_take_it() -> None:
    for text, kept in (("x" * 255, True), ("x" * 256, False), ("é", False), ("a b", False)):
        made = _id("rows", ("id",), {"id": text}, 0)
        assert (made == text) is kept and len(made) <= 255
