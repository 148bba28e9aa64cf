"""Statistics beside DuckDB, pandas, Polars and exact fractions; and what is refused."""

from __future__ import annotations

import datetime as dt
import math
import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import muntin as mt
from muntin.base.missing import AGGREGATES

START = dt.datetime(2024, 5, 1, 10)
STREAM = mt.stream(time="at", out_of_order="0s")


def events(seed: int, rows: int = 400) -> pa.Table:
    rng = random.Random(seed)

    def some(of: Any) -> list[Any]:
        return [None if rng.random() < 0.1 else of() for _ in range(rows)]

    return pa.table(
        {
            "at": [START + dt.timedelta(seconds=i) for i in range(rows)],
            "k": [rng.choice("abc") for _ in range(rows)],
            "v": pa.array(some(lambda: rng.randrange(-20, 20)), pa.int64()),
            "x": pa.array(some(lambda: rng.gauss(1e3, 5)), pa.float64()),
            "w": pa.array(some(lambda: rng.random()), pa.float64()),
            "b": pa.array(some(lambda: rng.random() < 0.5), pa.bool_()),
        }
    )


ASKED: dict[str, tuple[mt.Agg, str]] = {
    "var": (mt.var("x"), "var_samp(x)"),
    "var_pop": (mt.var("v", ddof=0), "var_pop(v)"),
    "std": (mt.std("x"), "stddev_samp(x)"),
    "skew": (mt.skew("x"), "skewness(x)"),
    "kurtosis": (mt.kurtosis("v"), "kurtosis(v)"),
    "kurtosis_pop": (mt.kurtosis("v", bias=True), "kurtosis_pop(v)"),
    "cov": (mt.cov("x", "v"), "covar_samp(x, v)"),
    "cov_pop": (mt.cov("x", "v", ddof=0), "covar_pop(x, v)"),
    "corr": (mt.corr("x", "v"), "corr(x, v)"),
    "slope": (mt.slope("x", "v"), "regr_slope(x, v)"),
    "intercept": (mt.intercept("x", "v"), "regr_intercept(x, v)"),
    "any": (mt.any("b"), "bool_or(b)"),
    "all": (mt.all("v > -19"), "bool_and(v > -19)"),
    "bit_and": (mt.bit_and("v"), "bit_and(v)"),
    "bit_or": (mt.bit_or("v", where="v > 0"), "bit_or(v) filter (v > 0)"),
    "bit_xor": (mt.bit_xor("v"), "bit_xor(v)"),
    "product": (mt.product("x", where="v = 3"), "product(x) filter (v = 3)"),
    "sum_distinct": (mt.sum_distinct("v"), "sum(distinct v)::bigint"),
    "weighted": (mt.mean("x", weight="w"), "sum(x * w) / sum(w) filter (x is not null)"),
    "weighted_sum": (mt.sum("v", weight="v"), "sum(v * v)::bigint"),
    "histogram": (
        mt.histogram("v", [0, 10]),
        "[count(v) filter (v < 0), count(v) filter (v >= 0 and v < 10), count(v) filter (v >= 10)]",
    ),
}


def same(got: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(got, expected, rel_tol=1e-7, abs_tol=1e-9)
    return bool(got == expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("window", ["tumbling", "sliding"])
def test_statistics_are_duckdbs(window: str, seed: int) -> None:
    table = events(seed)
    asked = {name: aggregate for name, (aggregate, _) in ASKED.items()}
    if window == "tumbling":
        pipeline = STREAM.tumbling("24h", by="k").agg(**asked)
        over, group, key = "", "group by k", "k"
    else:
        pipeline = STREAM.sliding("60s", by="k", closed="both").agg(**asked)
        over = """ over (partition by k order by "at"
            range between interval 60 seconds preceding and current row)"""
        group, key = "", "at"
    found = {row[key]: row for row in mt.collect(pipeline, table).rows.to_dicts()}
    with duckdb.connect() as connection:
        relation = connection.register("events", table)
        for name, (_, sql) in ASKED.items():
            if over and any(word in sql for word in ("distinct", " / ", "[", "::")):
                continue
            # of few or equal values DuckDB gives what differs by rounding alone
            query = f'select "{key}", {sql}{over}, count(v){over} from events {group}'
            for at, value, n in relation.sql(query).fetchall():
                got = found[at][name]
                if n >= 5 and value is not None and not (got is None and math.isnan(value)):
                    assert same(got, value), (name, at, got, value)


@pytest.mark.parametrize("seed", range(3))
def test_statistics_are_pandas_and_polars(seed: int) -> None:
    table = events(seed)
    asked = {"skew": mt.skew("x"), "kurt": mt.kurtosis("x"), "std": mt.std("x"), "m": mt.mode("v")}
    asked |= {"bias": mt.skew("x", bias=True), "top": mt.top_k("v", 3), "p": mt.product("w")}
    rows = mt.collect(STREAM.tumbling("24h", by="k").agg(**asked), table).rows.to_dicts()
    frames = dict(list(table.to_pandas().groupby("k")))
    polars = pl.DataFrame(table)
    for row in rows:
        frame, other = frames[row["k"]], polars.filter(pl.col("k") == row["k"])
        assert same(row["skew"], float(frame["x"].skew()))
        assert same(row["kurt"], float(frame["x"].kurt()))
        assert same(row["std"], other["x"].std())
        assert same(row["bias"], other["x"].skew())
        assert same(row["p"], other["w"].product())
        assert row["m"] == min(other["v"].drop_nulls().mode().to_list())
        counts = frame["v"].dropna().value_counts()
        order = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        assert row["top"] == [value for value, _ in order[:3]]
    assert isinstance(frames, dict) and isinstance(frame, pd.DataFrame)


def test_nothing_cancels_and_what_left_leaves_no_trace() -> None:
    """Where one pass of floats gives -42.7 or inf: values far from zero, outliers that leave."""
    values = [1e9 + 0.1, 1e9 + 0.2, 1e9 + 0.4]
    rows = [{"at": START + dt.timedelta(seconds=i), "x": x} for i, x in enumerate(values)]
    outliers = [{"at": START - dt.timedelta(hours=1), "x": x} for x in (1e300, -1e300, 1e-300)]
    pipeline = STREAM.sliding("1m").agg(var=mt.var("x"), std=mt.std("x"), n=mt.count("x"))
    last = mt.collect(pipeline, outliers + rows).rows.to_dicts()[-1]
    mean = sum(map(Fraction, values)) / 3
    exact = sum((Fraction(x) - mean) ** 2 for x in values) / 2
    assert last["n"] == 3 and last["var"] == float(exact)
    assert last["std"] == math.sqrt(float(exact))
    huge = mt.collect(pipeline, outliers[:2]).rows.to_dicts()[-1]
    assert huge["var"] == math.inf and same(huge["std"], math.sqrt(2) * 1e300)


def test_money_is_weighted_without_rounding() -> None:
    price = pa.array([Decimal("0.10"), Decimal("19.99")], pa.decimal128(9, 2))
    table = pa.table({"at": [START, START], "price": price, "n": [3, 7]})
    asked = {"total": mt.sum("price", weight="n"), "mean": mt.mean("price", weight="n")}
    [row] = mt.collect(STREAM.tumbling("1h").agg(**asked), table).rows.to_dicts()
    assert row["total"] == Decimal("140.23") and row["mean"] == 14.023


@pytest.mark.parametrize("name", AGGREGATES)
def test_a_name_that_others_have_answers_with_its_name_here(name: str) -> None:
    with pytest.raises(AttributeError, match="hint: write mt") as error:
        getattr(mt, name)
    call = str(error.value).partition("write ")[2]
    assert isinstance(eval(call, {"mt": mt}), mt.Agg)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mt.var("x", ddof=-1), r"var\(\): ddof=-1 is not a whole number from 0 on\nhint: "),
        (lambda: mt.std("x", ddof=True), r"std\(\): ddof=True is not"),
        (lambda: mt.skew("x", bias=1), r"skew\(\): bias=1 is not a bool\nhint: "),  # type: ignore[arg-type]
        (lambda: mt.top_k("x", 0), r"top_k\(\): k=0 is not a whole number from 1 on\nhint: "),
        (lambda: mt.histogram("x", []), r"histogram\(\): edges=\[\] are not numbers that rise"),
        (lambda: mt.histogram("x", [2, 1]), "are not numbers that rise\nhint: "),
        (lambda: mt.histogram("x", [1, "2"]), "are not numbers that rise\nhint: "),  # type: ignore[list-item]
    ],
)
def test_wrong_parameters_are_refused(make: Any, said: str) -> None:
    with pytest.raises(mt.PlanError, match=said):
        make()


@pytest.mark.parametrize(
    ("aggregate", "said"),
    [
        (mt.var("k"), "var of str\nhint: var takes numbers and bool"),
        (mt.any("v"), "any of i64\nhint: "),
        (mt.bit_or("x"), "bit_or of f64\nhint: bit_or takes integers"),
        (mt.corr("x", "k"), "corr of str\nhint: corr takes numbers and bool"),
        (mt.sum_distinct("k"), "sum_distinct of str\nhint: "),
        (mt.mean("x", weight="at"), r"mean of timestamp"),
    ],
)
def test_wrong_types_are_refused(aggregate: mt.Agg, said: str) -> None:
    with pytest.raises(mt.PlanError, match=said):
        mt.collect(STREAM.tumbling("1h").agg(a=aggregate), events(0, 3))
