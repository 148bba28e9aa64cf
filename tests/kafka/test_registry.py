"""Avro with the ids of a real registry: Apicurio."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

import pyarrow as pa
import pytest

import muntin as mt
from kafka.registry import missing, started
from muntin.base import core
from muntin.clients.registry import Registry
from muntin.sinks.topics.encode import avro_values

pytestmark = pytest.mark.slow

OLD = {"type": "record", "name": "R", "fields": [{"name": "id", "type": "int"}]}
NEW = OLD | {"fields": [{"name": "name", "type": "string"}, {"name": "id", "type": "long"}]}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := missing():
        pytest.skip(reason)
    with started(tmp_path_factory.mktemp("registry")) as url:
        yield url


def prefixed(id: int, payload: bytes) -> bytes:
    return struct.pack(">bI", 0, id) + payload


def test_schemas_have_ids_and_messages_are_read_by_them(address: str) -> None:
    registry = Registry(address)
    old = registry.register("cards-value", json.dumps(OLD))
    new = registry.register("cards-value", json.dumps(NEW))
    assert registry.register("cards-value", json.dumps(OLD)) == old != new
    assert json.loads(Registry(address).schema(old) or "") == OLD
    assert Registry(address).schema(99_999) is None
    messages = [prefixed(old, b"\x02"), prefixed(new, b"\x02a\x04"), prefixed(99_999, b"")]
    found = mt.decode("avro", {"id": "i64", "name": "str"}, messages * 2, registry=address)
    rows = [{"id": 1, "name": None}, {"id": 2, "name": "a"}]
    assert found.rows.to_dicts() == rows * 2
    assert (
        found.bad["detail"].to_pylist()
        == ["its schema, id 99999: the registry has no schema of this id"] * 2
    )


def test_a_sink_registers_the_schema_of_its_rows(address: str) -> None:
    rows = pa.table({"card": ["a", None], "n": pa.array([1, 2], pa.uint64())})
    payloads = avro_values("scored.cards", Registry(address))(mt.Table([rows]))
    found = mt.decode("avro", {"n": "u64", "card": "str"}, payloads, registry=address)
    assert found.rows.to_dicts() == [{"n": 1, "card": "a"}, {"n": 2, "card": None}]
    id = struct.unpack(">bI", payloads[0][:5])[1]
    text = json.loads(Registry(address).schema(id) or "")
    assert text == json.loads(core.avro_schema(rows.schema, "scored_cards"))


def test_what_a_registry_refuses_is_an_error_with_its_words(address: str) -> None:
    with pytest.raises(mt.SourceError, match=r"subjects/x-value/versions: status 4"):
        Registry(address).register("x-value", "{not a schema")
