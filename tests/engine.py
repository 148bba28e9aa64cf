"""The engine with the methods and the results of the oracle's `Machine`, to compare the two."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from kinds import array, as_json, layouts
from muntin import _core
from oracle import Feed, Out


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
        self.schemas = [dict(spec["schema"]) for spec in plan["inputs"]]
        self.batches = 0
        text = json.dumps(plan)
        self.core = _core.Engine(text, self.partitions, threads, [], snapshot, on_change)
        self.parts: list[bytes] = []
        self.types: list[dict[str, pa.DataType]] = []
        """The types of the columns of each output, as the last step had them."""

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

    def peek(self, feed: Feed) -> Out:
        """The answer to one row that is not counted."""
        return self.out(self.core.peek(self.tuple_of(feed)))

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
        return (
            feed.input,
            self.batch(feed),
            numbers(feed.partition),
            numbers(feed.position),
            numbers(feed.arrival),
        )

    def batch(self, feed: Feed) -> pa.RecordBatch:
        """The rows of a feed, each time in another of the layouts that their types have."""
        columns = {}
        for name, word in self.schemas[feed.input].items():
            choices = layouts(word)
            self.batches += 1
            layout = choices[self.batches % len(choices)]
            columns[name] = array([row[name] for row in feed.rows], word, layout)
        return pa.record_batch(columns)

    def out(self, step: _core.Step) -> Out:
        """What a step gave, as the oracle tells it."""
        self.types = [dict(zip(b.names, pa.schema(b).types, strict=True)) for b in step.outputs]
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


def comparable(out: Out, plan: dict, types: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """What two machines must agree on; but for ids of alerts, which the oracle does not give.

    `types` are those of the outputs' columns, to write the values of the oracle's alerts as JSON;
    without them plans with rules cannot be compared.
    """
    words = {o["name"]: words for o, words in zip(plan["outputs"], types or [], strict=False)}
    waiting = behind_waiting(plan)
    records = [
        [record_of(r, plan["inputs"][i], waiting) for r in of]
        for records in (out.late, out.invalid)
        for i, of in enumerate(records)
    ]
    return {
        "outputs": [[list(row.items()) for row in plain(o)] for o in out.outputs],
        "alerts": plain([alert_of(a, words[a["output"]]) for a in out.alerts]),
        "records": plain(records),
    }


def alert_of(alert: dict, words: dict[str, str]) -> dict:
    """An alert without its id, its key and values as JSON has them."""
    told = {name: value for name, value in alert.items() if name != "id"}
    for name in ("key", "values"):
        if "id" not in alert:
            told[name] = {n: as_json(v, words[n]) for n, v in told[name].items()}
    return told


def check_same(got: Any, want: Any, place: str = "") -> None:
    """Fails with the first place where two results differ."""
    assert type(got) is type(want), f"{place}: {got!r} is not {want!r}"
    if isinstance(got, dict):
        assert set(got) == set(want), f"{place}: {list(got)} are not {list(want)}"
        for name, value in got.items():
            check_same(value, want[name], f"{place}.{name}")
    elif isinstance(got, list):
        for i, (one, other) in enumerate(zip(got, want, strict=False)):
            check_same(one, other, f"{place}[{i}]")
        assert len(got) == len(want), f"{place}: {len(got)} are not {len(want)}"
    else:
        assert got == want, f"{place}: {got!r} is not {want!r}"


def behind_waiting(plan: dict) -> set[int]:
    """Nodes whose rows waited for the watermark: those no longer have their source columns."""
    waiting: set[int] = set()
    for i, node in enumerate(plan["nodes"]):
        above = node.get("from", [])
        above = set(above if isinstance(above, list) else [above])
        if node.get("emit") == "watermark" or above & waiting:
            waiting.add(i)
    return waiting


def record_of(record: dict, spec: dict, waiting: set[int]) -> dict:
    """A late or invalid record: what happened, where, and the row's own columns if it has them."""
    told = ["reason", "operator", "node", "input", "partition", "position"]
    told += ["window_start", "window_end", "late_by"]
    if record["node"] not in waiting:
        told += [name for name, _ in spec["schema"]]
    return {name: record.get(name) for name in told} | {"windows": record["windows"] or None}


__all__ = ["Engine", "check_same", "comparable", "plain"]
