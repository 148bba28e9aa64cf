"""Rows that leave by HTTP and by mail, to real servers that answer as badly as real ones do."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.result import Table
from muntin.sinks import Webhook, verify
from muntin.sinks.outbox import Pace

CANARY = "c4n4ry"
PATIENCE_S = 20.0


class Server:
    """Records requests, and answers each with the next of what it was told, then with 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int | tuple[int, dict[str, str]]] = []
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), body))
                outer.gate.wait(PATIENCE_S)
                answer = outer.answers.pop(0) if outer.answers else 200
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(b"answer")

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def stop(self) -> None:
        self.gate.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.requests]

    def ids(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, headers, _ in self.requests]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def hook(server: Server, **options: Any) -> Webhook:
    sink = Webhook(server.url, allow_http=True, allow_private=True, **options)
    sink._outbox.pace = Pace(pause=lambda stop, seconds: None)
    return sink


def sent(sink: mt.Sink, *ids: str, output: str = "alerts", **columns: list[Any]) -> None:
    sink.stage(output, Table([pa.table({"id": list(ids), **columns})]))
    sink.publish()


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does; how long it took says nothing."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def letters(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_alert_is_one_signed_request_with_its_id(server: Server) -> None:
    sink = hook(server, secret=CANARY, headers={"X-Token": "t"})
    sink.open("alerts", ("id",))
    sent(sink, "a1", "a2", message=["héllo", "two"])
    sink.close()
    assert server.rows() == [
        {"id": "a1", "message": "héllo"},
        {"id": "a2", "message": "two"},
    ]
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
    assert (sink.waiting, sink.dropped) == (0, 0)
