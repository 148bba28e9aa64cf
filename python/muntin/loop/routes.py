"""Routes rows to sinks and determines each output's upsert key."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from muntin.base.errors import SchemaError, SinkError, with_hint
from muntin.engine.operator import operator
from muntin.engine.result import Result
from muntin.expr.build import resolve
from muntin.loop.unshown import packed, unpacked
from muntin.pipeline.start import stream
from muntin.sinks import Durable, Sink
from muntin.sinks.base import Placed, Transactional
from muntin.sinks.channels.outbox import OutboxSink
from muntin.sinks.records import RECORD_SCHEMA, SAID
from muntin.sources import Undecodable
from muntin.values.rows import arrow_schema
from muntin.values.table import Table

_log = logging.getLogger("muntin.sinks")

_DRAIN_S = 10.0

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


def _no_records() -> Table:
    # not at import: an array of Python values makes pyarrow import pandas
    return Table([pa.table({name: pa.array([], RECORD_SCHEMA.field(name).type) for name in SAID})])


@dataclass(frozen=True, slots=True)
class Destinations:
    """The sinks of a run.

    Attributes:
        rows: of each output, by its name.
        alerts: of alerts.
        late: of the records of late rows.
        invalid: of the records of invalid rows, and of those that cannot be decoded.
        bad: for inputs whose source has a sink of its own for what cannot be decoded, that sink.
    """

    rows: dict[str, Sequence[Sink]]
    alerts: Sequence[Sink]
    late: Sequence[Sink]
    invalid: Sequence[Sink]
    bad: Mapping[str, Sink] = field(default_factory=dict)

    def places(self) -> Iterator[tuple[str, Sink]]:
        """Each sink with its place in the run, which identifies it in a checkpoint."""
        named = [(f"rows/{name}", sinks) for name, sinks in self.rows.items()]
        named += [(word, getattr(self, word)) for word in ("alerts", "late", "invalid")]
        named += [(f"bad/{name}", [sink]) for name, sink in self.bad.items()]
        for start, sinks in named:
            for i, sink in enumerate(sinks):
                yield f"{start}/{i}/{type(sink).__name__}", sink


class Routes:
    """Stages the results of a step in their sinks, and publishes them."""

    def __init__(self, destinations: Destinations, keys: Mapping[str, tuple[str, ...]]) -> None:
        """Check the sinks; nothing is opened before `open`.

        Args:
            destinations: the sinks.
            keys: for each output, the columns that identify a row; empty if none do.

        Raises:
            SinkError: something among the sinks is not a sink, or a sink outside `alerts=` has
                a `when=`.
            ExpressionError, ColumnError: a `when=` is not a condition on alerts.
        """
        self._to = destinations
        self._keys = keys
        self._places: dict[str, Sink] = {}
        self._also: dict[str, str] = {}
        for place, sink in destinations.places():
            if sink.when is not None and not place.startswith("alerts/"):
                hint = "for other rows, filter the pipeline"
                raise SinkError(with_hint("when= is for sinks in alerts=", hint))
            first = next((p for p, known in self._places.items() if known is sink), place)
            if first == place:
                self._places[place] = sink
            else:
                self._also[place] = first
        self._alert_filters = [_AlertFilter(sink) for sink in destinations.alerts]
        self._waiting: Counter[int] = Counter()
        self._columns: dict[str, Table] = {}
        self._plain: dict[int, str] = {}  # sinks without a state, in a run with checkpoints
        self._unshown: dict[str, list[tuple[str, Table]]] = {}
        self._held: list[tuple[Result, Sequence[tuple[str, Undecodable]]]] | None = None

    def open(self) -> None:
        """Open every sink for each of its outputs."""
        for name, sinks in self._to.rows.items():
            for sink in sinks:
                sink.open(name, self._keys[name])
        for sink in self._to.alerts:
            sink.open("alerts", ("id",))
        for word in ("late", "invalid"):
            for sink in getattr(self._to, word):
                sink.open(word, ())
        for sink in self._to.bad.values():
            sink.open("bad", ())

    def describe(self, schemas: Mapping[str, Mapping[str, str] | None]) -> None:
        """Tell sinks the columns of alerts and of the outputs whose schema is known.

        Raises:
            SinkError: a sink cannot store a name or a type.
        """
        for name, words in schemas.items():
            known = self._columns.get(name)
            rows = _without_rows(words or {}) if known is None else known
            if rows is not None:
                self._describe(self._to.rows[name], name, rows)
        no_alerts = Table([arrow_schema(ALERT_SCHEMA.items()).empty_table()])
        self._describe(self._to.alerts, "alerts", no_alerts)

    def begin(self) -> None:
        """A fresh start without checkpoints; called once, after `open`.

        Raises:
            SinkError: a file or table already exists, and the sink's mode is "error".
        """
        for sink in self._placed():
            sink.begin()

    def finish(self, schemas: Mapping[str, Mapping[str, str] | None]) -> None:
        """End the run normally: an output without rows still writes its columns."""
        self.describe(schemas)
        for word, sinks in (("late", self._to.late), ("invalid", self._to.invalid)):
            self._describe(sinks, word, self._columns.get(word, _no_records()))
        for sink in self._placed():
            sink.finish()

    def restore(
        self,
        states: Mapping[str, dict[str, Any]] | None,
        staged: Mapping[str, int],
        also: Mapping[str, str],
    ) -> None:
        """Restore durable sinks from a checkpoint, or start fresh; called once, after `open`.

        Args:
            states: the sinks' states, by place; None at the first start.
            staged: how many rows they had not published yet, by place.
            also: further places of sinks, and the place under which their state is kept.

        Raises:
            SinkError: a removed sink has unpublished rows; nothing has changed yet.
        """
        found = {place: self._place_then(place, states or {}, also) for place in self._places}
        for place in states or ():
            if place not in found.values():
                self._check_gone(place, staged.get(place, 0))
        for place, sink in self._places.items():
            if isinstance(sink, Durable):
                then = found[place]
                state = None if states is None or then is None else states[then]
                if states is not None and state is None:
                    _log.warning(
                        "sink %s is not in the checkpoint: it gets rows from now on", place
                    )
                sink.restore(state)
            elif not (isinstance(sink, Transactional) and sink.joined):
                self._plain[id(sink)] = place
                _log.info("sink %s delivers at least once: a restart may repeat rows", place)

    def _place_then(
        self, place: str, states: Mapping[str, Any], also: Mapping[str, str]
    ) -> str | None:
        """The place of a sink in the checkpoint: its outputs may have changed since."""
        places = [place, *(other for other, first in self._also.items() if first == place)]
        then = (also.get(each, each) for each in places)
        return next((each for each in then if each in states), None)

    def _check_gone(self, place: str, rows: int) -> None:
        if rows:
            hint = "run once more with it, let the run end or stop it, and remove it then"
            message = f"the sink {place} was removed, but has {rows:,} rows that are not published"
            raise SinkError(with_hint(message, hint))
        _log.warning("the sink %s of the checkpoint was removed", place)

    def hold(self) -> None:
        """Keep the results of further steps back: a checkpoint without them is being written."""
        self._held = []

    def release(self) -> None:
        """Stage the results that were kept back."""
        held, self._held = self._held or [], None
        for result, undecodable in held:
            self.stage(result, undecodable)

    @property
    def held(self) -> int:
        """Rows that are kept back, of all outputs."""
        return sum(
            len(rows) for result, _ in self._held or () for rows in result.outputs.values()
        ) + sum(len(result.alerts) + len(undecodable) for result, undecodable in self._held or ())

    def stage(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        """Stage the results of a step, and the records that could not be decoded."""
        if self._held is not None:
            self._held.append((result, undecodable))
            return
        for name, rows in result.outputs.items():
            self._stage(self._to.rows[name], name, rows)
        for alerts in self._alert_filters:
            if taken := alerts.of(result.alerts):
                self._stage([alerts.sink], "alerts", taken)
        for word, sinks, tables in (
            ("late", self._to.late, result.late),
            ("invalid", self._to.invalid, result.invalid),
        ):
            for rows in tables.values():
                self._stage(sinks, word, rows)
        records: list[tuple[str, Undecodable]] = []
        bad: dict[str, list[Undecodable]] = {}
        for name, record in undecodable:
            if name in self._to.bad:
                bad.setdefault(name, []).append(record)
            else:
                records.append((name, record))
        if records:
            self._stage(self._to.invalid, "invalid", undecodable_table(records))
        for name, each in bad.items():
            self._stage([self._to.bad[name]], "bad", bad_table(name, each))

    @property
    def dead_letters(self) -> frozenset[str]:
        """The inputs whose source has a sink of its own for what cannot be decoded."""
        return frozenset(self._to.bad)

    @property
    def waiting(self) -> int:
        """Rows staged since the last `publish`, counted once for each sink."""
        return self._waiting.total()

    @property
    def also(self) -> dict[str, str]:
        """For sinks with several places, each further place and its first."""
        return dict(self._also)

    def staged(self) -> dict[str, int]:
        """How many of these rows each durable sink will publish, by place."""
        return {
            place: self._waiting[id(sink)]
            for place, sink in self._places.items()
            if isinstance(sink, Durable) and self._waiting[id(sink)]
        }

    def prepare(self) -> dict[str, dict[str, Any]]:
        """Make rows staged in durable sinks durable; returns the sinks' states by place."""
        return {
            place: sink.prepare()
            for place, sink in self._places.items()
            if isinstance(sink, Durable)
        }

    def publish(self, *, wait: bool = False) -> None:
        """Make everything staged visible; with `wait`, return when brokers have it, too."""
        self._waiting.clear()
        for sink in self._places.values():
            sink.publish()
        for sink in self._places.values() if wait else ():
            if isinstance(sink, Transactional):
                sink.flush()
        self._unshown.clear()

    def unshown(self) -> bytes:
        """Rows that sinks without a state have not published yet, as bytes for a checkpoint."""
        return packed(self._unshown)

    def show_again(self, data: bytes) -> None:
        """Publish rows that sinks without a state may not have published when the process ended.

        Raises:
            SnapshotError: the bytes are not from `unshown`.
        """
        for place, tables in unpacked(data).items():
            sink = self._places.get(place)
            if sink is None:
                rows = sum(len(table) for _, table in tables)
                _log.warning(
                    "the sink %s was removed: %d rows of it were not published", place, rows
                )
                continue
            for output, table in tables:
                sink.stage(output, table)
            sink.publish()

    def counted(self, word: str) -> dict[str, int]:
        """Counters of sinks with an outbox, by place: `word` is `waiting` or `dropped`."""
        return {
            place: int(getattr(sink, word))
            for place, sink in self._places.items()
            if isinstance(getattr(sink, word, None), int)
        }

    def sends(self, seconds: float) -> bool:
        """Whether an outbox has rows to send and its `drain` time is longer than `seconds`."""
        return any(
            getattr(sink, "waiting", 0) and seconds < getattr(sink, "drain", _DRAIN_S)
            for sink in self._places.values()
        )

    def waited(self, seconds: float) -> None:
        """Tell outboxes how long the run has waited: closing waits for the rest of `drain`."""
        for sink in self._places.values():
            if isinstance(sink, OutboxSink):
                sink.waited(seconds)

    def close(self) -> None:
        """Close every sink, even if closing another fails."""
        with ExitStack() as stack:
            for sink in self._places.values():
                stack.callback(sink.close)

    def _placed(self) -> list[Placed]:
        return [sink for sink in self._places.values() if isinstance(sink, Placed)]

    def _describe(self, sinks: Sequence[Sink], name: str, rows: Table) -> None:
        for sink in sinks:
            if isinstance(sink, Placed):
                sink.columns(name, rows)

    def _stage(self, sinks: Sequence[Sink], name: str, rows: Table) -> None:
        if name not in self._columns and sinks and rows.columns:
            self._columns[name] = Table([rows.to_arrow().slice(0, 0)])
        if len(rows):
            for sink in sinks:
                sink.stage(name, rows)
                self._waiting[id(sink)] += len(rows)
                if id(sink) in self._plain:
                    place = self._plain[id(sink)]
                    self._unshown.setdefault(place, []).append((name, rows))


class _AlertFilter:
    """The alerts a sink takes: those its `when` is true for.

    Shadow alerts are recorded without alerting anybody, so only a sink whose `when` uses the
    column `shadow` gets them.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        when = ~resolve("shadow", None, "when")
        if sink.when is not None:
            condition = resolve(sink.when, list(ALERT_SCHEMA), "when")
            named = {column.name for column in condition.columns()}
            when = condition if "shadow" in named else condition & when
        alerts = stream("alerts", time="time", out_of_order="0s", schema=ALERT_SCHEMA)
        self._operator = operator(alerts.filter(when))

    def of(self, alerts: Table) -> Table | None:
        return self._operator.push(alerts).rows if len(alerts) else None


def _without_rows(words: Mapping[str, str]) -> Table | None:
    """An empty table with these columns; None if there are none, or a type has no name."""
    try:
        return Table([arrow_schema(words.items()).empty_table()]) if words else None
    except SchemaError:
        return None


def bad_table(name: str, records: Sequence[Undecodable]) -> Table:
    """A table of messages that could not be decoded: their bytes, place, and what was wrong.

    >>> record = Undecodable(0, 7, "payments", None, "{", "not JSON", b"{")
    >>> bad_table("input", [record]).to_dicts()[0]["payload"]
    b'{'
    """
    columns = {
        "input": pa.array([name] * len(records), pa.string()),
        "topic": pa.array([record.file for record in records], pa.string()),
        # several topics of an input are told apart by the upper half
        "partition": pa.array([record.partition & 0xFFFF_FFFF for record in records], pa.int64()),
        "offset": pa.array([record.position for record in records], pa.int64()),
        "detail": pa.array([record.detail for record in records], pa.string()),
        "payload": pa.array([record.payload for record in records], pa.binary()),
    }
    return Table([pa.table(columns)])


def undecodable_table(records: Sequence[tuple[str, Undecodable]]) -> Table:
    """A table of records that could not be decoded: their place, text and what was wrong."""
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
