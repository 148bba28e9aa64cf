"""Messages of Avro are read by their writer's schema, and rows are written as Avro.

fastavro, an independent implementation, reads what muntin writes and writes what muntin reads.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import struct
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kinds
import muntin as mt
from extremes import EVERY
from muntin.base import core
from muntin.values import show

UTC = dt.UTC
Schema = dict[str, Any]


def record(*fields: tuple[str, Any] | Schema, name: str = "R") -> Schema:
    plain = [f if isinstance(f, dict) else {"name": f[0], "type": f[1]} for f in fields]
    return {"type": "record", "name": name, "fields": plain}


def written(schema: Schema, *rows: dict[str, Any]) -> list[bytes]:
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    out = []
    for row in rows:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, parsed, row)
        out.append(buffer.getvalue())
    return out


def read(schema: str, payload: bytes) -> dict[str, Any]:
    parsed = fastavro.parse_schema(json.loads(schema))
    buffer = io.BytesIO(payload)
    row = fastavro.schemaless_reader(buffer, parsed, None)
    assert buffer.read() == b""
    return row


def decode(columns: dict[str, str], writer: Any, payloads: list[bytes | None], **more: Any) -> Any:
    return mt.decode("avro", columns, payloads, writer=writer, **more)


def details(found: Any) -> list[tuple[int, int | None, str]]:
    table = found.bad.to_arrow()
    return list(
        zip(*(table[name].to_pylist() for name in ("ordinal", "at", "detail")), strict=True)
    )


LOGICAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
FIXED = {
    "type": "fixed",
    "name": "D",
    "size": 4,
    "logicalType": "decimal",
    "precision": 9,
    "scale": 2,
}
VALUES: list[tuple[Any, str, list[Any], list[Any]]] = [
    ("boolean", "bool", [True, False], [True, False]),
    ("int", "i32", [0, -1, 2**31 - 1, -(2**31)], [0, -1, 2**31 - 1, -(2**31)]),
    ("int", "i64", [7], [7]),
    ("int", "f64", [7], [7.0]),
    ("long", "i64", [2**63 - 1, -(2**63), 64, -65], [2**63 - 1, -(2**63), 64, -65]),
    ("long", "u8", [255], [255]),
    ("long", "decimal(12, 2)", [5], [Decimal("5.00")]),
    ("float", "f32", [1.5], [1.5]),
    ("float", "f64", [1.5], [1.5]),
    ("double", "f64", [0.1, float("inf")], [0.1, float("inf")]),
    ("string", "str", ["", "ü€"], ["", "ü€"]),
    ("string", "timestamp[us, UTC]", ["2024-05-01T10:00:00Z"],
     [dt.datetime(2024, 5, 1, 10, tzinfo=UTC)]),
    ("bytes", "binary", [b"", b"\xff"], [b"", b"\xff"]),
    ({"type": "fixed", "name": "F", "size": 2}, "binary", [b"ab"], [b"ab"]),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "str", ["B", "A"], ["B", "A"]),
    ({"type": "int", "logicalType": "date"}, "date", [dt.date(1969, 1, 1)], [dt.date(1969, 1, 1)]),
    ({"type": "int", "logicalType": "time-millis"}, "time",
     [dt.time(1, 2, 3, 4000)], [dt.time(1, 2, 3, 4000)]),
    ({"type": "long", "logicalType": "time-micros"}, "time",
     [dt.time(1, 2, 3, 4)], [dt.time(1, 2, 3, 4)]),
    ({"type": "long", "logicalType": "timestamp-millis"}, "timestamp[us, UTC]",
     [dt.datetime(1960, 5, 1, tzinfo=UTC)], [dt.datetime(1960, 5, 1, tzinfo=UTC)]),
    ({"type": "long", "logicalType": "timestamp-micros"}, "timestamp[ns, UTC]",
     [dt.datetime(2024, 5, 1, 1, 2, 3, 4, UTC)], [dt.datetime(2024, 5, 1, 1, 2, 3, 4, UTC)]),
    ({"type": "long", "logicalType": "local-timestamp-micros"}, "timestamp[us]",
     [dt.datetime(2024, 5, 1, 1, 2, 3, 4)], [dt.datetime(2024, 5, 1, 1, 2, 3, 4)]),
    (LOGICAL, "decimal(9, 2)", [Decimal("19.99"), Decimal("-0.01"), Decimal("0.00")],
     [Decimal("19.99"), Decimal("-0.01"), Decimal("0.00")]),
    (FIXED, "decimal(12, 4)", [Decimal("-1.28")], [Decimal("-1.2800")]),
    ({"type": "string", "logicalType": "uuid"}, "str", ["x"], ["x"]),
    ({"type": "array", "items": "long"}, "list[i64]", [[1, 2], []], [[1, 2], []]),
    ({"type": "array", "items": ["null", "string"]}, "list[str]", [["a", None]], [["a", None]]),
    (record(("a", "long"), ("z", "string"), name="N"), "struct[a: i64]",
     [{"a": 1, "z": "q"}], [{"a": 1}]),
    (["null", "long"], "i64", [None, 5], [None, 5]),
    (["string", "null"], "str", ["a", None], ["a", None]),
    (["int", "double", "null"], "f64", [1, 2.5, None], [1.0, 2.5, None]),
    (["null", record(("a", "long"), name="N")], "struct[a: i64]",
     [None, {"a": 3}], [None, {"a": 3}]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "column", "given", "wanted"), VALUES)
def test_each_type_is_read(kind: Any, column: str, given: list[Any], wanted: list[Any]) -> None:
    schema = record(("before", "string"), ("x", kind), ("after", "long"))
    payloads = written(schema, *({"before": "b", "x": x, "after": 1} for x in given))
    found = decode({"x": column, "after": "i64"}, schema, payloads)
    assert details(found) == []
    rows = found.rows.to_dicts()
    assert repr([row["x"] for row in rows]) == repr(wanted)
    assert {row["after"] for row in rows} == {1}
    # what no column takes is passed over
    assert decode({"after": "i64"}, json.dumps(schema), payloads).rows.to_dicts() == [
        {"after": 1} for _ in given
    ]


def test_recursive_types_and_maps_are_passed_over() -> None:
    node = record(("v", "long"), ("next", ["null", "Node"]), name="Node")
    schema = record(("m", {"type": "map", "values": "double"}), ("n", node), ("x", "int"))
    tree = {"v": 1, "next": {"v": 2, "next": None}}
    payloads = written(schema, {"m": {"a": 1.0, "b": 2.0}, "n": tree, "x": 9})
    assert decode({"x": "i64"}, schema, payloads).rows.to_dicts() == [{"x": 9}]
    deep: Any = None
    for _ in range(200):
        deep = {"v": 0, "next": deep}
    [deep_one] = written(schema, {"m": {}, "n": deep, "x": 9})
    found = decode({"x": "i64"}, schema, [deep_one, *payloads])
    assert found.rows.to_dicts() == [{"x": 9}]
    assert "deeper than 128" in details(found)[0][2]


def test_a_writer_may_have_more_fewer_and_other_fields() -> None:
    reader = record(
        {"name": "id", "type": "long"},
        {"name": "total", "type": "double", "aliases": ["amount"]},
        {"name": "currency", "type": "string", "default": "EUR"},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["none"]},
    )
    old = record(("amount", "float"), ("id", "int"), ("gone", "string"))
    columns = {"id": "i64", "total": "f64", "currency": "str", "tags": "list[str]", "new": "str"}
    payloads = written(old, {"amount": 2.5, "id": 1, "gone": "x"})
    [row] = decode(columns, old, payloads, reader=reader).rows.to_dicts()
    assert row == {"id": 1, "total": 2.5, "currency": "EUR", "tags": ["none"], "new": None}
    # without the reader's schema columns are found by their names alone
    [row] = decode(columns, old, payloads).rows.to_dicts()
    assert row == {"id": 1, "total": None, "currency": None, "tags": None, "new": None}


def test_messages_of_several_schemas_take_turns() -> None:
    one, two = record(("id", "int")), record(("name", "string"), ("id", "long"))
    a, b = (
        written(one, *({"id": i} for i in range(50))),
        written(two, *({"name": f"n{i}", "id": -i} for i in range(50))),
    )
    mixed = [x for i in range(50) for x in (prefixed(1, a[i]), prefixed(2, b[i]), prefixed(3, b""))]
    found = mt.decode(
        "avro", {"id": "i64", "name": "str"}, mixed, confluent=True, schemas={1: one, 2: two}
    )
    wanted = [
        row for i in range(50) for row in ({"id": i, "name": None}, {"id": -i, "name": f"n{i}"})
    ]
    assert found.rows.to_dicts() == wanted
    assert found.ordinals == [i for i in range(150) if i % 3 != 2]
    assert {detail for _, _, detail in details(found)} == {"its schema, id 3, is not known"}


def prefixed(id: int, payload: bytes) -> bytes:
    return struct.pack(">bI", 0, id) + payload


def test_an_unknown_schema_is_asked_for_once() -> None:
    asked: list[int] = []
    known = {1: json.dumps(record(("id", "int"))), 4: "{"}

    def schemas(id: int) -> str | None:
        asked.append(id)
        return known.get(id)

    decoder = core.Decoder("avro", pa.schema([("id", pa.int64())]), '{"confluent": true}', schemas)
    messages = [prefixed(1, b"\x02"), prefixed(3, b""), prefixed(1, b"\x04"), prefixed(4, b"")]
    for _ in range(2):
        rows, _, bad = decoder.decode(messages)
        assert pa.table(rows).to_pylist() == [{"id": 1}, {"id": 2}]
        assert [(ordinal, at) for ordinal, at, _ in bad] == [(1, 0), (3, 0)]
        assert bad[0][2] == "its schema, id 3: the registry has no schema of this id"
        assert bad[1][2].startswith("its schema, id 4: the Avro schema is not valid")
    assert asked == [1, 3, 4]

    def fails(id: int) -> str | None:
        raise mt.SourceError("the registry is away")

    decoder = core.Decoder("avro", pa.schema([("id", pa.int64())]), '{"confluent": true}', fails)
    with pytest.raises(mt.SourceError, match="the registry is away"):
        decoder.decode(messages)


BAD: list[tuple[str, Any, str, bytes, int, str]] = [
    ("empty", "long", "i64", b"", 0, "in the middle of its record"),
    ("cut text", "string", "str", b"\x08ab", 1, "in the middle of its record"),
    ("trailing", "long", "i64", b"\x02\x02", 1, "1 bytes are left after the record"),
    ("long number", "long", "i64", b"\xff" * 10 + b"\x01", 9, "more than 64 bits"),
    ("wide int", "int", "i64", b"\x80" * 4 + b"\x20", 0, "does not fit into 32 bits"),
    ("negative length", "string", "str", b"\x03", 0, "a length is -2"),
    ("not UTF-8", "string", "str", b"\x02\xff", 0, "a text is not UTF-8"),
    ("no such word", {"type": "enum", "name": "E", "symbols": ["A"]}, "str", b"\x02", 0,
     "an enum has no word 1 of 1"),
    ("no such type", ["null", "long"], "i64", b"\x04", 0, "there is no type 2 of 2"),
    ("truth", "boolean", "bool", b"\x02", 0, "a truth value is 2"),
    ("too many digits", LOGICAL, "decimal(4, 2)", b"\x08\x7f\xff\xff\xff", 0,
     'column "x" does not fit decimal(4, 2)'),
    ("range", "long", "i8", b"\x80\x02", 0, 'column "x" does not fit i8: 128'),
    ("another type", "string", "i64", b"\x02a", 0, 'column "x" does not fit i64: "a"'),
    ("list", {"type": "array", "items": "long"}, "i64", b"\x00", 0,
     'column "x" does not fit i64: a list'),
    ("nothing, very often", {"type": "array", "items": "null"}, "list[i64]",
     b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "items without bytes"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=[case[0] for case in BAD])
def test_a_bad_message_leaves_no_trace(case: tuple[str, Any, str, bytes, int, str]) -> None:
    _, kind, column, body, at, detail = case
    schema = record(("n", "long"), ("x", kind))
    valid = {"i64": 5, "i8": 5, "str": "A", "bool": True, "list[i64]": []}.get(column, Decimal(1))
    readable = case[0] not in ("another type", "list")
    good = written(schema, {"n": 1, "x": valid}) if readable else []
    found = decode({"n": "i64", "x": column}, schema, [*good, b"\x04" + body, *good])
    [(ordinal, place, said)] = details(found)
    # the bytes that say how many items there are come before the place
    assert (ordinal, place) == (len(good), at + 1)
    assert detail in said
    assert len(found.rows) == 2 * len(good)
    assert [row["n"] for row in found.rows.to_dicts()] == [1] * 2 * len(good)


@given(st.data())
def test_garbage_is_bad_or_a_row_and_never_an_error(data: st.DataObject) -> None:
    schema = record(
        ("a", {"type": "array", "items": ["null", "string", "long"]}),
        ("m", {"type": "map", "values": "bytes"}),
        ("x", {"type": "long", "logicalType": "timestamp-micros"}),
    )
    good = written(schema, {"a": ["x", None], "m": {"k": b"v"}, "x": dt.datetime(2024, 5, 1)})
    edit = st.tuples(st.integers(0, 30), st.integers(0, 255))
    bad = bytearray(good[0])
    for at, byte in data.draw(st.lists(edit, min_size=1, max_size=4)):
        bad[at % len(bad)] = byte
    cut = data.draw(st.integers(0, len(bad)))
    payloads = [*good, bytes(bad), bytes(bad[:cut]), data.draw(st.binary(max_size=20)), *good]
    found = decode({"a": "list[str]", "x": "timestamp[us, UTC]"}, schema, payloads)
    assert len(found.rows) + len(found.bad) == len(payloads)
    alone = [decode({"a": "list[str]", "x": "timestamp[us, UTC]"}, schema, [p]) for p in payloads]
    assert found.rows.to_dicts() == [row for one in alone for row in one.rows.to_dicts()]
    assert found.rows.to_dicts()[0] == found.rows.to_dicts()[-1]


# ── rows to Avro ────────────────────────────────────────────────────────────────────────────────


@given(st.data())
def test_what_is_written_is_read_back_by_muntin_and_by_fastavro(data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(kinds.WORDS))
    value = st.none() | st.sampled_from(kinds.values(word))
    values = data.draw(st.lists(value, min_size=1, max_size=5))
    plain = kinds.array(values, word, kinds.arrow(word))
    layout = kinds.array(values, word, data.draw(st.sampled_from(kinds.layouts(word))))
    lists = pa.ListArray.from_arrays([0] * len(plain) + [len(plain)], plain)
    struct_of = pa.StructArray.from_arrays([plain], names=["in"])
    table = pa.table({"a": plain, "b": lists, "c": struct_of})
    given_layout = pa.table({"a": layout, "b": lists, "c": struct_of})
    schema = core.avro_schema(table.schema, "com.example.Row")
    payloads = core.encode("avro", given_layout, "{}")
    assert core.encode("avro", table, "{}") == payloads
    decoder = core.Decoder("avro", table.schema, json.dumps({"writer": schema}))
    rows, ordinals, bad = decoder.decode(payloads)
    assert (ordinals, bad) == (None, [])
    again = pa.table(rows)
    assert repr(again.to_pylist()) == repr(table.to_pylist())
    if not word.startswith("timestamp"):
        for payload, row in zip(payloads, table.to_pylist(), strict=True):
            found = read(schema, payload or b"")
            value = found["a"]
            if word == "u64" and value is not None:
                value = int(value)  # 64 bits without a sign are a decimal in Avro
            if word != "duration[us]":
                assert repr(value) == repr(row["a"])


@pytest.mark.parametrize("kind", EVERY)
def test_every_type_is_written_or_refused_by_name(kind: str) -> None:
    table = pa.table({"x": EVERY[kind]})
    try:
        schema = core.avro_schema(table.schema, "Row")
    except mt.SchemaError as error:
        assert 'column "x": ' in str(error)
        with pytest.raises(mt.SchemaError):
            core.encode("avro", table, "{}")
        return
    try:
        payloads = core.encode("avro", table, "{}")
    except mt.DataError as error:
        assert 'column "x": row' in str(error)  # seconds too far for milliseconds
        return
    parsed = fastavro.parse_schema(json.loads(schema))
    if not any(word in kind for word in ("time", "date", "zone")):
        for payload, value in zip(payloads, show.to_python(EVERY[kind]), strict=True):
            found = fastavro.schemaless_reader(io.BytesIO(payload or b""), parsed, None)
            assert (found["x"] is None) == (value is None)


def test_rows_have_the_prefix_of_the_registry() -> None:
    rows = pa.table({"n": [1, None]})
    assert core.encode("avro", rows, '{"id": 258}') == [b"\0\0\0\1\2\2\2", b"\0\0\0\1\2\0"]
    assert core.encode("avro", rows, "{}") == [b"\2\2", b"\0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the schema that messages were written with is not known"),
        ({"writer": "{"}, "the Avro schema is not valid"),
        ({"writer": '"int"'}, "it is not a record"),
        ({"writer": record(("a", "int")), "confluent": True}, "leave out writer="),
        ({"writer": record(("a", "B"))}, 'there is no type "B"'),
        ({"writer": record(("a", "int")), "reader": "3"}, "reader: the Avro schema is not valid"),
        (
            {
                "writer": record(("b", "int")),
                "reader": record({"name": "a", "type": "int", "default": "x"}),
            },
            "which is not of its type",
        ),
    ],
)
def test_wrong_options_say_so(options: dict[str, Any], message: str) -> None:
    with pytest.raises(mt.MuntinError, match=message):
        mt.decode("avro", {"a": "i64"}, [b""], **options)


def test_names_that_avro_does_not_have_are_refused() -> None:
    with pytest.raises(mt.SchemaError, match='column "a b": "a b" is not a name in Avro'):
        core.avro_schema(pa.schema([("a b", pa.int64())]), "Row")
    with pytest.raises(mt.SchemaError, match='"a-b" is not a name in Avro'):
        core.avro_schema(pa.schema([("a", pa.int64())]), "x.a-b")
