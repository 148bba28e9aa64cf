"""muntin, through its Python door: batches pushed to an operator."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

import muntin as mt
from benches.peers.peer import Clock, Emit, Peer
from benches.workloads import Workload

BATCH = 65_536
WORDS = {
    "n": mt.count(),
    "s": mt.sum("val"),
    "lo": mt.min("val"),
    "hi": mt.max("val"),
    "d": mt.count_distinct("item"),
}


def pipeline(workload: Workload) -> mt.Stream:
    """The workload as a pipeline."""
    data, by = workload.data, list(workload.by)
    stream = mt.stream(time="ts", out_of_order=f"{data.late_seconds}s")
    if data.kind == "ads":
        stream = stream.filter("event = 'view'").select("ts", key="ad - ad % 10")
    aggregates = {name: WORDS[name] for name in workload.aggregates}
    size = f"{workload.size}s"
    match workload.kind:
        case "tumbling":
            return stream.tumbling(size, by).agg(**aggregates)
        case "hopping":
            emit = "changed" if workload.only_changed else "final"
            return stream.hopping(size, f"{workload.every}s", by, emit=emit).agg(**aggregates)
        case "session":
            return stream.session(size, by).agg(**aggregates)
        case "sliding":
            sizes = [timedelta(seconds=each) for each in workload.sizes]
            given = sizes if len(sizes) > 1 else sizes[0]
            windows = stream.sliding(
                given, by, names="{name}_{size}" if len(sizes) > 1 else "{name}"
            )
            return windows.agg(**aggregates)


class Muntin(Peer):
    package = "muntin"
    settings = {"batches": f"{BATCH:,} rows", "threads": "1, unless said"}  # noqa: RUF012
    beyond = ""

    def version(self) -> str:
        return mt.__version__  # also from a source tree that is not installed

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        partitions = tuple(range(workload.data.partitions))
        op = mt.operator(pipeline(workload), partitions=partitions, threads=workload.threads)
        for batch in table.to_batches(max_chunksize=BATCH):
            if len(partitions) == 1:
                with clock:
                    rows = op.push(batch).rows
            else:
                number = batch["partition"]
                parts = [batch.filter(pa.compute.equal(number, each)) for each in partitions]
                with clock:
                    feeds = [mt.Feed(None, part, i) for i, part in enumerate(parts)]
                    rows = op.step(feeds, "time").rows
            emit(self.renamed(workload, rows))
        self.state = op.stats["operators"]
        with clock:
            rows = op.finish().rows
        emit(self.renamed(workload, rows))

    def renamed(self, workload: Workload, rows: mt.Table) -> pa.Table:
        """The output by the names of the workload; not measured."""
        table = rows.to_arrow()
        names = {"window_start": "start", "last_event_time": "last"}
        sizes = dict(zip(("1m", "10m", "1h"), (60, 600, 3_600), strict=True))
        for name in table.column_names:
            base, _, word = name.rpartition("_")
            if word in sizes and len(workload.sizes) > 1:
                names[name] = f"{base}_{sizes[word]}"
        return table.rename_columns([names.get(name, name) for name in table.column_names])


PEER = Muntin()
