"""Writes rows to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from muntin.base.arguments import shown, whole
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import When, checked_when
from muntin.values.show import printable, to_text
from muntin.values.table import Table

_ALERT_COLUMNS = {"time", "severity", "rule", "message"}


class Console:
    """A sink that prints: one line per alert, other rows as a small table.

    Args:
        limit: the maximum number of rows to print of one output; None for no limit.
        stream: where to print; standard output by default.
        when: which alerts to take; only for sinks in `alerts=`.

    >>> import pyarrow as pa
    >>> sink = Console()
    >>> sink.stage("orders", Table([pa.table({"store": ["a"], "n": [2]})]))
    >>> sink.publish()
    orders: 1 row
    store  n
    -----  -
    a      2
    """

    def __init__(
        self, *, limit: int | None = None, stream: TextIO | None = None, when: When = None
    ) -> None:
        """Keep the arguments."""
        if limit is not None:
            whole(limit, "Console: limit", 0, 2**62, error=SinkError)
        if stream is not None and not hasattr(stream, "write"):
            hint = "give a text stream, as sys.stderr"
            raise SinkError(with_hint(f"Console: stream={shown(stream)} is not a stream", hint))
        self._limit = limit
        self._stream = stream
        self._staged: list[tuple[str, Table]] = []
        self._printed: dict[str, int] = {}
        self.when = checked_when(when, "Console")

    def __repr__(self) -> str:
        """The maximum number of rows it prints of one output."""
        return f"Console(limit={self._limit})" if self._limit is not None else "Console()"

    def open(self, output: str, key: Sequence[str]) -> None:
        """Nothing to prepare."""

    def stage(self, output: str, rows: Table) -> None:
        """Keep the rows."""
        self._staged.append((output, rows))

    def publish(self) -> None:
        """Print what is staged."""
        staged, self._staged = self._staged, []
        for output, rows in staged:
            for line in self._lines(output, rows):
                print(line, file=self._stream or sys.stdout)

    def close(self) -> None:
        """Nothing to release."""

    def _lines(self, output: str, rows: Table) -> list[str]:
        before = self._printed.get(output, 0)
        self._printed[output] = before + len(rows)
        if self._limit is not None:
            if before >= self._limit:
                return []
            rows = rows.head(self._limit - before)
        if set(rows.columns) >= _ALERT_COLUMNS:
            names = ("time", "severity", "rule", "message")
            texts = (to_text(rows[name]).to_pylist() for name in names)
            return [
                printable(f"{time} {severity} {rule}: {message}")
                for time, severity, rule, message in zip(*texts, strict=True)
            ]
        return f"{output}: {rows!r}".splitlines()
