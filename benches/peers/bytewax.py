"""Bytewax: fold_window over an event clock, one worker."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, run_main

from benches.peers.peer import Clock, Emit, Peer
from benches.workloads import Workload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BATCH = 1_000


class Part(StatefulSourcePartition):
    """The rows of the table, some at a time."""

    def __init__(self, table: pa.Table) -> None:
        self.batches = iter(table.to_batches(max_chunksize=BATCH))

    def next_batch(self) -> list[dict[str, Any]]:
        batch = next(self.batches, None)
        if batch is None:
            raise StopIteration
        rows = batch.to_pylist()
        for row in rows:
            row["ts"] = row["ts"].replace(tzinfo=UTC)  # Bytewax takes this zone object alone
        return rows

    def snapshot(self) -> None:
        return None


class Rows(FixedPartitionedSource):
    """One partition."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def list_parts(self) -> list[str]:
        return ["all"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Part:
        return Part(self.table)


class Bytewax(Peer):
    package = "bytewax"
    settings = {  # noqa: RUF012
        "workers": "1",
        "window": "fold_window, EventClock that moves with events alone, ordered=False",
        "source": f"lists of {BATCH} dicts",
    }
    beyond = "worker processes on several machines, recovery, any Python function; watermark by key"
    starts = 0.1

    def refuses(self, workload: Workload) -> str | None:
        return "no window that comes only if it changed" if workload.only_changed else None

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        out: list[Any] = []
        flow = self.flow(workload, table, out)
        with clock:
            run_main(flow)
        emit(self.as_table(workload, out))

    def flow(self, workload: Workload, table: pa.Table, out: list[Any]) -> Dataflow:
        flow = Dataflow("bench")
        rows = op.input("in", flow, Rows(table))
        if workload.data.kind == "ads":
            rows = op.filter("views", rows, lambda row: row["event"] == "view")
            keyed = op.key_on("by", rows, lambda row: str(row["ad"] - row["ad"] % 10))
        else:
            keyed = op.key_on("by", rows, lambda row: str(row["key"]))
        if workload.kind == "sliding":
            found = op.stateful_map("windows", keyed, moving(workload))
        else:
            late = timedelta(seconds=workload.data.late_seconds)
            clock = win.EventClock(
                lambda row: row["ts"],
                wait_for_system_duration=late,
                now_getter=lambda: EPOCH,  # else the clock runs on by itself, and rows come late
                to_system_utc=lambda _: EPOCH,
            )
            found = win.fold_window(
                "windows", keyed, clock, windower(workload), list, folded, merged, ordered=False
            ).down
        op.output("out", found, TestingSink(out))
        return flow

    def as_table(self, workload: Workload, out: list[Any]) -> pa.Table:
        """The output as columns; not measured."""
        columns: dict[str, list[Any]] = {"key": [int(key) for key, _ in out]}
        if workload.kind == "sliding":
            columns["ts"] = [at for _, (at, _, _) in out]
            columns["n"] = [n for _, (_, n, _) in out]
            columns["s"] = [s for _, (_, _, s) in out]
        else:
            states = [state for _, (_, state) in out]
            if workload.kind == "session":
                columns["start"] = [state[4] for state in states]
                columns["last"] = [state[5] for state in states]
            else:
                step = workload.every if workload.kind == "hopping" else workload.size
                columns["start"] = [
                    EPOCH + number * timedelta(seconds=step) for _, (number, _) in out
                ]
            for i, name in enumerate(("n", "s", "lo", "hi")):
                if name in workload.aggregates:
                    columns[name] = [state[i] for state in states]
        table = pa.table(columns)
        for name in ("start", "last", "ts"):
            if name in table.column_names:
                at = table.column_names.index(name)
                table = table.set_column(at, name, table[name].cast(pa.timestamp("us")))
        return table


def windower(workload: Workload) -> Any:
    size = timedelta(seconds=workload.size)
    match workload.kind:
        case "tumbling":
            return win.TumblingWindower(length=size, align_to=EPOCH)
        case "hopping":
            every = timedelta(seconds=workload.every)
            return win.SlidingWindower(length=size, offset=every, align_to=EPOCH)
        case _:
            return win.SessionWindower(gap=size)


def folded(state: list[Any], row: dict[str, Any]) -> list[Any]:
    """Count, sum, least, greatest, first and last time."""
    value, at = row.get("val", 0.0), row["ts"]
    if not state:
        return [1, value, value, value, at, at]
    state[0] += 1
    state[1] += value
    state[2] = min(state[2], value)
    state[3] = max(state[3], value)
    state[4] = min(state[4], at)
    state[5] = max(state[5], at)
    return state


def merged(a: list[Any], b: list[Any]) -> list[Any]:
    return [
        a[0] + b[0],
        a[1] + b[1],
        min(a[2], b[2]),
        max(a[3], b[3]),
        min(a[4], b[4]),
        max(a[5], b[5]),
    ]


def moving(workload: Workload) -> Any:
    """A mapper that keeps the events of the last `size` of a key, with their sum."""
    size = timedelta(seconds=workload.sizes[0])

    def mapper(state: Any, row: dict[str, Any]) -> Any:
        inside, total = state or (deque(), 0.0)
        at = row["ts"]
        inside.append((at, row["val"]))
        total += row["val"]
        while inside[0][0] <= at - size:
            total -= inside.popleft()[1]
        return (inside, total), (at, len(inside), total)

    return mapper


PEER = Bytewax()
