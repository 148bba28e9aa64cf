"""Rows become bytes in Rust, in the very forms that `muntin.values.show` gives them in Python."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kinds
import muntin as mt
from extremes import EVERY
from muntin.base import core
from muntin.values import show

PYTHON = msgspec.json.Encoder()


def by_python(table: pa.Table) -> list[bytes]:
    return [PYTHON.encode(row) for row in show.rows(table, show.to_json)]


def plain_key(column: pa.Array) -> list[bytes | None]:
    return [None if text is None else text.encode() for text in show.to_text(column).to_pylist()]


@st.composite
def columns(draw: st.DrawFn, size: int, depth: int = 2) -> pa.Array:
    """A column of some type, in some layout, with values of the type and nulls."""
    shape = draw(st.sampled_from(["plain"] * 3 + ["list", "struct", "map"] * (depth > 0)))
    if shape == "plain":
        word = draw(st.sampled_from(kinds.WORDS))
        value = st.none() | st.sampled_from(kinds.values(word, huge=True))
        values = draw(st.lists(value, min_size=size, max_size=size))
        return kinds.array(values, word, draw(st.sampled_from(kinds.layouts(word))))
    valid = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    if shape == "struct":
        names = draw(st.lists(st.sampled_from(["a", 'q"', "é", "a b"]), min_size=1, unique=True))
        fields = [draw(columns(size, depth - 1)) for _ in names]
        return pa.StructArray.from_arrays(fields, names=names, mask=pa.array(valid, pa.bool_()))
    lengths = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    ends = [sum(lengths[:i]) for i in range(size + 1)]
    items = draw(columns(ends[-1], depth - 1))
    if shape == "map":
        keys = pa.array([str(i) for i in range(ends[-1])], pa.string())
        return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, items)
    make = draw(st.sampled_from([pa.ListArray, pa.LargeListArray]))
    size_of = pa.int32() if make is pa.ListArray else pa.int64()
    return make.from_arrays(pa.array(ends, size_of), items, mask=pa.array(valid, pa.bool_()))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    size = draw(st.integers(0, 5))
    # the interface between Arrow libraries ends a name at its first zero
    name = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)
    names = draw(st.lists(name, min_size=1, max_size=3, unique=True))
    table = pa.table({name: draw(columns(size)) for name in names})
    start = draw(st.integers(0, size))
    return pa.concat_tables([table.slice(start), table.slice(0, start)])


@given(tables())
def test_the_json_of_a_row_is_what_python_writes(table: pa.Table) -> None:
    assert core.encode("json", table, "{}") == by_python(table)
    assert core.encode_lines("json", table, "{}") == b"".join(x + b"\n" for x in by_python(table))


@pytest.mark.parametrize("kind", EVERY)
def test_every_value_is_written_as_python_writes_it(kind: str) -> None:
    for column in (EVERY[kind], EVERY[kind].slice(1)):
        table = pa.table({"x": column, "n": range(len(column))})
        assert core.encode("json", table, "{}") == by_python(table)
        nested = pa.table({"x": pa.StructArray.from_arrays([column], names=["y"])})
        assert core.encode("json", nested, "{}") == by_python(nested)
        key = core.encode("key", pa.table({"x": column}), "{}")
        if show.is_binary(show.plain_type(column.type)):
            assert key == column.to_pylist()
        else:
            assert key == plain_key(column)


@given(st.data())
def test_the_source_of_json_reads_every_row_back(data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(kinds.WORDS))
    value = st.none() | st.sampled_from(kinds.values(word, huge=True))
    plain = kinds.array(data.draw(st.lists(value, min_size=1)), word, kinds.arrow(word))
    lists = pa.ListArray.from_arrays([0, len(plain)], plain)
    table = pa.table({"a": plain.slice(0, 1), "b": lists})
    text = core.encode_lines("json", table, "{}")
    read = core.json_lines(text, table.schema, [])
    assert read is not None
    rows, numbers, left, count = read
    assert (numbers, left, count) == (None, [], 1)
    assert repr(pa.table(rows).to_pylist()) == repr(table.to_pylist())


def test_a_key_is_a_plain_text_or_an_object() -> None:
    rows = pa.table({"card": ["a", None, 'q"'], "n": [1, 2, None], "raw": [b"\xff", None, b""]})
    assert core.encode("key", rows.select(["card"]), "{}") == [b"a", None, b'q"']
    assert core.encode("key", rows.select(["n"]), "{}") == [b"1", b"2", None]
    assert core.encode("key", rows.select(["raw"]), "{}") == [b"\xff", None, b""]
    both = [b'{"card":"a","n":1}', b'{"card":null,"n":2}', b'{"card":"q\\"","n":null}']
    assert core.encode("key", rows.select(["card", "n"]), "{}") == both


def test_rows_of_any_library_are_taken() -> None:
    frame = pl.DataFrame({"a": [1, None], "s": ["x", "ü"]})
    assert core.encode("json", frame, "{}") == [b'{"a":1,"s":"x"}', '{"a":null,"s":"ü"}'.encode()]
    assert core.encode("json", mt.Table([frame]), "{}") == core.encode("json", frame, "{}")
    assert core.encode("json", frame.clear(), "{}") == []
    assert core.encode("json", pa.table({"a": [1]}).select([]), "{}") == [b"{}"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (("xml", pa.table({"a": [1]}), "{}"), mt.PlanError, '"xml" is not a format of rows'),
        (("json", pa.table({"a": [1]}), '{"x":1}'), mt.PlanError, 'options of the format "json"'),
        (("key", pa.table({}), "{}"), mt.SchemaError, "a key has no column"),
        (
            ("json", pa.table([[1], [2]], names=["a", "a"]), "{}"),
            mt.SchemaError,
            'two columns have the name "a"',
        ),
        (("json", 3, "{}"), mt.DataError, "int does not export Arrow data"),
    ],
)
def test_what_cannot_be_encoded_says_why(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        core.encode(*call)


def test_json_is_json() -> None:
    rows = pa.table({"x": [{"a": [1.5, None]}, None], "t": ["\x00\x1f\x7f\u2028", '"\\/']})
    found = [json.loads(row or b"") for row in core.encode("json", rows, "{}")]
    assert found == rows.to_pylist()
