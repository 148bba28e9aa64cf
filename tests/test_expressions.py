"""Expressions: the tree, its text, its JSON, and what is refused."""

from __future__ import annotations

import functools
import operator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt
from muntin.base.errors import ColumnError, ExpressionError, SchemaError
from muntin.expr.build import Expr, col, lit, resolve, when
from muntin.expr.functions import arrival, epoch, is_late
from muntin.values import show

x, y = col("x"), col("y")


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (x > 1, 'col("x") > 1'),
        (2 < x, 'col("x") > 2'),  # noqa: SIM300
        ((x > 1) & (y == "a"), '(col("x") > 1) & (col("y") == "a")'),
        ((x > 1) | ~(y < 2), '(col("x") > 1) | ~(col("y") < 2)'),
        (x - (y - 1), 'col("x") - (col("y") - 1)'),
        (x - y - 1, 'col("x") - col("y") - 1'),
        (-(x + 1) * 2, '-(col("x") + 1) * 2'),
        (1 - x, 'lit(1) - col("x")'),
        ((x + 1).abs(), '(col("x") + 1).abs()'),
        ((x > 1) == (y > 1), '(col("x") > 1) == (col("y") > 1)'),
        (x.is_in([1, "a", None]), 'col("x").is_in([1, "a", None])'),
        (x.fill_null(0), 'col("x").fill_null(0)'),
        (x.cast("f64"), 'col("x").cast("f64")'),
        (x.starts_with("a").is_null(), 'col("x").starts_with("a").is_null()'),
        (epoch("ms", "x"), 'epoch("ms", col("x"))'),
        (is_late() | (arrival() > x), 'is_late() | (arrival() > col("x"))'),
        (x + timedelta(minutes=1), 'col("x") + timedelta(seconds=60)'),
        (
            when(x > 1).then(lit("a")).when(x > 0).then("y").otherwise(3),
            'when(col("x") > 1).then(lit("a")).when(col("x") > 0).then(col("y")).otherwise(lit(3))',
        ),
    ],
)
def test_repr_is_what_a_user_types_and_reads_back(expr: Expr, text: str) -> None:
    assert repr(expr) == text
    names = {"col": col, "lit": lit, "when": when, "epoch": epoch, "timedelta": timedelta}
    again = eval(text, {**names, "is_late": is_late, "arrival": arrival})
    assert again.key() == expr.key()


@pytest.mark.parametrize(
    ("value", "encoded", "word"),
    [
        (None, None, "null"),
        (True, True, "bool"),
        (-(2**63), -(2**63), "i64"),
        (1.5, 1.5, "f64"),
        (float("inf"), "inf", "f64"),
        (float("-inf"), "-inf", "f64"),
        (float("nan"), "nan", "f64"),
        ("é", "é", "str"),
        (b"\x00\xff", "00ff", "binary"),
        (date(1970, 1, 2), 1, "date"),
        (datetime(1970, 1, 1, 0, 0, 1), 1_000_000, "timestamp[us]"),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -1_000_000, "timestamp[us, UTC]"),
        (timedelta(milliseconds=-1), -1000, "duration[us]"),
        (Decimal("-1.50"), "-1.50", "decimal(3, 2)"),
        (Decimal("0.001"), "0.001", "decimal(3, 3)"),
        (Decimal("1e3"), "1000", "decimal(4, 0)"),
    ],
)
def test_literals(value: object, encoded: object, word: str) -> None:
    assert lit(value).to_json() == {"lit": encoded, "type": word}  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, Decimal("NaN"), [1], "\ud800", 1j])
def test_values_that_are_no_literal(value: object) -> None:
    with pytest.raises(ExpressionError):
        lit(value)  # type: ignore[arg-type]


def test_json_of_calls() -> None:
    one = {"lit": 1, "type": "i64"}
    assert (x % 1).to_json() == {"fn": "mod", "args": [{"col": "x"}, one]}
    assert x.cast("i32").to_json() == {"fn": "cast", "args": [{"col": "x"}], "to": "i32"}
    assert when(x).then(1).to_json() == {"case": [[{"col": "x"}, one]], "else": None}
    assert x.between(1, 1).to_json() == {
        "fn": "and",
        "args": [
            {"fn": "ge", "args": [{"col": "x"}, one]},
            {"fn": "le", "args": [{"col": "x"}, one]},
        ],
    }


def test_no_truth_value() -> None:
    for wrong in (lambda: bool(x > 1), lambda: 1 < x < 5, lambda: x > 1 and y > 1, lambda: not x):
        with pytest.raises(ExpressionError, match="has no truth value"):
            wrong()


def test_equality_of_plans_goes_through_the_key() -> None:
    assert (x > 1).key() == (1 < x).key()  # noqa: SIM300
    assert hash(x > 1) == hash(col("x") > 1)
    assert ((x & y) & x).key() == (x & (y & x)).key()
    assert lit(1).key() != lit(1.0).key() != lit("1.0").key()


def test_frozen() -> None:
    with pytest.raises(AttributeError):
        x.name = "z"  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.integers(1, 300))
def test_long_chains_stay_shallow(n: int) -> None:
    expr = functools.reduce(operator.or_, [x == i for i in range(n)])
    assert expr.depth <= 10
    assert expr.key().count('"eq"') == n


def test_depth_has_a_bound() -> None:
    with pytest.raises(ExpressionError, match="deeper than 50"):
        functools.reduce(lambda e, _: e.abs(), range(100), x)


def test_null_is_not_compared() -> None:
    for wrong in (lambda: x == None, lambda: x != lit(None)):  # noqa: E711
        with pytest.raises(ExpressionError, match="is_null"):
            wrong()


def test_refusals() -> None:
    with pytest.raises(SchemaError, match='write "i64"'):
        x.cast("int64")
    with pytest.raises(ExpressionError, match="unknown unit"):
        epoch("min", "x")
    with pytest.raises(ExpressionError, match="takes a list"):
        x.is_in("abc")
    with pytest.raises(ExpressionError, match="without then"):
        lit(when(x))  # type: ignore[arg-type]
    with pytest.raises(ExpressionError, match="after otherwise"):
        when(x).then(1).otherwise(2).otherwise(3)  # type: ignore[attr-defined]


def test_a_string_is_a_column_if_there_is_one_else_sql() -> None:
    assert resolve("a > b", ["a > b"], "here").key() == col("a > b").key()
    assert resolve("a > b", ["a", "b"], "here").key() == (col("a") > col("b")).key()
    assert resolve("a", None, "here").key() == col("a").key()
    assert resolve("true", [], "here").key() == lit(True).key()
    assert resolve("true", ["true"], "here").key() == col("true").key()
    with pytest.raises(ColumnError, match=r'here: unknown column "c"\nhint: there is a, b'):
        resolve("c", ["a", "b"], "here")
    with pytest.raises(ColumnError, match="single quotes: 'abc'"):
        resolve('a = "abc"', ["a"], "here")


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_a_time_far_from_now_is_cast_to_the_text_that_it_has_everywhere(unit: str) -> None:
    times = pa.array([0, 2**55, None, -(2**55), 2**63 - 1], pa.timestamp(unit))
    days = pa.array([0, 2**31 - 1, None, -(2**31), 1], pa.date32())
    rows = pa.table({"at": pa.array(range(5), pa.timestamp("us")), "x": times, "d": days})
    texts = mt.stream(time="at", out_of_order="0s").select("at", x="x::text", d="d::text")
    found = mt.collect(texts, rows).rows.to_dicts()
    alone = [mt.collect(texts, rows.slice(i, 1)).rows.to_dicts()[0] for i in range(5)]
    assert found == alone
    for name, column in (("x", times), ("d", days)):
        assert [row[name] for row in found][1:4] == show.to_text(column).to_pylist()[1:4]
