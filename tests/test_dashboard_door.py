"""No number of visitors may take what the run needs. Real sockets, few and for a short time."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from muntin.monitor.dashboard import Dashboard, door, server
from muntin.monitor.dashboard.door import WAITING_PER_PEER, _peer
from pages import FakeLoop, eventually, page, sale

TOKEN = "0123456789abcdef-token"


@contextmanager
def dialled(url: str, number: int) -> Iterator[list[socket.socket]]:
    """Connections that have sent nothing."""
    parts = httpx.URL(url)
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((parts.host, parts.port), 10))
            for _ in range(number)
        ]


def ended(wires: list[socket.socket]) -> list[socket.socket]:
    """Those that the other side has closed."""
    readable, _, _ = select.select(wires, [], [], 0)
    return [wire for wire in readable if is_closed(wire)]


def is_closed(wire: socket.socket) -> bool:
    try:
        return wire.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def test_idle_connections_are_few_and_do_not_shut_others_out() -> None:
    with page(Dashboard(":0", token=TOKEN)) as served, dialled(served.url, 200) as wires:
        eventually(lambda: len(ended(wires)), lambda n: n == 200 - WAITING_PER_PEER)
        # the newest stay, so whoever sends a request at once is answered
        assert set(ended(wires)) == set(wires[: 200 - WAITING_PER_PEER])
        for _ in range(5):
            assert httpx.get(f"{served.url}metrics?token={TOKEN}").status_code == 200


def test_connections_in_all_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "CONNECTIONS_MAX", 8)
    with page() as served, dialled(served.url, 40) as wires:
        eventually(lambda: len(ended(wires)), lambda n: n == 32)
        assert httpx.get(f"{served.url}healthz").status_code == 200


@pytest.mark.parametrize(
    "drip",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"POST / HTTP/1.1\r\n",
     b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"],
)  # fmt: skip
def test_a_request_that_does_not_come_to_its_end_is_closed(
    drip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "WAIT_S", 0.3)
    monkeypatch.setattr(door, "_SWEEP_S", 0.05)
    with page() as served, dialled(served.url, 1) as (wire,):
        wire.sendall(drip)
        start = time.monotonic()
        while time.monotonic() - start < 5:
            try:
                # byte by byte, so that it is never quite idle
                wire.sendall(b"x" if drip else b"")
            except OSError:
                break
            if wire in ended([wire]):
                break
            time.sleep(0.02)
        assert 0 <= time.monotonic() - start < 4


def test_a_visitor_who_reads_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STALL_S", 0.3)
    monkeypatch.setattr(door, "_SWEEP_S", 0.05)
    with page() as served, dialled(served.url, 1) as (wire,):
        asked = b"GET /uplot/uPlot.iife.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        wire.sendall(asked * 200)
        wires = served._server._door._wires
        eventually(lambda: len(wires), lambda n: n == 1)
        eventually(lambda: len(wires), lambda n: n == 0)


def test_streams_stay_while_others_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "WAIT_S", 0.2)
    monkeypatch.setattr(door, "_SWEEP_S", 0.05)
    with page() as served:
        loop = FakeLoop(served)
        with httpx.stream("GET", f"{served.url}events", timeout=20) as answer:
            lines = answer.iter_lines()
            next(lines)
            with dialled(served.url, 100) as wires:
                eventually(lambda: len(ended(wires)), lambda n: n == 100)
            loop.push([sale(0, "a")])
            assert any('"moment"' in line for line in lines)


def test_no_more_than_the_allowed_streams_even_if_all_come_at_once() -> None:
    head = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    # each waits for its answer, so none of them counts as idle
    with page() as served, dialled(served.url, WAITING_PER_PEER) as first:
        for wire in first:
            wire.sendall(head)
        with dialled(served.url, 20) as more:
            for wire in more:
                wire.sendall(head)
            codes = [wire.recv(12).split()[1] for wire in [*first, *more]]
            assert codes.count(b"200") == server.STREAMS_MAX
            assert codes.count(b"503") == 52 - server.STREAMS_MAX
    assert served._server._streams == 0


def test_a_head_for_events_takes_no_stream() -> None:
    with page() as served:
        answer = httpx.head(f"{served.url}events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert served._server._streams == 0


def test_a_head_that_is_too_large_is_refused() -> None:
    with page() as served:
        url = f"{served.url}healthz"
        assert httpx.get(url, headers={"x": "y" * 8_000}).status_code == 200
        # it may be closed while the head is still sent
        with suppress(httpx.TransportError):
            assert httpx.get(url, headers={"x": "y" * 400_000}).status_code in (400, 431)


def test_peers_are_told_apart_by_network() -> None:
    assert _peer("10.0.0.1") != _peer("10.0.0.2")
    assert _peer("2001:db8::1") == _peer("2001:db8::ffff")
    assert _peer("2001:db8:0:1::1") != _peer("2001:db8::1")
    assert _peer("::ffff:10.0.0.1") != _peer("::ffff:10.0.0.2")
    assert _peer("fe80::1%eth0") == _peer("fe80::2%eth0")
    assert _peer("no address") == "no address"


FLOODED = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
from muntin.monitor.dashboard import Dashboard, door, serve
door.WAITING_PER_PEER = 1000            # so that file handles are the limit that holds
page = serve(Dashboard(":0", token="0123456789abcdef"))
print(page.url, flush=True)
sys.stdin.readline()
opened = [open("/dev/null") for _ in range(20)]
print(len(page._server._door._wires), flush=True)
sys.stdin.readline()
for each in opened:
    each.close()
page.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_the_last_file_handles_are_the_runs() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FLOODED], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        url = process.stdout.readline().strip()
        with dialled(url, 300) as wires:
            eventually(lambda: len(ended(wires)), lambda n: n > 200)
            process.stdin.write("\n")
            process.stdin.flush()
            taken = int(process.stdout.readline())
            assert 30 < taken < 72
        process.stdin.write("\n")
        process.stdin.flush()
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert said.count("file handles") == 1
