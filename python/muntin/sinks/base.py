"""What a sink owes the loop: stage rows, publish them, and know what makes a row the same row.

Staging prepares and may be thrown away; publishing makes rows visible and happens after the loop
has decided that they are final. A row that is published again, after a failure or as a revision,
has the same values in its output's `key` columns: a sink that can upsert does so by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from muntin.expressions import Expr
from muntin.result import Table

When: TypeAlias = str | Expr | None
"""Which alerts a sink takes: SQL text or an expression over alert rows; None for all."""


@runtime_checkable
class Sink(Protocol):
    """Where rows go.

    A sink of your own needs these five members. One that counts:

    >>> class Counter:
    ...     when, published, staged = None, 0, 0
    ...     def open(self, output, key): pass
    ...     def stage(self, output, rows): self.staged += len(rows)
    ...     def publish(self): self.published, self.staged = self.published + self.staged, 0
    ...     def close(self): pass
    >>> isinstance(Counter(), Sink)
    True
    """

    @property
    def when(self) -> When:
        """Which alerts it takes; None for all. Only in `alerts=`."""

    def open(self, output: str, key: Sequence[str]) -> None:
        """Prepare for the rows of an output; called once for each it is given to.

        Args:
            output: the output's name, or `alerts`, `late`, `invalid`.
            key: the columns that make a row of it the same row; empty if there are none.

        Raises:
            SinkError: it cannot be written.
        """

    def stage(self, output: str, rows: Table) -> None:
        """Take rows of an output, at least one; they are not to be seen yet."""

    def publish(self) -> None:
        """Make everything staged visible, in order.

        Raises:
            SinkError: it cannot be written.
        """

    def close(self) -> None:
        """Let go of files and connections; called once, whatever happened."""
