"""Pathway: windowby over a Python connector, one worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pathway as pw
import pyarrow as pa
from pathway.internals.parse_graph import G

from benches.peers.peer import Clock, Emit, Peer
from benches.workloads import Workload

BATCH = 65_536


class Events(pw.Schema):
    """A payment."""

    ts: pw.DateTimeNaive
    key: int
    val: float


class Ads(pw.Schema):
    """An event of Yahoo's benchmark."""

    ts: pw.DateTimeNaive
    ad: int
    event: str


class Subject(pw.io.python.ConnectorSubject):
    """The rows of the table."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__()
        self.table = table

    def run(self) -> None:
        for batch in self.table.to_batches(max_chunksize=BATCH):
            for row in batch.to_pylist():
                self.next(**row)


class Pathway(Peer):
    package = "pathway"
    settings = {  # noqa: RUF012
        "workers": "1",
        "source": "io.python.ConnectorSubject, a row at a time",
        "windows": "exactly_once_behavior for tumbling and hopping",
        "output": "io.subscribe",
    }
    beyond = "several workers and machines, joins, corrections of results; delivery in paid tiers"
    starts = 1.0

    def refuses(self, workload: Workload) -> str | None:
        if workload.only_changed:
            return "no window that comes only if it changed"
        if workload.kind == "sliding":
            return "intervals_over is over points in time, not over each event of a key"
        return None

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        G.clear()
        ads = workload.data.kind == "ads"
        table = table.select(["ts", "ad", "event"] if ads else ["ts", "key", "val"])
        rows = pw.io.python.read(
            Subject(table), schema=Ads if ads else Events, autocommit_duration_ms=1_000
        )
        found: dict[Any, dict[str, Any]] = {}

        def changed(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:
            if is_addition:
                found[key] = row
            elif found.get(key) == row:
                del found[key]

        pw.io.subscribe(self.windows(workload, rows), on_change=changed)
        with clock:
            pw.run(monitoring_level=pw.MonitoringLevel.NONE, debug=False)
        names = (*workload.identity, *workload.values)
        names += ("last",) if workload.kind == "session" else ()
        columns = {name: [row[name] for row in found.values()] for name in names}
        for name in ("start", "last"):
            if name in columns:
                columns[name] = pa.array(columns[name]).cast(pa.timestamp("us"), safe=False)
        emit(pa.table(columns))

    def windows(self, workload: Workload, rows: pw.Table) -> pw.Table:
        if workload.data.kind == "ads":
            rows = rows.filter(rows.event == "view")
            rows = rows.select(rows.ts, key=rows.ad - rows.ad % 10, val=0.0)
        size, once = timedelta(seconds=workload.size), pw.temporal.exactly_once_behavior()
        match workload.kind:
            case "tumbling":
                window = pw.temporal.tumbling(duration=size)
            case "hopping":
                hop = timedelta(seconds=workload.every)
                window = pw.temporal.sliding(hop=hop, duration=size)
            case _:
                gap = size + timedelta(microseconds=1)  # events at max_gap are apart
                window, once = pw.temporal.session(max_gap=gap), None
        this = pw.this
        wanted = {
            "n": pw.reducers.count(),
            "s": pw.reducers.sum(this.val),
            "lo": pw.reducers.min(this.val),
            "hi": pw.reducers.max(this.val),
        }
        wanted = {name: wanted[name] for name in workload.aggregates}
        if workload.kind == "session":
            wanted |= {"start": pw.reducers.min(this.ts), "last": pw.reducers.max(this.ts)}
        else:
            wanted["start"] = this._pw_window_start
        return rows.windowby(rows.ts, window=window, behavior=once, instance=rows.key).reduce(
            key=this._pw_instance, **wanted
        )


PEER = Pathway()
