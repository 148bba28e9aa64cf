"""The client of schema registries: what it asks, keeps, hides and says."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import muntin as mt
from muntin.clients import registry as module
from muntin.clients.registry import Registry, registry_of

CANARY = "c4n4ry-s3cret"
SCHEMA = '{"type": "record", "name": "R", "fields": [{"name": "id", "type": "long"}]}'


class Server(ThreadingHTTPServer):
    """Answers with what `answers` has for a path, in turn; the last one stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, bytes, dict[str, str]]]] = {}
        self.asked: list[tuple[str, str, str | None, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, path: str, *answers: Any) -> None:
        self.answers[path] = [
            (status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
            for status, body, *more in answers
            for headers in [more[0] if more else {}]
        ]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = (self.command, self.path, self.headers.get("Authorization"), body)
        self.server.asked.append(asked)
        unknown = [(404, b'{"error_code": 40403, "message": "Schema not found"}', {})]
        answers = self.server.answers.get(self.path, unknown)
        status, said, headers = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES", (0, 0))


def test_a_schema_is_fetched_once(server: Server) -> None:
    server.say("/schemas/ids/7", (200, {"schema": SCHEMA}))
    registry = Registry(server.url + "/")
    assert [registry.schema(7), registry.schema(7), registry.schema(8)] == [SCHEMA, SCHEMA, None]
    assert [path for _, path, *_ in server.asked] == ["/schemas/ids/7", "/schemas/ids/8"]


def test_a_schema_is_registered_once(server: Server) -> None:
    server.say("/subjects/a%2Fb-value/versions", (200, {"id": 3}))
    registry = Registry(server.url)
    assert [registry.register("a/b-value", SCHEMA) for _ in range(2)] == [3, 3]
    [(method, _, _, body)] = server.asked
    assert (method, json.loads(body)) == ("POST", {"schema": SCHEMA, "schemaType": "AVRO"})


def test_a_message_is_decoded_with_the_schema_of_its_id(server: Server) -> None:
    server.say("/schemas/ids/7", (200, {"schema": SCHEMA}))
    messages = [b"\0\0\0\0\7\2", b"\0\0\0\0\x08\2", b"\1", b"", None]
    found = mt.decode("avro", {"id": "i64"}, messages, registry=server.url)
    assert found.rows.to_dicts() == [{"id": 1}]
    assert found.bad["ordinal"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    "given",
    [
        lambda url: url.replace("http://", f"http://me:{CANARY}@"),
        lambda url: {"url": url, "user": "me", "password": CANARY},
        lambda url: {"url": url.replace("http://", f"http://you:{CANARY}@"), "token": CANARY},
    ],
    ids=["address", "password", "token"],
)
def test_secrets_are_sent_and_never_shown(server: Server, given: Any) -> None:
    value = given(server.url)
    registry = registry_of(value)
    shown = [repr(registry), str(registry)]
    server.say("/schemas/ids/1", (401, {"error_code": 401, "message": "who are you"}))
    server.say("/schemas/ids/2", (500, b"no JSON"))
    server.say("/schemas/ids/3", (200, b"<html>"))
    server.say("/schemas/ids/4", (302, b"", {"Location": f"{server.url}/elsewhere"}))
    server.say("/schemas/ids/5", (404, b"not found"))
    for id in range(1, 6):
        with pytest.raises(mt.SourceError) as caught:
            registry.schema(id)
        assert f"{server.url}/schemas/ids/{id}" in str(caught.value)
        assert caught.value.__cause__ is None
        shown.append(str(caught.value))
    server.shutdown()
    server.server_close()
    with pytest.raises(mt.SourceError, match="the schema registry does not answer") as caught:
        registry.schema(6)
    shown.append(str(caught.value))
    secret = base64.b64encode(f"me:{CANARY}".encode()).decode()
    assert not any(CANARY in text or secret in text for text in shown)
    assert "/elsewhere" not in [path for _, path, *_ in server.asked]
    bearer = isinstance(value, dict) and "token" in value
    sent = f"Bearer {CANARY}" if bearer else f"Basic {secret}"
    assert {authorization for _, _, authorization, _ in server.asked} == {sent}


def test_a_registry_that_fails_for_a_moment_is_asked_again(server: Server) -> None:
    server.say("/schemas/ids/7", (503, b""), (500, b""), (200, {"schema": SCHEMA}))
    assert Registry(server.url).schema(7) == SCHEMA
    assert len(server.asked) == 3


def test_what_a_registry_says_is_in_the_error(server: Server) -> None:
    refused = {"error_code": 409, "message": "incompatible with an earlier schema"}
    server.say("/subjects/x-value/versions", (409, refused))
    with pytest.raises(mt.SinkError, match="status 409: incompatible with an earlier schema"):
        Registry(server.url, error=mt.SinkError).register("x-value", SCHEMA)
    server.say("/schemas/ids/7", (200, {"schema": SCHEMA, "references": [{"name": "E"}]}))
    with pytest.raises(mt.SourceError, match="refers to other schemas"):
        Registry(server.url).schema(7)
    server.say("/schemas/ids/8", (200, {"schema": 3}))
    with pytest.raises(mt.SourceError, match='the answer has no "schema"'):
        Registry(server.url).schema(8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (f"file:///etc/{CANARY}", "not http:// or https://"),
        (f"http://h?key={CANARY}", "not http:// or https://"),
        (f"http://h:{CANARY}", "the address is not valid"),
        ("http://", "not http:// or https://"),
        ({"uri": CANARY}, 'unknown part of registry "uri"'),
        ({"password": CANARY}, 'the dict has no "url"'),
        ([CANARY], "not a list"),
        ({"url": "http://h", "timeout": 0}, "timeout=0 is not a number of seconds"),
    ],
)
def test_what_is_not_a_registry_is_refused(given: Any, message: str) -> None:
    with pytest.raises(mt.SourceError, match=message) as caught:
        mt.decode("avro", {"id": "i64"}, [], registry=given)
    assert CANARY not in str(caught.value)


def test_a_sink_takes_a_registry_for_avro_alone() -> None:
    pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")
    with pytest.raises(mt.SinkError, match='registry= with format="json"'):
        mt.sinks.Kafka("t", servers="localhost:1", registry="http://localhost:1")
    sink = mt.sinks.Kafka(
        "t", servers="localhost:1", format="avro", registry=f"http://me:{CANARY}@localhost:1"
    )
    assert CANARY not in repr(sink)
