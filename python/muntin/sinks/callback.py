"""Passes rows to a function of the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from muntin.base.arguments import shown
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import When, checked_when
from muntin.values.table import Table


class Callback:
    """A sink that calls a function with each table of rows. An exception in it ends the run.

    Args:
        function: called with a `Table` of at least one row.
        when: which alerts to take; only for sinks in `alerts=`.

    >>> seen = []
    >>> sink = Callback(seen.append)
    """

    def __init__(self, function: Callable[[Table], object], *, when: When = None) -> None:
        """Keep the function."""
        if not callable(function):
            hint = "give a function of a Table: Callback(print)"
            raise SinkError(with_hint(f"Callback: {shown(function)} is not a function", hint))
        self._function = function
        self._staged: list[Table] = []
        self.when = checked_when(when, "Callback")

    def __repr__(self) -> str:
        """The function's name."""
        return f"Callback({getattr(self._function, '__qualname__', type(self._function).__name__)})"

    def open(self, output: str, key: Sequence[str]) -> None:
        """Nothing to prepare."""

    def stage(self, output: str, rows: Table) -> None:
        """Keep the rows."""
        self._staged.append(rows)

    def publish(self) -> None:
        """Call the function, once for each table."""
        staged, self._staged = self._staged, []
        for rows in staged:
            self._function(rows)

    def close(self) -> None:
        """Nothing to release."""
