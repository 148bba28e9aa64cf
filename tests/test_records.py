"""A broker's messages, read list by list, become rows."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.base import core
from muntin.values.rows import arrow_schema


class Message:
    """As a client of a broker gives it."""

    def __init__(self, value: Any, offset: int, *, partition: int = 0, topic: str = "t") -> None:
        self.it = (value, offset, partition, topic)

    def value(self) -> Any:
        return self.it[0]

    def offset(self) -> int:
        return self.it[1]

    def partition(self) -> int:
        return self.it[2]

    def topic(self) -> str:
        return self.it[3]

    def key(self) -> bytes | None:
        return None if self.it[1] % 2 else b"k%d" % self.it[1]

    def timestamp(self) -> tuple[int, int]:
        return (0, -1) if self.it[1] % 3 == 2 else (1, self.it[1])

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return None if self.it[1] % 2 else [("a", b"x"), ("a", None)]

    def error(self) -> Any:
        return "gone" if self.it[1] < 0 else None


class Other(Message):
    """Of another type than those before it."""


def take(decoder: Any, messages: list[Any], columns: list[str], *, lists: int = 1) -> Any:
    """What a decoder takes of messages that are read in so many lists."""
    records = core.Records(columns)
    bounds = [len(messages) * at // lists for at in range(lists + 1)]
    for start, end in itertools.pairwise(bounds):
        part = messages[start:end]
        assert records.read(part) == [each for each in part if each.error() is not None]
    assert len(records) == sum(each.error() is None for each in messages)
    taken = decoder.take(records)
    assert len(records) == 0
    return taken


def column(batches: Any) -> list[Any]:
    return pa.table(batches).column(0).to_pylist()


@pytest.mark.parametrize("lists", [1, 2, 4, 9])
@pytest.mark.parametrize("last", [Message, Other])
def test_messages_of_a_broker_become_rows(last: type[Message], lists: int) -> None:
    messages = [
        Message(b'{"n": 1}', 10),
        Message(None, -1, topic="none"),
        Message(b'{"n": "x"}', 11),
        Message(b'{"n": 2}', 6, partition=3, topic="u"),
        Message(None, 7, partition=3, topic="u"),
        last(b'{"n": 3}', 14),
    ]
    decoder = core.Decoder("json", arrow_schema([("n", "i64")]), "{}")
    names = ["_key", "_partition", "_offset", "_timestamp", "_headers", "_topic"]
    taken = take(decoder, messages, names, lists=lists)
    rows = pa.table(taken.batch)
    rows.validate(full=True)
    assert rows["n"].to_pylist() == [1, 2, 3]
    assert rows["_key"].to_pylist() == [b"k10", b"k6", b"k14"]
    assert rows["_partition"].to_pylist() == column(taken.partitions) == [0, 3, 0]
    assert rows["_offset"].to_pylist() == column(taken.offsets) == [10, 6, 14]
    assert rows["_timestamp"].type == pa.timestamp("us", "UTC")
    assert rows["_timestamp"].cast(pa.int64()).to_pylist() == [10_000, 6_000, None]
    assert column(taken.timestamps) == rows["_timestamp"].to_pylist()
    assert (
        rows["_headers"].to_pylist()
        == [[{"key": "a", "value": b"x"}, {"key": "a", "value": None}]] * 3
    )
    assert rows["_topic"].to_pylist() == ["t", "u", "t"]
    assert [taken.topic_names[at] for at in column(taken.topics)] == ["t", "u", "t"]
    assert taken.next == {("t", 0): 15, ("u", 3): 8}
    detail = 'column "n" does not fit i64: "x" is of another type'
    assert taken.bad == [("t", 0, 11, b'{"n": "x"}', 6, detail)]
    assert taken.tombstones == 1
    decoder = core.Decoder("json", arrow_schema([("n", "i64")]), '{"tombstones": true}')
    rows = pa.table(take(decoder, messages, [], lists=lists).batch)
    assert rows.to_pydict() == {"n": [1, 2, None, 3]}


def test_messages_of_lost_partitions_are_dropped() -> None:
    messages = [
        Message(b'{"n": %d}' % at, at, partition=at % 3, topic="tu"[at % 2]) for at in range(12)
    ]
    records = core.Records(["_key", "_headers"])
    records.read(messages[:5])
    records.read(messages[5:])
    records.keep({("t", 0), ("u", 1), ("v", 0)})
    assert len(records) == 4
    taken = core.Decoder("json", arrow_schema([("n", "i64")]), "{}").take(records)
    rows = pa.table(taken.batch)
    assert rows["n"].to_pylist() == column(taken.offsets) == [0, 1, 6, 7]
    assert rows["_key"].to_pylist() == [b"k0", None, b"k6", None]
    assert [headers is None for headers in rows["_headers"].to_pylist()] == [False, True] * 2
    assert taken.next == {("t", 0): 7, ("u", 1): 8}


def test_no_messages_of_a_broker_are_no_rows() -> None:
    taken = take(core.Decoder("raw", arrow_schema([("v", "str")]), "{}"), [], ["_key"])
    assert pa.table(taken.batch).schema.names == ["v", "_key"]
    assert (column(taken.partitions), taken.next, taken.bad, taken.topic_names) == ([], {}, [], [])


def test_messages_of_confluents_client_become_rows() -> None:
    kafka = pytest.importorskip("confluent_kafka")
    try:
        kafka.Message()
    except TypeError:
        pytest.skip("this confluent-kafka makes messages only from a broker")
    messages = [
        kafka.Message(topic="t", partition=1, offset=at, key=b"k", value=b'{"n": %d}' % at)
        for at in range(5)
    ]
    taken = take(core.Decoder("json", arrow_schema([("n", "i64")]), "{}"), messages, ["_key"])
    assert pa.table(taken.batch).to_pydict() == {"n": [*range(5)], "_key": [b"k"] * 5}
    assert taken.next == {("t", 1): 5}


def test_wrong_columns_of_messages_are_refused() -> None:
    decoder = core.Decoder("raw", arrow_schema([("_key", "str")]), "{}")
    with pytest.raises(mt.ColumnError, match='no column "_ky"'):
        core.Records(["_ky"])
    with pytest.raises(mt.SchemaError, match='a column "_key" of its own'):
        take(decoder, [], ["_key"])
    with pytest.raises(mt.DataError, match="message 1: a str is not bytes"):
        take(decoder, [Message(b"", 1), Message("x", 2)], [], lists=2)
