"""What a sink owes the loop: stage rows, publish them, and know what makes a row the same row.

Staging prepares and may be thrown away; publishing makes rows visible and happens after the loop
has decided that they are final. A row that is published again, after a failure or as a revision,
has the same values in its output's `key` columns: a sink that can upsert does so by them.

With checkpoints the loop goes through `stage ... stage, prepare, <the checkpoint is committed>,
publish` again and again. A `Durable` sink says in `prepare` where its published part ends and what
comes next; the checkpoint keeps that word, and `restore` gets it back after a restart, so that
nothing is missing and nothing is there twice. Any other sink shows the rows again that it had
published, or was about to publish, when the process died.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

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


@runtime_checkable
class Durable(Sink, Protocol):
    """A sink that goes on exactly where the last checkpoint was, however the process ended.

    In a run with checkpoints the calls are: `open` for each output, `restore` once, then `stage`
    any number of times, `prepare`, `publish`, and so on; no rows are staged between `prepare` and
    `publish`. In a run without, there is no `restore` and no `prepare`, and `publish` follows
    every step.
    """

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go back to a checkpoint.

        Args:
            state: what `prepare` gave for it: everything published then, and everything that
                was prepared then, is to be visible once, and nothing else. None at the first
                start: nothing is to be visible.

        Raises:
            SinkError: what was published or prepared then is not there any more.
        """

    def prepare(self) -> dict[str, Any]:
        """Make what is staged safe from a crash, and say what `publish` will make visible.

        The state must stay valid for two more checkpoints: if the newest cannot be read, a run
        goes back to the one before. It is kept as JSON.

        Raises:
            SinkError: it cannot be written.
        """
