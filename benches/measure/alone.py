"""What muntin is measured at alone; each in a process of its own, which prints its points as JSON.

python -m benches.measure.alone rules medium
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa

import muntin as mt
from benches.data.make import make
from benches.peers.muntin import BATCH
from benches.workloads import Data, Point

ROWS = {"small": 20_000, "medium": 500_000, "large": 2_000_000}
STREAM = mt.stream(time="ts", out_of_order="0s")
CARDS = STREAM.sliding("1h", "key").agg(n=mt.count(), s=mt.sum("val"))
MINUTES = STREAM.tumbling("1m", "key").agg(n=mt.count(), s=mt.sum("val"))
DATA = Data(keys=100_000, seconds=7_200)


def pushed(op: mt.Operator, table: pa.Table, size: int = BATCH) -> tuple[float, int]:
    """Thread CPU seconds of pushing the table, and the rows that came out."""
    batches, seconds, rows = table.to_batches(max_chunksize=size), 0.0, 0
    for batch in batches:
        start = time.thread_time()
        out = op.push(batch).rows
        seconds += time.thread_time() - start
        rows += len(out)
    return seconds, rows


def cost(
    pipeline: mt.Stream, table: pa.Table, rules: Sequence[mt.Rule] = (), size: int = BATCH
) -> float:
    """The least of three CPU nanoseconds an event."""
    runs = [pushed(mt.operator(pipeline, rules=rules), table, size)[0] for _ in range(3)]
    return min(runs) / len(table) * 1e9


def rules(size: str) -> Iterator[Point]:
    """The cost of rules on rows of per-event windows, and on fired rows."""
    table = make(replace(DATA, rows=ROWS[size]))
    for many in (0, 1, 10, 100, 300):
        each = [
            mt.rule(f"r{i}", f"n >= {1_000_000 + i} and s < {i}", by="key") for i in range(many)
        ]
        values = {
            "ns an event, per-event rows": cost(CARDS, table, each),
            "ns an event, fired rows": cost(MINUTES, table, each),
        }
        yield Point("rules", "rules that seldom fire", "rules", many, values)


def snapshots(size: str) -> Iterator[Point]:
    """The pause of a snapshot, its bytes, and a restore, by the number of keys."""
    counts = {"small": [10_000], "medium": [100_000, 1_000_000]}
    for keys in counts.get(size, [100_000, 1_000_000, 10_000_000]):
        pipeline = STREAM.tumbling("1d", "key").agg(n=mt.count(), s=mt.sum("val"))
        op = mt.operator(pipeline)
        for first in range(0, keys, 1_000_000):
            ids = np.arange(first, min(first + 1_000_000, keys))
            ts = np.full(len(ids), 1_704_067_200_000_000).view("M8[us]")
            pushed(op, pa.table({"ts": ts, "key": ids * 7_919, "val": ids * 0.25}))
        whole, pause = [], []
        for _ in range(3):
            start = time.perf_counter()
            op.changes(0, [])
            pause.append(time.perf_counter() - start)
            start = time.perf_counter()
            snapshot = op.snapshot()
            whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        mt.operator(pipeline, snapshot=snapshot)
        restore = time.perf_counter() - start
        yield Point(
            "snapshots",
            "snapshots and restores",
            "keys",
            keys,
            {
                "snapshot, ms": min(whole) * 1e3,
                "part since the start, ms": min(pause) * 1e3,
                "restore, ms": restore * 1e3,
                "bytes a key": len(snapshot) / keys,
            },
        )


def growth(size: str) -> Iterator[Point]:
    """The cost of events as the number of keys grows from nothing, and of the same keys again."""
    rows = ROWS[size]
    table = make(Data(rows=rows, keys=1_000_000, spread="uniform", seconds=60))
    op = mt.operator(STREAM.tumbling("1d", "key").agg(n=mt.count(), s=mt.sum("val")))
    again = {}
    for turn in ("from nothing", "the same keys again"):
        for part in range(5):
            piece = table.slice(part * rows // 5, rows // 5)
            cost = pushed(op, piece)[0] / len(piece) * 1e9
            again.setdefault((part + 1) * rows // 5, {})[f"ns an event, {turn}"] = cost
        shift = pa.scalar(60_000_000, pa.duration("us"))
        table = table.set_column(0, "ts", pa.compute.add(table["ts"], shift))
    for events, values in again.items():
        yield Point("growth", "growth from nothing, 1,000,000 keys", "events", events, values)


def batches(size: str) -> Iterator[Point]:
    """The cost of an event by the size of the batches that are pushed."""
    table = make(replace(DATA, rows=ROWS[size]))
    for rows in (1, 10, 100, 1_000, 10_000, BATCH):
        piece = table.slice(0, min(len(table), rows * (400 if size == "small" else 4_000)))
        values = {
            "ns an event, per-event windows": cost(CARDS, piece, size=rows),
            "ns an event, tumbling": cost(MINUTES, piece, size=rows),
        }
        yield Point("batches", "push by the size of a batch", "rows a batch", rows, values)


def ask(size: str) -> Iterator[Point]:
    """The time of one question: a dict in, the row with its features out."""
    op = mt.operator(CARDS)
    table = make(replace(DATA, rows=ROWS[size]))
    op.push(table.slice(0, len(table) - 2_000))
    took = []
    for row in table.slice(len(table) - 2_000).to_pylist():
        start = time.perf_counter()
        op.ask(row)
        took.append(time.perf_counter() - start)
    yield Point(
        "ask",
        "one row at a time",
        "call",
        "ask",
        {f"p{p:g}, us": float(np.percentile(took, p)) * 1e6 for p in (50, 99, 99.9)}
        | {"max, us": max(took) * 1e6},
    )


def latency(size: str) -> Iterator[Point]:
    """An open loop: events come at a rate whether or not muntin is ready for them.

    The latency of an event is from when it should have come to when its result is there, so a
    pause counts for all that came in it (no coordinated omission). What is due is one batch.
    """
    seconds = {"small": 0.3, "medium": 3.0}.get(size, 10.0)
    for rate in (1_000, 100_000, 1_000_000):
        count = int(rate * seconds)
        table = make(Data(rows=count, keys=1_000_000, seconds=7_200)).combine_chunks()
        op = mt.operator(CARDS)
        waited, done = np.zeros(count), 0
        begin = time.perf_counter()
        while done < count and time.perf_counter() - begin < 3 * seconds:
            due = min(int((time.perf_counter() - begin) * rate), count, done + BATCH)
            if due <= done:
                time.sleep(max(begin + (done + 1) / rate - time.perf_counter(), 0))
                continue
            op.push(table.slice(done, due - done))
            now = time.perf_counter() - begin
            waited[done:due] = now - np.arange(done, due) / rate
            done = due
        took = time.perf_counter() - begin
        found = {
            f"p{p:g}, ms": float(np.percentile(waited[:done], p)) * 1e3 for p in (50, 99, 99.9)
        }
        found |= {"max, ms": float(waited[:done].max()) * 1e3, "done a second": done / took}
        yield Point("latency", "per-event windows in an open loop", "events a second", rate, found)


PROBES = {
    "rules": rules,
    "snapshots": snapshots,
    "growth": growth,
    "batches": batches,
    "ask": ask,
    "latency": latency,
}


if __name__ == "__main__":
    name, size = sys.argv[1:]
    print(json.dumps([asdict(point) for point in PROBES[name](size)]))
