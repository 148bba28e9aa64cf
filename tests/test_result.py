"""Tables, results and answers: what they hold and how they go into other libraries."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import muntin as mt
from muntin.engine.result import joined
from muntin.values.table import PerInput, Table

STORES = pa.table({"store": ["a", "b", None], "n": [3, 1, 2], "share": [0.5, 0.25, None]})


def test_a_table_goes_into_every_library_and_back() -> None:
    table = Table([STORES])
    assert pa.table(table).equals(STORES)
    assert table.to_arrow().equals(STORES)
    assert pl.DataFrame(table).equals(table.to_polars())
    assert table.to_polars().rows() == [("a", 3, 0.5), ("b", 1, 0.25), (None, 2, None)]
    assert list(table.to_pandas()["n"]) == [3, 1, 2]
    assert isinstance(table.to_pandas(), pd.DataFrame)
    with duckdb.connect() as db:
        db.register("stores", table.to_arrow())
        assert db.execute("SELECT sum(n) FROM stores").fetchall() == [(6,)]
    assert pa.schema(table).equals(STORES.schema)


def test_parts_follow_one_another() -> None:
    table = Table([STORES.slice(0, 1), STORES.slice(1)])
    assert len(table) == 3
    assert table.to_arrow().equals(STORES)
    assert table.columns == ["store", "n", "share"]


def test_a_part_without_columns_is_no_part() -> None:
    assert Table([pa.table({}), STORES]).to_arrow().equals(STORES)
    assert Table([pa.table({})]).columns == []
    assert len(Table([])) == 0
    assert repr(Table([])) == "0 rows"


def test_dicts_are_python_values_and_nanoseconds_are_floored() -> None:
    moment = pa.array([-1, 1_500], pa.timestamp("ns"))
    rows = Table([pa.table({"at": moment})]).to_dicts()
    assert rows == [
        {"at": dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)},
        {"at": dt.datetime(1970, 1, 1, 0, 0, 0, 1)},
    ]


def test_text_shows_the_first_rows() -> None:
    text = repr(Table([pa.table({"n": list(range(25)), "long": ["x" * 60] * 25})]))
    assert text.splitlines()[0] == "25 rows, the first 10"
    assert len(text.splitlines()) == 13
    assert max(map(len, text.splitlines())) < 50
    assert repr(Table([STORES.slice(0, 1)])).startswith("1 row\n")


def test_html_is_escaped() -> None:
    page = Table([pa.table({"<b>": ["<script>"]})])._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_records_of_several_inputs_stand_together_and_apart() -> None:
    clicks = pa.table({"reason": ["late"], "page": ["/"]})
    sales = pa.table({"reason": ["late", "late"], "amount": [1.5, 2.5]})
    both = PerInput({"clicks": Table([clicks]), "sales": Table([sales])})
    assert len(both) == 3
    assert both["sales"].to_arrow().equals(sales)
    assert both.to_dicts()[2] == {"reason": "late", "page": None, "amount": 2.5}
    with pytest.raises(mt.PlanError, match='unknown input "click"\nhint: did you mean "clicks"'):
        both["click"]


def test_columns_of_one_name_and_two_types_are_refused_together() -> None:
    parts = {
        "a": Table([pa.table({"x": [pa.scalar(1)]})]),
        "b": Table([pa.table({"x": ["text"]})]),
    }
    both = PerInput(parts)
    assert both["b"].to_dicts() == [{"x": "text"}]
    with pytest.raises(mt.SchemaError, match="hint: take each on its own"):
        both.to_arrow()


def result(**outputs: pa.Table) -> mt.Result:
    tables = {name: Table([table]) for name, table in outputs.items()}
    none = PerInput({"input": Table([pa.table({"reason": pa.array([], pa.string())})])})
    return mt.Result(tables, Table([]), none, none, lambda: {"seq": 7})


def test_the_only_output_is_the_result() -> None:
    one = result(rows=STORES)
    assert pa.table(one).equals(STORES)
    assert one.rows is one["rows"]
    assert one.stats == {"seq": 7}
    assert repr(one) == "Result(rows: 3 rows)"


def test_several_outputs_are_taken_by_name() -> None:
    two = result(a=STORES, b=STORES.slice(1))
    assert len(two["b"]) == 2
    with pytest.raises(mt.PlanError, match=r'several outputs: a, b\nhint: take result\["name"\]'):
        two.rows  # noqa: B018
    with pytest.raises(mt.PlanError, match='unknown output "c"'):
        two["c"]


def test_results_are_joined_in_order() -> None:
    whole = joined([result(rows=STORES.slice(0, 1)), result(rows=STORES.slice(1))], dict)
    assert whole.rows.to_arrow().equals(STORES)


def test_rows_columns_and_slices_of_a_table() -> None:
    table = Table([STORES.slice(0, 1), STORES.slice(1)])
    rows = STORES.to_pylist()
    assert list(table) == [*table] == rows
    assert [table[i] for i in range(-3, 3)] == [*rows, *rows]
    assert table["n"].to_pylist() == [3, 1, 2]
    for at in (slice(1), slice(1, None), slice(None, None, 2), slice(None, None, -1), slice(9, 3)):
        assert table[at].to_dicts() == rows[at]
    assert table.head(2).to_dicts() == rows[:2] and len(table.head()) == 3
    for place in (3, -4, 2**70):
        with pytest.raises(mt.RowError, match=rf"row {place} of a table of 3 rows"):
            table[place]
    with pytest.raises(mt.ColumnError, match='unknown column "stroe"\nhint: did you mean "store"'):
        table["stroe"]
    with pytest.raises(mt.PlanError, match="is not a place in a table"):
        table[1.5]  # type: ignore[call-overload]
    assert list(Table([])) == [] and Table([pa.table({"a": []})]).head().to_dicts() == []
    batch = pa.record_batch(table)
    assert (batch.num_rows, pa.record_batch(Table([STORES.slice(0, 0)])).num_rows) == (3, 0)


def test_records_have_rows_and_columns_too() -> None:
    clicks = pa.table({"reason": ["late", "future"]})
    records = PerInput({"clicks": Table([clicks])})
    assert records["reason"].to_pylist() == ["late", "future"]
    assert records[-1] == {"reason": "future"}
    assert records["clicks"].to_dicts() == list(records) == records[:].to_dicts()
    again = pickle.loads(pickle.dumps(records))
    assert again["clicks"].to_dicts() == clicks.to_pylist()


def test_a_result_is_pickled_with_its_counters() -> None:
    two = result(a=STORES, b=STORES.slice(1))
    for again in (pickle.loads(pickle.dumps(two)), copy.copy(two), copy.deepcopy(two)):
        assert again["b"].to_dicts() == two["b"].to_dicts()
        assert again.stats == {"seq": 7}
        assert repr(again) == repr(two)
    assert pickle.loads(pickle.dumps(two["a"])).to_arrow().equals(STORES)


STREAM = mt.stream(time="at", out_of_order="0s")


@pytest.mark.parametrize(
    ("get", "message"),
    [
        (lambda: STREAM.groupby, "a key is written as by="),  # type: ignore[attr-defined]
        (lambda: STREAM.join, "Stream.join is not there yet"),  # type: ignore[attr-defined]
        (lambda: STREAM.fliter, 'did you mean "filter"'),  # type: ignore[attr-defined]
        (lambda: STREAM.tumbling("1m").sum, "write .agg"),  # type: ignore[attr-defined]
        (lambda: mt.sinks.Delta, "sinks.Delta is not there yet"),  # type: ignore[attr-defined]
        (lambda: mt.backtest, "muntin.backtest is not there yet"),  # type: ignore[attr-defined]
        (lambda: mt.opertor, 'did you mean "operator"'),  # type: ignore[attr-defined]
        (lambda: mt.len, r"write mt\.count"),  # type: ignore[attr-defined]
        (lambda: mt.sources.Jsonlines, 'mean "JsonLines"'),  # type: ignore[attr-defined]
        (lambda: Table([STORES]).groupby, "take it into a library"),
        (lambda: Table([STORES]).to_list, r"write \.to_dicts"),
        (lambda: result(a=STORES).to_polars, r"write result\.rows\.to_polars"),
        (lambda: result(a=STORES).a, r'write result\["a"\]'),
    ],
)
def test_a_name_that_is_not_there_says_what_to_write(get: Any, message: str) -> None:
    with pytest.raises(mt.MissingName, match=message):
        get()


def test_libraries_may_ask_for_names_of_their_own() -> None:
    for thing in (STREAM, STREAM.tumbling("1m"), Table([STORES]), result(a=STORES), mt):
        assert not hasattr(thing, "__array_interface__")
        assert getattr(thing, "_ipython_display_", None) is None
    assert copy.copy(STREAM) == STREAM == pickle.loads(pickle.dumps(STREAM))


def test_a_cell_is_one_line_and_nothing_that_a_terminal_obeys() -> None:
    text = repr(Table([pa.table({"t": ["a\nb", "\x1b[31mred"]})]))
    assert text.splitlines()[3:] == ["a\\nb", "\\x1b[31mred"]


def test_an_operator_says_what_it_reads_and_gives() -> None:
    named = mt.stream("sales", time="at", out_of_order="0s")
    assert repr(mt.operator({"a": named, "b": named.filter("x > 1")})) == "Operator(sales -> a, b)"
