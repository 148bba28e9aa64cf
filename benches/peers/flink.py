"""Flink SQL on a local mini-cluster: window functions, and OVER for windows per event."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benches.peers.peer import Clock, Emit, Peer
from benches.peers.sql import FUNCTIONS
from benches.workloads import Workload

HOME = Path(sys.prefix)
KINDS = pa.array(["view", "click", "purchase"])
OPEN = ("java.util", "java.lang", "java.time")
LENGTH = "INTERVAL '{}' SECOND"


class Flink(Peer):
    settings = {  # noqa: RUF012
        "version": "2.3.0, Java 17, in one JVM",
        "parallelism": "1",
        "state": "heap",
        "object reuse": "on",
        "source": "DataGeneratorSource over columns in memory, times in milliseconds",
        "output": "a list of rows, written as CSV at the end (counted, too)",
    }
    beyond = "a cluster, exactly-once checkpoints, terabytes of state, rescaling"
    starts = 6.0

    def version(self) -> str:
        return next((HOME / "jars").glob("flink-core-[0-9]*.jar")).stem.rpartition("-")[2]

    def refuses(self, workload: Workload) -> str | None:
        if workload.only_changed:
            return "no window that comes only if it changed"
        if len(workload.sizes) > 1:
            return "all OVER windows of a streaming query must be the same"
        return None

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        with tempfile.TemporaryDirectory() as folder:
            columns, out = Path(folder, "columns"), Path(folder, "out.csv")
            write_columns(workload, table, columns)
            late = str(workload.data.late_seconds)
            command = [
                *("java", "-XX:+UseSerialGC", "-Xmx4g"),
                *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPEN),
                *("-cp", f"{HOME / 'classes'}:{HOME / 'jars'}/*", "FlinkBench", columns),
                *(str(len(table)), workload.data.kind, late, query(workload), out),
            ]
            with clock:
                done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                lines = [x for x in done.stderr.splitlines() if "Exception" in x]
                raise RuntimeError("; ".join(lines[-2:]) or done.stderr[-300:])
            emit(as_table(workload, out))


def write_columns(workload: Workload, table: pa.Table, path: Path) -> None:
    """Three columns of eight bytes, as the Java program reads them; not measured."""
    ads = workload.data.kind == "ads"
    times = pc.divide(table["ts"].cast(pa.int64()), 1_000)
    third = pc.index_in(table["event"], KINDS).cast(pa.int64()) if ads else table["val"]
    with path.open("wb") as file:
        for column in (times, table["ad" if ads else "key"], third):
            array = column.combine_chunks()
            for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
                start = chunk.offset * 8
                file.write(chunk.buffers()[1][start : start + len(chunk) * 8])


def query(workload: Workload) -> str:
    """The workload over the view `data`."""
    wanted = ", ".join(f"{FUNCTIONS[name]} as {name}" for name in workload.aggregates)
    source, view = "data", ""
    if workload.data.kind == "ads":
        view = "with seen as (select ts, ad - mod(ad, 10) as key from data where event = 'view') "
        source = "seen"
    size = LENGTH.format(workload.size)
    match workload.kind:
        case "tumbling":
            windows = f"TUMBLE(TABLE {source}, DESCRIPTOR(ts), {size})"
        case "hopping":
            every = LENGTH.format(workload.every)
            windows = f"HOP(TABLE {source}, DESCRIPTOR(ts), {every}, {size})"
        case "session":
            windows = f"SESSION(TABLE {source} PARTITION BY key, DESCRIPTOR(ts), {size})"
        case "sliding":
            # both ends of a range belong to it, so it is a millisecond shorter
            hours, rest = divmod(workload.sizes[0] - 1, 3_600)
            clock = f"0 {hours:02}:{rest // 60:02}:{rest % 60:02}.999"
            before = f"INTERVAL '{clock}' DAY TO SECOND(3)"
            over = ", ".join(f"{FUNCTIONS[name]} over w as {name}" for name in workload.aggregates)
            return (
                f"select ts, key, {over} from data window w as (partition by key order by ts"
                f" range between {before} preceding and current row)"
            )
    last = "" if workload.kind != "session" else f"window_end - {size} as `last`, "
    return (
        f"{view}select window_start as `start`, key, {last}{wanted} from table({windows})"
        " group by key, window_start, window_end"
    )


def as_table(workload: Workload, path: Path) -> pa.Table:
    """The output; not measured."""
    last = ("last",) if workload.kind == "session" else ()
    names = [*workload.identity, *last, *workload.values]
    options = pa.csv.ReadOptions(column_names=names)
    table = pa.csv.read_csv(path, options)
    for name in (workload.identity[0], *last):
        column = table[name].cast(pa.timestamp("ms")).cast(pa.timestamp("us"))
        table = table.set_column(names.index(name), name, column)
    return table


PEER = Flink()
