"""Which rows go to which sink, and by what they are the same row again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from muntin.errors import SinkError, with_hint
from muntin.expressions import resolve
from muntin.operator import operator
from muntin.result import Result, Table
from muntin.sinks import Sink
from muntin.sources import Undecodable
from muntin.stream import stream

ALERT_SCHEMA = {
    "id": "str",
    "time": "timestamp[us, UTC]",
    "rule": "str",
    "version": "i64",
    "severity": "str",
    "message": "str",
    "score": "i64",
    "shadow": "bool",
    "output": "str",
    "key": "str",
    "window_start": "timestamp[us, UTC]",
    "window_end": "timestamp[us, UTC]",
    "values": "str",
    "partition": "i64",
    "position": "i64",
}
"""The columns of an alert."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """The sinks of a run: of each output by its name, of alerts, of late and of invalid rows."""

    rows: dict[str, Sequence[Sink]]
    alerts: Sequence[Sink]
    late: Sequence[Sink]
    invalid: Sequence[Sink]


class Routes:
    """Stages what a step gave with every sink it is for, and publishes it."""

    def __init__(self, destinations: Destinations, plan: dict[str, Any]) -> None:
        """Check the sinks; nothing is opened before `open`.

        Raises:
            SinkError: something that stands among the sinks is none, or has a `when=` where
                there are no alerts.
            ExpressionError, ColumnError: a `when=` is no condition on alerts.
        """
        self._to = destinations
        self._plan = plan
        everywhere = [
            *(sink for sinks in destinations.rows.values() for sink in sinks),
            *destinations.late,
            *destinations.invalid,
        ]
        for sink in (*everywhere, *destinations.alerts):
            if not isinstance(sink, Sink):
                hint = "it needs when, open, stage, publish and close: see mt.Sink"
                raise SinkError(with_hint(f"{sink!r} is no sink", hint))
        for sink in everywhere:
            if sink.when is not None:
                hint = "for other rows, filter the pipeline"
                raise SinkError(with_hint("when= is for sinks in alerts=", hint))
        self._alert_filters = [_AlertFilter(sink) for sink in destinations.alerts]
        self._sinks = list({id(s): s for s in (*everywhere, *destinations.alerts)}.values())

    def open(self) -> None:
        """Open every sink for everything it is given."""
        for i, (name, sinks) in enumerate(self._to.rows.items()):
            key = upsert_key(self._plan, self._plan["outputs"][i]["node"])
            for sink in sinks:
                sink.open(name, key)
        for sink in self._to.alerts:
            sink.open("alerts", ("id",))
        for word in ("late", "invalid"):
            for sink in getattr(self._to, word):
                sink.open(word, ())

    def deliver(self, result: Result, undecodable: Iterable[tuple[str, Undecodable]]) -> None:
        """Stage and publish what a step gave, and what never became a row."""
        for name, rows in result.outputs.items():
            _stage(self._to.rows[name], name, rows)
        for alerts in self._alert_filters:
            alerts.stage(result.alerts)
        for rows in result.late.values():
            _stage(self._to.late, "late", rows)
        for rows in result.invalid.values():
            _stage(self._to.invalid, "invalid", rows)
        if records := list(undecodable):
            _stage(self._to.invalid, "invalid", undecodable_table(records))
        for sink in self._sinks:
            sink.publish()

    def close(self) -> None:
        """Close every sink, whatever the others do."""
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)


class _AlertFilter:
    """The alerts a sink takes: those its `when` is true for.

    Shadow alerts are recorded without alerting anybody, so only a sink whose `when` speaks of
    the column `shadow` gets them.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        when = ~resolve("shadow", None, "when")
        if sink.when is not None:
            asked = resolve(sink.when, list(ALERT_SCHEMA), "when")
            named = {column.name for column in asked.columns()}
            when = asked if "shadow" in named else asked & when
        alerts = stream("alerts", time="time", out_of_order="0s", schema=ALERT_SCHEMA)
        self._operator = operator(alerts.filter(when))

    def stage(self, alerts: Table) -> None:
        if len(alerts):
            _stage([self._sink], "alerts", self._operator.push(alerts).rows)


def upsert_key(plan: dict[str, Any], index: int) -> tuple[str, ...]:
    """The columns by which a row of a node is the same row again; empty if there are none.

    >>> window = {"op": "tumbling", "from": 0, "by": ["store"]}
    >>> upsert_key({"nodes": [{"op": "input", "input": 0}, window]}, 1)
    ('store', 'window_start', 'window_end')
    """
    node = plan["nodes"][index]
    match node["op"]:
        case "tumbling" | "hopping" | "session" | "silent":
            return (*node["by"], "window_start", "window_end")
        case "select":
            key = upsert_key(plan, node["from"])
            kept = {name for name, expr in node["columns"] if expr == {"col": name}}
            return key if set(key) <= kept else ()
        case "filter" | "sliding":
            return upsert_key(plan, node["from"])
        case "with_columns":
            key = upsert_key(plan, node["from"])
            return () if set(key) & {name for name, _ in node["columns"]} else key
        case _:
            return ()


def undecodable_table(records: Sequence[tuple[str, Undecodable]]) -> Table:
    """Invalid records for what never became a row: where it stood, its text, what was wrong."""
    times = pa.timestamp("us", "UTC")
    columns: dict[str, tuple[Any, list[Any]]] = {
        "reason": (pa.string(), ["undecodable"] * len(records)),
        "operator": (pa.string(), ["decode"] * len(records)),
        "input": (pa.string(), [name for name, _ in records]),
        "partition": (pa.int64(), [record.partition for _, record in records]),
        "position": (pa.int64(), [record.position for _, record in records]),
        "window_start": (times, [None] * len(records)),
        "window_end": (times, [None] * len(records)),
        "windows": (pa.int64(), [0] * len(records)),
        "late_by": (pa.duration("us"), [None] * len(records)),
        "file": (pa.string(), [record.file for _, record in records]),
        "line": (pa.int64(), [record.line for _, record in records]),
        "text": (pa.string(), [record.text for _, record in records]),
        "detail": (pa.string(), [record.detail for _, record in records]),
    }
    arrays = {name: pa.array(values, kind) for name, (kind, values) in columns.items()}
    return Table([pa.table(arrays)])


def _stage(sinks: Sequence[Sink], name: str, rows: Table) -> None:
    if len(rows):
        for sink in sinks:
            sink.stage(name, rows)
