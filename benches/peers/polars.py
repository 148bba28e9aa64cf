"""Polars: group_by, group_by_dynamic and rolling, on one thread."""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # read when Polars is imported

import polars as pl
import pyarrow as pa

from benches.peers.peer import Clock, Emit, TablePeer
from benches.workloads import Workload

FUNCTIONS = {
    "n": pl.len().cast(pl.Int64),
    "s": pl.sum("val"),
    "lo": pl.min("val"),
    "hi": pl.max("val"),
    "d": pl.n_unique("item").cast(pl.Int64),
}


class Polars(TablePeer):
    package = "polars"
    settings = {"POLARS_MAX_THREADS": "1", "engine": "streaming for lazy frames"}  # noqa: RUF012
    beyond = "a whole frame at once, on all cores if allowed; nothing is kept between batches"

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        with clock:
            out = self.result(workload, pl.from_arrow(table))
        emit(out.to_arrow())

    def result(self, workload: Workload, frame: pl.DataFrame) -> pl.DataFrame:
        by = list(workload.by)
        if workload.data.kind == "ads":
            frame = frame.filter(pl.col("event") == "view")
            frame = frame.select("ts", (pl.col("ad") - pl.col("ad") % 10).alias("key"))
        wanted = [FUNCTIONS[name].alias(name) for name in workload.aggregates]
        size = f"{workload.size}s"
        match workload.kind:
            case "tumbling":
                start = pl.col("ts").dt.truncate(size).alias("start")
                return frame.lazy().group_by(start, *by).agg(wanted).collect(engine="streaming")
            case "hopping":
                every, before = workload.every, workload.size - workload.every
                windows = frame.group_by_dynamic(
                    "ts", every=f"{every}s", period=size, offset=f"-{before}s", group_by=by
                )
                return windows.agg(wanted).rename({"ts": "start"})
            case "session":
                gap = pl.duration(seconds=workload.size)
                frame = frame.sort(*by, "ts").with_columns(
                    session=((pl.col("ts").diff() > gap).fill_null(True)).cum_sum().over(by)
                )
                bounds = [pl.first("ts").alias("start"), pl.last("ts").alias("last")]
                return frame.group_by(*by, "session").agg(*bounds, *wanted)
            case "sliding":
                return self.rolling(workload, frame.sort(*by, "ts"))

    def rolling(self, workload: Workload, frame: pl.DataFrame) -> pl.DataFrame:
        by, many = list(workload.by), len(workload.sizes) > 1
        out = None
        for size in workload.sizes:
            wanted = [
                FUNCTIONS[name].alias(f"{name}_{size}" if many else name)
                for name in workload.aggregates
            ]
            found = frame.rolling("ts", period=f"{size}s", group_by=by).agg(wanted)
            out = found if out is None else out.hstack(found.drop("ts", *by))
        return out


PEER = Polars()
