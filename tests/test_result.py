"""Tables, results and answers: what they hold and how they go into other libraries."""

from __future__ import annotations

import datetime as dt

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import muntin as mt
from muntin.result import PerInput, Table, joined

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
