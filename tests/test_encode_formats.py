"""Rows as CSV and Arrow: what others read of them, and that `mt.decode` reads them back."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kinds
import muntin as mt
from extremes import EVERY
from muntin.base import core
from muntin.sinks.files.csv import _lines
from test_encode import columns, tables


def opened(message: bytes | None) -> pa.Table:
    return pa.ipc.open_stream(message or b"").read_all()


def plain(kind: pa.DataType) -> pa.DataType:
    """A type without dictionaries and views, as a message has it."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_list_view(kind):
        return pa.list_(plain(kind.value_type))
    return kind


@given(tables())
def test_a_csv_message_is_a_line_of_the_file(table: pa.Table) -> None:
    assert core.encode_lines("csv", table, "{}") == bytes(_lines(table.combine_chunks()))


@pytest.mark.parametrize("kind", EVERY)
def test_every_value_is_written_as_in_a_file_of_csv(kind: str) -> None:
    for column in (EVERY[kind], EVERY[kind].slice(1)):
        for more in ({}, {"n": range(len(column))}):
            table = pa.table({"x": column, **more})
            assert core.encode_lines("csv", table, "{}") == bytes(_lines(table))


def test_other_readers_of_csv_find_the_fields() -> None:
    texts = ['a"b', "c,d", "e\nf", "", "é", '"']
    rows = core.encode("csv", pa.table({"t": texts, "n": range(6)}), "{}")
    found = [next(csv.reader(io.StringIO((row or b"").decode(), newline=""))) for row in rows]
    assert found == [[text, str(n)] for n, text in enumerate(texts)]


def values(draw: Any, word: str) -> pa.Array:
    value = st.none() | st.sampled_from(kinds.values(word))
    held = draw(st.lists(value, min_size=1, max_size=4))
    return kinds.array(held, word, draw(st.sampled_from(kinds.layouts(word))))


@pytest.mark.parametrize("format", ["csv", "arrow"])
@given(data=st.data())
def test_decode_reads_every_row_back(format: str, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(kinds.WORDS))
    column = values(data.draw, word)
    table = pa.table({"x": column, "n": range(len(column))})
    messages = core.encode(format, table, "{}")
    found = mt.decode(format, {"x": word, "n": "i64"}, messages)
    assert found.bad.to_dicts() == []
    assert repr(found.rows.to_arrow().to_pylist()) == repr(
        pa.table({"x": column.cast(plain(column.type)), "n": table["n"]})
        .cast(found.rows.to_arrow().schema)
        .to_pylist()
    )


@given(st.data())
def test_pyarrow_reads_every_row_of_arrow(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 4))
    table = pa.table({"x": data.draw(columns(size)), "n": range(size)})
    messages = core.encode("arrow", table, "{}")
    found = [opened(message) for message in messages]
    assert [each.num_rows for each in found] == [1] * size
    assert repr([each.to_pylist()[0] for each in found]) == repr(table.to_pylist())


@pytest.mark.parametrize("kind", EVERY)
def test_pyarrow_reads_each_value_of_arrow(kind: str) -> None:
    column = EVERY[kind]
    table = pa.table({"x": column})
    shown = None
    with suppress(Exception):  # pyarrow cannot show what is beyond its own types
        shown = [str(value) for value in column]
    found = [opened(message)["x"] for message in core.encode("arrow", table, "{}")]
    assert all(each.type == plain(column.type) for each in found)
    if shown is not None:
        assert [str(each[0]) for each in found] == shown


def test_a_message_of_arrow_holds_one_row_alone() -> None:
    """Not the bytes of its neighbours, whatever the layout."""
    texts = [f"{'x' * 1000}{i}" for i in range(200)]
    lists = pa.array([[text] for text in texts])
    views, words = pa.array(texts, pa.string_view()), pa.array(texts).dictionary_encode()
    for column in (pa.array(texts), views, words, lists):
        sizes = [len(each or b"") for each in core.encode("arrow", pa.table({"x": column}), "{}")]
        assert max(sizes) < 3000


def test_a_row_without_columns_and_no_rows_at_all() -> None:
    assert core.encode("arrow", pa.table({"a": pa.array([], pa.int64())}), "{}") == []
    with pytest.raises(mt.SchemaError, match="a record of CSV has no column"):
        core.encode("csv", pa.table({}), "{}")
