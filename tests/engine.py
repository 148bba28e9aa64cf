"""The engine with the methods and the results of the oracle's `Machine`, to compare the two."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from muntin import _core
from oracle import Feed, Out

WORDS = {
    "i64": pa.int64(),
    "f64": pa.float64(),
    "str": pa.string(),
    "bool": pa.bool_(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[us, UTC]": pa.timestamp("us", "UTC"),
}


def inside(snapshot: bytes) -> dict:
    return json.loads(_core.contents(snapshot))


def chunk_names(snapshot: bytes) -> set[str]:
    return {name for name, _, _ in inside(snapshot)["chunks"]}


class Engine:
    """`_core.Engine`, fed with the oracle's feeds."""

    def __init__(
        self,
        plan: dict,
        partitions: dict[int, list[int]],
        *,
        threads: int = 1,
        snapshot: bytes | None = None,
        on_change: str = "refuse",
    ) -> None:
        self.plan, self.threads = plan, threads
        self.partitions = [partitions[i] for i in range(len(plan["inputs"]))]
        self.schemas = [
            pa.schema([(name, WORDS[word]) for name, word in spec["schema"]])
            for spec in plan["inputs"]
        ]
        text = json.dumps(plan)
        self.core = _core.Engine(text, self.partitions, threads, [], snapshot, on_change)
        self.parts: list[bytes] = []

    def restored(self) -> Engine:
        """A new engine out of this one's snapshot, built from what changed since the last."""
        partitions = dict(enumerate(self.partitions))
        names = [name for part in self.parts for name, _, _ in inside(part)["chunks"]]
        since = inside(self.parts[-1])["manifest"]["epoch"] if self.parts else 0
        parts = [*self.parts, self.core.snapshot(since, names)]
        whole = _core.assemble(parts)
        assert chunk_names(whole) == chunk_names(self.core.snapshot())
        engine = Engine(self.plan, partitions, threads=self.threads, snapshot=whole)
        engine.parts = parts
        return engine

    def step(self, feeds: list[Feed], order: str = "given") -> Out:
        """Rows of several inputs."""
        return self.out(self.core.step([self.tuple_of(Feed(*feed)) for feed in feeds], order))

    def advance(self, input: int, partition: int | None, watermark: int) -> Out:
        """Moves a watermark."""
        return self.out(self.core.advance(input, partition, watermark))

    def idle(self, input: int, partition: int | None) -> Out:
        """Marks one partition idle, or all."""
        return self.out(self.core.idle(input, partition))

    def open(self, input: int, partition: int) -> Out:
        """Adds a partition."""
        return self.out(self.core.open(input, partition))

    def finish(self, input: int | None = None, partition: int | None = None) -> Out:
        """Ends a partition, an input or everything."""
        return self.out(self.core.finish(input, partition))

    @property
    def stats(self) -> dict:
        """Counters and sizes."""
        return json.loads(self.core.stats())

    def tuple_of(self, feed: Feed) -> tuple:
        """A feed as the compiled module takes it."""
        batch = pa.RecordBatch.from_pylist(feed.rows, self.schemas[feed.input])
        return (
            feed.input,
            batch,
            numbers(feed.partition),
            numbers(feed.position),
            numbers(feed.arrival),
        )

    def out(self, step: _core.Step) -> Out:
        """What a step gave, as the oracle tells it."""
        return Out(
            [rows(b) for b in step.outputs],
            [alert(row) for row in rows(step.alerts)],
            [[record(row) for row in rows(b)] for b in step.late],
            [[record(row) for row in rows(b)] for b in step.invalid],
        )


def numbers(value: Any) -> Any:
    """One number, or an Arrow array of them; an arrival that is not known is the least one."""
    if not isinstance(value, list):
        return value
    known = [-(2**63) if v is None else v for v in value]
    return None if all(v is None for v in value) else pa.array(known, pa.int64())


def rows(batches: _core.Batches) -> list[dict]:
    """Rows as dicts; times that no datetime can hold as ints."""
    table = pa.table(batches)
    columns = []
    for column in table.columns:
        try:
            columns.append(column.to_pylist())
        except (OverflowError, ValueError):
            columns.append(column.cast(pa.int64()).to_pylist())
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def record(row: dict) -> dict:
    """A late or invalid record as the oracle writes it."""
    operator, _, node = row["operator"].partition("#")
    late_by = row["late_by"]
    return row | {
        "operator": operator,
        "node": int(node) if node else -1,
        "late_by": late_by // timedelta(microseconds=1)
        if isinstance(late_by, timedelta)
        else late_by,
    }


def alert(row: dict) -> dict:
    """An alert with its JSON texts read."""
    return row | {"key": json.loads(row["key"]), "values": json.loads(row["values"])}


def plain(value: Any) -> Any:
    """A value in a form in which equal means equal: one NaN, -0.0 apart from 0.0, no zones."""
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        if value.is_integer() and abs(value) < 2**53:
            return ("-0.0" if math.copysign(1, value) < 0 else 0) if value == 0 else int(value)
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, value)
    if isinstance(value, datetime):
        naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return (naive - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def comparable(out: Out, plan: dict) -> dict[str, Any]:
    """What two machines must agree on.

    A row that waited for the watermark no longer has its source columns with it.
    """
    told = ["reason", "node", "partition", "position"]
    if not any(node.get("emit") == "watermark" for node in plan["nodes"]):
        told += ["at", "k", "k2", "v", "x", "s"]
    records = [
        [{name: r.get(name) for name in told} | bounds(r) for r in of]
        for of in (*out.late, *out.invalid)
    ]
    alerts = [{n: v for n, v in a.items() if n not in ("id", "key", "values")} for a in out.alerts]
    return {
        "outputs": [[list(row.items()) for row in plain(o)] for o in out.outputs],
        "alerts": plain(alerts),
        "records": plain(records),
    }


def bounds(record: dict) -> dict:
    """Window bounds and lateness of a record, where it has a window."""
    if record["operator"] == "sliding":
        return {"late_by": record["late_by"]}
    names = ("window_start", "window_end", "late_by")
    return {n: record[n] for n in names} | {"windows": record["windows"] or None}


__all__ = ["Engine", "comparable", "plain"]
