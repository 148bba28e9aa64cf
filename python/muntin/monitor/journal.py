"""Logs a run: its start, where it resumes, the first bad rows of each kind, its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from muntin.checkpoint import Restored
from muntin.engine.result import Result
from muntin.monitor.moment import Moment, Scene
from muntin.sources import Undecodable
from muntin.values.table import Table

_log = logging.getLogger("muntin.run")

KINDS_MAX = 100
_DETAIL_MAX = 200


class Journal:
    """A watcher that logs. It logs the first late or invalid row of each kind.

    A kind is an input, the verb that found the row late or invalid, and the reason. Every log
    record has an `event` and its facts as separate fields (`monitor.logs.JsonLog` writes them).
    """

    def __init__(self, restored: Restored | None) -> None:
        """Log nothing yet; `restored` is the checkpoint that the run resumes from."""
        self._restored = restored
        self._name = "run"
        self._kinds: set[tuple[str, ...]] = set()
        self._moment: Moment | None = None

    def begin(self, scene: Scene) -> None:
        self._name = scene.name
        sources = ", ".join(scene.sources.values())
        sinks = [sink for each in scene.sinks.values() for sink in each]
        if self._restored is None:
            message = 'run "%s" starts: it reads %s and writes %s'
            started: dict[str, Any] = {"sources": dict(scene.sources), "sinks": sinks}
            _log.info(message, self._name, sources, ", ".join(sinks) or "nothing",
                      extra=self._facts("start", **started))  # fmt: skip
            return
        manifest = self._restored.manifest
        at = datetime.fromtimestamp(manifest.at, UTC).isoformat(timespec="seconds")
        read = sum(manifest.counts.read.values())
        message = 'run "%s" resumes from checkpoint %d of %s: %d rows were read before'
        facts = {"checkpoint": manifest.number, "taken_at": at, "rows_read": read}
        _log.info(
            message, self._name, manifest.number, at, read, extra=self._facts("resume", **facts)
        )

    def gave(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        for word, tables in (("late", result.late), ("invalid", result.invalid)):
            for name, rows in tables.items():
                if len(rows) and len(self._kinds) < KINDS_MAX:
                    self._rows(word, name, rows)
        for name, record in undecodable:
            if len(self._kinds) >= KINDS_MAX:
                return
            self._undecodable(name, record)

    def moment(self, moment: Moment) -> None:
        self._moment = moment

    def end(self, error: BaseException | None) -> None:
        moment = self._moment
        counts: dict[str, Any] = {}
        if moment is not None:
            counts = {
                "rows_read": sum(moment.sources.values()),
                "rows_given": sum(moment.outputs.values()),
                "alerts": sum(moment.alerts.values()), "late": moment.late,
                "invalid": moment.invalid, "seconds": round(moment.seconds, 3),
            }  # fmt: skip
        message = ", ".join(f"{value} {word.replace('_', ' ')}" for word, value in counts.items())
        if error is None:
            _log.info('run "%s" ends: %s', self._name, message, extra=self._facts("end", **counts))
            return
        kind, why = type(error).__name__, str(error).partition("\n")[0]
        facts = self._facts("fail", error_type=kind, error=str(error), **counts)
        _log.error('run "%s" fails with %s: %s', self._name, kind, why, extra=facts)

    def close(self) -> None:
        """Nothing to release."""

    def _facts(self, event: str, **facts: Any) -> dict[str, Any]:
        return {"event": event, "run": self._name, **facts}

    def _is_new(self, *kind: str) -> bool:
        new = kind not in self._kinds
        self._kinds.add(kind)
        return new

    def _rows(self, word: str, name: str, rows: Table) -> None:
        table = rows.to_arrow().select(["operator", "reason", "partition", "position"])
        pairs = table.group_by(["operator", "reason"], use_threads=False).aggregate([])
        for pair in pairs.to_pylist():
            verb, reason = str(pair["operator"]), str(pair["reason"])
            if not self._is_new(word, name, verb, reason):
                continue
            same = pc.and_(pc.equal(table["operator"], verb), pc.equal(table["reason"], reason))
            first = table.filter(same).slice(0, 1).to_pylist()[0]
            place = {"partition": first["partition"], "position": first["position"]}
            self._first(word, name, reason, {"operator": verb, **place})

    def _undecodable(self, name: str, record: Undecodable) -> None:
        if self._is_new("invalid", name, "decode", "undecodable"):
            place = {"file": record.file, "line": record.line, "position": record.position}
            detail = record.detail[:_DETAIL_MAX]
            self._first("invalid", name, "undecodable", {"operator": "decode", **place,
                                                         "detail": detail})  # fmt: skip

    def _first(self, word: str, name: str, reason: str, place: Mapping[str, Any]) -> None:
        where = ", ".join(f"{key} {value}" for key, value in place.items() if value is not None)
        message = 'first %s row of its kind in input "%s": %s (%s); more are counted, not logged'
        facts = self._facts(f"first_{word}", input=name, reason=reason, **place)
        _log.warning(message, word, name, reason, where, extra=facts)
