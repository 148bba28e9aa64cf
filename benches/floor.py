"""CPU per row through `op.push`, beside DuckDB and Polars on the same Arrow data.

    python benches/floor.py [--rows 10000000]

Keys are a Zipf distribution (s = 1.1) over a million ids, mixed, so neither dense nor sorted;
values are cents from 0 to 500. Outputs are compared with DuckDB before anything is timed. Figures
are thread CPU time, the least of three runs; nothing here fails for being slow.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

import muntin as mt

KEYS = 1_000_000
BATCH = 65_536
STREAM = mt.stream(time="ts", out_of_order="0s")
COUNT_AND_SUM = {"n": mt.count(), "s": mt.sum("val")}
TUMBLING = STREAM.tumbling("1m", by="key").agg(**COUNT_AND_SUM)
SLIDING = STREAM.sliding("1h", by="key").agg(**COUNT_AND_SUM)

TUMBLING_SQL = """
    select key, time_bucket(interval '1 minute', ts) as start, count(*) as n, sum(val) as s
    from data group by all"""
SLIDING_SQL = """
    select *, count(*) over w as n, sum(val) over w as s from data window w as (
        partition by key order by ts
        range between interval '3599999999 microseconds' preceding and current row)"""


def data(rows: int, span_s: int) -> pa.Table:
    """Events evenly over `span_s` seconds."""
    rng = np.random.default_rng(7)
    weights = np.cumsum(1 / np.arange(1, KEYS + 1) ** 1.1)
    ids = np.searchsorted(weights / weights[-1], rng.random(rows)).astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        ids = (ids ^ (ids >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        ids = (ids ^ (ids >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    key = ((ids ^ (ids >> np.uint64(31))) | np.uint64(1)).view(np.int64)
    ts = (np.arange(rows) * (span_s * 1_000_000 / rows)).astype(np.int64).view("M8[us]")
    return pa.table({"ts": ts, "key": key, "val": rng.integers(0, 50_001, rows) / 100})


def pushed(pipeline: mt.Stream, table: pa.Table) -> tuple[float, int, float, mt.Operator]:
    """CPU seconds, rows and the sum of `n` that come out of pushing the table."""
    op = mt.operator(pipeline)
    seconds, rows, total = 0.0, 0, 0.0
    for batch in table.to_batches(max_chunksize=BATCH):
        start = time.thread_time()
        out = op.push(batch).rows
        seconds += time.thread_time() - start
        rows, total = rows + len(out), total + count_of(out)
    out = op.finish().rows
    return seconds, rows + len(out), total + count_of(out), op


def count_of(rows: mt.Table) -> float:
    """The sum of the column `n`."""
    return pl.DataFrame(rows)["n"].sum() if len(rows) else 0


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of the process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(name: str, floor: float, pipeline: mt.Stream, table: pa.Table, sql: str) -> None:
    """Compares, then times, then prints a line."""
    sample = table.slice(0, min(len(table), 500_000))
    connection = duckdb.connect(config={"threads": 1})
    connection.register("data", sample)
    want = connection.sql(f"select count(*), sum(n)::bigint from ({sql})").fetchall()[0]
    _, rows, total, _ = pushed(pipeline, sample)
    if (rows, total) != want:
        raise SystemExit(f"{name}: {rows} rows, n = {total}; DuckDB has {want}")
    connection.register("data", table)
    runs = [pushed(pipeline, table) for _ in range(3)]
    best = min(run[0] for run in runs)
    theirs = cpu(lambda: connection.sql(f"select count(*), sum(s) from ({sql})").fetchall())
    stats = runs[0][3].stats["operators"][1]
    print(
        f"{name:9} {len(table) / best / 1e6:6.2f} M rows/s  {best / len(table) * 1e9:6.1f} ns/row"
        f"  floor {floor:4.1f} M/s  DuckDB {theirs / best:5.2f} x"
        f"  Polars {polars(name, table) / best:5.2f} x"
        f"  {stats['keys']:,} keys left"
    )


def polars(name: str, table: pa.Table) -> float:
    """CPU seconds of the same in Polars."""
    frame = pl.DataFrame(table)
    what = [pl.len().alias("n"), pl.sum("val").alias("s")]
    if name == "tumbling":
        return cpu(lambda: frame.group_by("key", pl.col("ts").dt.truncate("1m")).agg(what))
    return cpu(lambda: frame.rolling("ts", period="1h", group_by="key").agg(what))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    measure("tumbling", 10, TUMBLING, data(rows, 600), TUMBLING_SQL)
    measure("sliding", 6, SLIDING, data(rows, 7200), SLIDING_SQL)


if __name__ == "__main__":
    main()
