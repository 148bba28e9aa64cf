"""The protocol of sinks: stage rows, then publish them.

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
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from muntin.base.arguments import shown
from muntin.base.errors import SinkError, with_hint
from muntin.expr.build import Expr
from muntin.values.table import Table

When: TypeAlias = str | Expr | None
"""Which alerts a sink takes: SQL text or an expression over alert rows; None for all."""

Mode: TypeAlias = Literal["error", "append", "overwrite"]
"""What a fresh start does with a file or table that has something in it already."""


def checked_when(when: Any, place: str) -> When:
    """A `when=` that is a condition or None.

    Raises:
        SinkError: it is something else.
    """
    if when is not None and not isinstance(when, str | Expr):
        hint = "write SQL text: when=\"severity = 'critical'\""
        raise SinkError(with_hint(f"{place}: when={shown(when)} is not a condition", hint))
    return when


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
    any number of times, `prepare`, `publish`, and so on. A checkpoint may fail after `prepare`,
    because another sink or the disk failed, any number of times: then `stage` and `prepare` come
    again without a `publish` between. In a run without checkpoints there is no `restore` and no
    `prepare`, and `publish` follows every step.
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

        That is everything staged since the last `publish`, also what an earlier `prepare` gave
        for a checkpoint that failed. The states of earlier checkpoints must stay valid, that of
        the failed one too: a run may go back to any of the last two that were committed. The
        state is kept as JSON.

        Raises:
            OSError: it cannot be written now; the checkpoint fails, the run may go on and calls
                `prepare` again later.
            SinkError: it cannot be written; the run ends.
        """


@dataclass(frozen=True, slots=True)
class Writes:
    """A place that a sink writes to, so that no two write to the same.

    Attributes:
        path: a file, or a folder with all that is in it.
        folder: whether it is a folder.
        tables: the tables of a database that it writes; none for all of the file.
        shared: others may append to the file at the same time, since each line is written at once.
    """

    path: str
    folder: bool = False
    tables: tuple[str, ...] = ()
    shared: bool = False


@runtime_checkable
class Writing(Sink, Protocol):
    """A sink that knows its places."""

    def writes(self, outputs: Sequence[str]) -> Sequence[Writes]:
        """What it writes to if it is given these outputs; nothing for a pipe or a terminal."""


@runtime_checkable
class Placed(Writing, Protocol):
    """A sink of files that knows what its rows look like before there are any."""

    def begin(self) -> None:
        """A fresh start without checkpoints; called once, when every sink is open.

        Raises:
            SinkError: there is something already that it is not to go on after or replace.
        """

    def columns(self, output: str, rows: Table) -> None:
        """The columns of an output, as a table without rows, as soon as they are known.

        Raises:
            SinkError: a name or a type has no place there.
        """

    def finish(self) -> None:
        """The run ends in good order; called once, before the last `prepare` or `publish`.

        An output that gave no rows leaves what says so: a header, an empty table, a schema.
        """
