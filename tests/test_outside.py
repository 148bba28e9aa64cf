"""The same answers as DuckDB, Polars and pandas; and rows that come from them and go to them."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import muntin as mt

START = dt.datetime(2024, 5, 1, 10)
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("ts", pa.timestamp("us")),
        ("k", pa.int64()),
        ("s", pa.string()),
        ("v", pa.int64()),
        ("x", pa.float64()),
    ]
)
EVENTS = mt.stream(time="ts", out_of_order="0s")
DECLARED = mt.stream(time="ts", out_of_order="0s", schema=SCHEMA)
SEEDS = range(3)
KEYS = [("k",), ("s",), ("k", "s"), ()]
AGGREGATES: dict[str, Any] = {
    "rows": mt.count(),
    "n": mt.count("v"),
    "total": mt.sum("v"),
    "low": mt.min("v"),
    "high": mt.max("v"),
    "exact": mt.sum("x"),
}
SQL = "count(*), count(v), sum(v)::bigint, min(v), max(v), list(x)"

by_key = pytest.mark.parametrize("by", KEYS, ids=lambda by: "+".join(by) or "all")
by_seed = pytest.mark.parametrize("seed", SEEDS)


def events(seed: int, rows: int = 3000) -> pa.Table:
    """Sorted by time, with ties, bursts and pauses, and with nulls in keys and values."""
    rng = random.Random(seed)

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.1 else value

    at, table = START, []
    for id in range(rows):
        at += dt.timedelta(microseconds=rng.choice([0, 1, 10**6, 10**6, rng.randrange(10**7)]))
        if rng.random() < 0.01:
            at += dt.timedelta(minutes=rng.randrange(10))
        k, s = maybe(rng.randrange(-3, 4)), maybe(rng.choice(["", "a", "longer than twelve", "é"]))
        v, x = rng.randrange(-(10**9), 10**9), rng.choice([1, -1]) * 10 ** rng.uniform(-6, 13)
        table.append([id, at, k, s, maybe(v), maybe(x)])
    return pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in table], SCHEMA
    )


def fsum(values: Iterable[float | None] | None) -> float | None:
    present = [v for v in values or () if v is not None]
    return math.fsum(present) if present else None


def ordered(rows: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, rows), key=lambda row: [(value is None, value) for value in row])


def muntin(pipeline: mt.Stream, table: Any, *names: str) -> list[tuple[Any, ...]]:
    result = mt.collect(pipeline, table)
    assert len(result.late) == len(result.invalid) == 0
    return ordered([row[name] for name in names] for row in result.rows.to_dicts())


def asked(table: pa.Table, query: str) -> list[tuple[Any, ...]]:
    """DuckDB's rows, the list of floats at their end replaced by its sum."""
    with duckdb.connect() as connection:
        rows = connection.register("events", table).sql(query).fetchall()
    return ordered((*row[:-1], fsum(row[-1])) for row in rows)


def seconds(text: str) -> int:
    return int(text[:-1])


def columns(*parts: Any) -> str:
    return ", ".join([name for part in parts for name in ([part] if part else [])])


VALUES: dict[str, Any] = {
    "p30": mt.quantile("v", 0.3),
    "mid": mt.median("x"),
    "best": mt.arg_max("s", by="v"),
    "worst": mt.arg_min("x", by="v"),
    "all": mt.array_agg("x"),
}
"""Aggregates with a parameter, with two arguments, and with lists."""


def alike(a: Any, b: Any) -> bool:
    """Whether two values are equal, floats up to the last digits."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-12)
    return bool(a == b)


# ── DuckDB ──────────────────────────────────────────────────────────────────────────────────────


@by_seed
def test_values_of_a_window_are_those_of_others(seed: int) -> None:
    table = events(seed)
    pipeline = EVENTS.tumbling("52w", by="k").agg(**VALUES)
    got = {row["k"]: row for row in mt.collect(pipeline, table).rows.to_dicts()}
    query = """
        select k, quantile_cont(v, 0.3) as p30, median(x) as mid, arg_max(s, v) as best,
            arg_min(x, v) as worst, list(x order by ts, id) filter (where x is not null) as "all"
        from events group by k"""
    with duckdb.connect() as connection:
        rows = connection.register("events", table).sql(query).to_arrow_table().to_pylist()
    assert len(rows) == len(got) > 6
    for row in rows:
        assert all(alike(got[row["k"]][name], row[name]) for name in VALUES), row
    frames = pl.from_arrow(table).group_by("k")  # type: ignore[union-attr]
    p30, mid = pl.col("v").quantile(0.3, "linear"), pl.col("x").median()
    for k, low, middle in frames.agg(p30, mid).rows():
        assert alike(got[k]["p30"], low) and alike(got[k]["mid"], middle)
    groups = table.to_pandas().groupby("k")
    for k, low in groups["v"].quantile(0.3).items():
        assert alike(got[k]["p30"], low)


@by_seed
def test_values_of_sliding_windows_are_those_of_a_range_frame(seed: int) -> None:
    table = events(seed)
    pipeline = EVENTS.sliding("60s", by="s", null_key="group", emit="watermark", closed="both")
    got = {row["id"]: row for row in mt.collect(pipeline.agg(**VALUES), table).rows.to_dicts()}
    over = """over (partition by s order by ts
        range between interval 60 seconds preceding and current row)"""
    query = f"""
        select id, quantile_cont(v, 0.3) {over} as p30, median(x) {over} as mid,
            arg_max(s, v) {over} as best, arg_min(x, v) {over} as worst from events"""
    with duckdb.connect() as connection:
        rows = connection.register("events", table).sql(query).to_arrow_table().to_pylist()
    assert len(rows) == len(got)
    for row in rows:
        assert all(alike(got[row["id"]][name], value) for name, value in row.items()), row


@by_seed
@by_key
@pytest.mark.parametrize("size", ["1s", "60s", "420s"])
def test_tumbling_is_duckdbs_time_bucket(size: str, by: tuple[str, ...], seed: int) -> None:
    table, key = events(seed), columns(*by)
    bucket = f"time_bucket(interval {seconds(size)} seconds, ts, timestamp '1970-01-01')"
    query = f"select {columns(key, bucket)}, {SQL} from events group by {columns(key, bucket)}"
    pipeline = EVENTS.tumbling(size, by=by).agg(**AGGREGATES)
    assert muntin(pipeline, table, *by, "window_start", *AGGREGATES) == asked(table, query)


@by_seed
@by_key
@pytest.mark.parametrize(("size", "every"), [("60s", "20s"), ("50s", "20s"), ("420s", "60s")])
def test_hopping_is_duckdbs_time_bucket(
    size: str, every: str, by: tuple[str, ...], seed: int
) -> None:
    table, key, step = events(seed), columns(*by), seconds(every)
    bucket = f"time_bucket(interval {step} seconds, ts, timestamp '1970-01-01')"
    start = f"{bucket} - i * interval {step} seconds"
    query = f"""
        with windows as (select *, {start} as start
                         from events, range({seconds(size) // step + 1}) as steps(i))
        select {columns(key, "start")}, {SQL} from windows
        where ts < start + interval {seconds(size)} seconds group by {columns(key, "start")}"""
    pipeline = EVENTS.hopping(size, every, by=by).agg(**AGGREGATES)
    assert muntin(pipeline, table, *by, "window_start", *AGGREGATES) == asked(table, query)


@pytest.mark.slow
@by_seed
@by_key
@pytest.mark.parametrize("gap", ["1s", "10s", "120s"])
@pytest.mark.parametrize(("closed", "apart"), [(True, ">"), (False, ">=")])
def test_sessions_are_those_of_lag(
    closed: bool, apart: str, gap: str, by: tuple[str, ...], seed: int
) -> None:
    table, key = events(seed), columns(*by)
    over = f"{f'partition by {key}' if key else ''} order by ts, id"
    query = f"""
        with starts as (
            select *,
                (ts - lag(ts) over ({over}) {apart} interval {seconds(gap)} seconds)::int as start
            from events),
        sessions as (select *, sum(coalesce(start, 0)) over ({over}) as session from starts)
        select {columns(key, "min(ts)", "max(ts)")}, {SQL}
        from sessions group by {columns(key, "session")}"""
    pipeline = EVENTS.session(gap, by=by, gap_closed=closed).agg(**AGGREGATES)
    names = (*by, "window_start", "last_event_time", *AGGREGATES)
    assert muntin(pipeline, table, *names) == asked(table, query)


@by_seed
@by_key
@pytest.mark.parametrize("size", ["1s", "60s"])
def test_sliding_is_duckdbs_range_frame(size: str, by: tuple[str, ...], seed: int) -> None:
    table, key = events(seed), columns(*by)
    frame = f"range between interval {seconds(size)} seconds preceding and current row"
    over = f"over ({f'partition by {key}' if key else ''} order by ts {frame})"
    features = SQL.replace("::bigint", "").replace("),", f") {over},") + f" {over}"
    query = f"select id, {features} from events"
    pipeline = EVENTS.sliding(size, by=by, closed="both", emit="watermark", null_key="group").agg(
        **AGGREGATES
    )
    assert muntin(pipeline, table, "id", *AGGREGATES) == asked(table, query)


def test_a_null_key_has_null_features() -> None:
    table = events(0)
    result = mt.collect(EVENTS.sliding("60s", by=("k", "s")).agg(n=mt.count()), table)
    for row in result.rows.to_dicts():
        assert (row["n"] is None) == (row["k"] is None or row["s"] is None)


@by_seed
@by_key
def test_previous_is_duckdbs_lag(by: tuple[str, ...], seed: int) -> None:
    table = events(seed)
    whole = " and ".join(f"{name} is not null" for name in by) or "true"
    over = f"over ({columns(by and f'partition by {columns(*by)}')} order by id)"
    query = f"""
        select id, case when {whole} then a end, case when {whole} then b end
        from (select *, lag(v) {over} a, lag(s) {over} b from events)
    """
    with duckdb.connect() as connection:
        expected = ordered(connection.register("events", table).sql(query).fetchall())
    assert muntin(EVENTS.previous(by=by, a="v", b="s"), table, "id", "a", "b") == expected


@by_seed
@pytest.mark.parametrize("ago", ["1s", "60s", "420s"])
def test_previous_of_a_while_ago_is_duckdbs_asof_join(ago: str, seed: int) -> None:
    table = events(seed)
    query = f"""
        with last as (select k, ts, arg_max(v, id) v, max(id) id from
            (select id, k, ts, coalesce(v, -1) v from events) group by k, ts)
        select e.id, p.v from events e asof left join last p
            on e.k = p.k and e.ts - interval {seconds(ago)} seconds >= p.ts
    """
    with duckdb.connect() as connection:
        expected = ordered(connection.register("events", table).sql(query).fetchall())
    pipeline = EVENTS.with_columns(v="coalesce(v, -1)").previous(by="k", ago=ago, then="v")
    assert muntin(pipeline, table, "id", "then") == expected


# ── Polars ──────────────────────────────────────────────────────────────────────────────────────


def summed(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """The named columns, and of the lists `v` and `x` the count, the sum and the exact sum."""
    rows = []
    for row in frame.iter_rows(named=True):
        v = [value for value in row["v"] if value is not None]
        total = sum(v) if v else None
        rows.append((*(row[name] for name in names), len(v), total, fsum(row["x"])))
    return ordered(rows)


@by_seed
@by_key
@pytest.mark.parametrize("size", ["1s", "60s"])
def test_tumbling_is_polars_group_by_dynamic(size: str, by: tuple[str, ...], seed: int) -> None:
    table = events(seed)
    grouped = pl.DataFrame(table).group_by_dynamic("ts", every=size, group_by=list(by) or None)
    pipeline = EVENTS.tumbling(size, by=by).agg(**AGGREGATES)
    got = muntin(pipeline, table, *by, "window_start", "n", "total", "exact")
    assert got == summed(grouped.agg("v", "x"), *by, "ts")


@by_seed
@by_key
@pytest.mark.parametrize("closed", ["right", "left", "both", "none"])
def test_sliding_is_polars_rolling(closed: Any, by: tuple[str, ...], seed: int) -> None:
    table = events(seed)
    rolling = pl.DataFrame(table).rolling("ts", period="60s", closed=closed, group_by=by or None)
    pipeline = EVENTS.sliding("60s", by=by, closed=closed, emit="watermark", null_key="group").agg(
        **AGGREGATES
    )
    got = muntin(pipeline, table, *by, "ts", "n", "total", "exact")
    assert got == summed(rolling.agg("v", "x"), *by, "ts")


# ── pandas ──────────────────────────────────────────────────────────────────────────────────────


@by_seed
@by_key
@pytest.mark.parametrize("size", ["1s", "60s"])
def test_sliding_on_arrival_is_pandas_rolling(size: str, by: tuple[str, ...], seed: int) -> None:
    table = events(seed)
    frame = table.to_pandas()
    groups = frame.groupby(list(by), dropna=False) if by else [((), frame)]
    expected = []
    for _, group in groups:
        rolling = group.rolling(size, on="ts", min_periods=1)
        exact = rolling["x"].apply(lambda x: math.fsum(x[~pd.isna(x)]), raw=True)
        told = zip(group["id"], rolling["v"].count(), rolling["v"].sum(), exact, strict=True)
        for id, n, total, x in told:
            of_v = int(total) if n else None
            expected.append((id, int(n), of_v, None if math.isnan(x) else x))
    pipeline = EVENTS.sliding(size, by=by, null_key="group").agg(**AGGREGATES)
    assert muntin(pipeline, table, "id", "n", "total", "exact") == ordered(expected)


# ── in and out ──────────────────────────────────────────────────────────────────────────────────


def cast(table: pa.Table, kind: pa.DataType) -> pa.Table:
    return table.set_column(3, "s", table["s"].cast(kind))


def padded(table: pa.Table) -> pa.Table:
    """The rows as a slice out of the middle of a longer table."""
    around = events(99, 7)
    return pa.concat_tables([around, table, around]).combine_chunks().slice(7, len(table))


def chunked(table: pa.Table) -> pa.Table:
    return pa.Table.from_batches(table.to_batches(max_chunksize=7), table.schema)


LAYOUTS: dict[str, Callable[[pa.Table], Any]] = {
    "sliced": padded,
    "chunked": chunked,
    "reader": lambda t: chunked(t).to_reader(),
    "large_string": lambda t: cast(t, pa.large_string()),
    "string_view": lambda t: cast(t, pa.string_view()),
    "dictionary": lambda t: t.set_column(3, "s", t["s"].dictionary_encode()),
    "chunked dictionary": lambda t: (lambda c: c.set_column(3, "s", c["s"].dictionary_encode()))(
        chunked(t)
    ),
    "polars": pl.DataFrame,
    "polars categorical": lambda t: pl.DataFrame(t).with_columns(pl.col("s").cast(pl.Categorical)),
    "polars sliced": lambda t: pl.DataFrame(padded(t)),
    "pandas": lambda t: t.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get),
    "pandas arrow": lambda t: t.to_pandas(types_mapper=pd.ArrowDtype),
    "duckdb": duckdb.from_arrow,
}
PIPELINE, TYPED = (e.tumbling("60s", by=("k", "s")).agg(**AGGREGATES) for e in (EVENTS, DECLARED))


@pytest.mark.parametrize("pipeline", [PIPELINE, TYPED], ids=["plain", "declared"])
@pytest.mark.parametrize("rows", [500, 0])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_layout_of_the_rows_does_not_show(
    layout: Callable[[pa.Table], Any], rows: int, pipeline: mt.Stream
) -> None:
    table = events(1, rows)
    expected = mt.collect(pipeline, table).rows.to_arrow()
    assert len(expected) > 0 or rows == 0
    assert mt.collect(pipeline, layout(table)).rows.to_arrow().equals(expected)


def test_no_rows_have_columns_all_the_same() -> None:
    told = [
        mt.collect(p, events(1, rows)).rows.schema for p in (PIPELINE, TYPED) for rows in (9, 0)
    ]
    assert told == [told[0]] * 4


def test_dictionaries_may_differ_from_chunk_to_chunk() -> None:
    table = events(1, 500)
    parts = [
        part.set_column(3, "s", part["s"].dictionary_encode())
        for part in (table.slice(0, 250), table.slice(250))
    ]
    got = mt.collect(PIPELINE, pa.concat_tables(parts)).rows.to_arrow()
    assert got.equals(mt.collect(PIPELINE, table).rows.to_arrow())


@pytest.mark.parametrize("rows", [500, 0])
def test_results_go_into_each_library(rows: int) -> None:
    result = mt.collect(PIPELINE, events(1, rows)).rows
    expected = result.to_arrow().to_pylist()
    assert pl.DataFrame(result).to_dicts() == result.to_polars().to_dicts() == expected
    assert duckdb.sql("select * from result").to_arrow_table().to_pylist() == expected
    for frame in (result.to_pandas(), pd.DataFrame.from_arrow(result)):
        assert pa.table(frame).select(result.columns).to_pylist() == expected
