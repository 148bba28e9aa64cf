"""The protocol of sinks: stage rows, then publish them.

Staged rows are invisible and may be discarded; publishing makes them visible, after the loop has
decided that they are final. A row that is published again, after a failure or as a revision, has
the same values in its output's `key` columns, so a sink can use them for upserts.

With checkpoints the loop repeats `stage ... stage, prepare, <the checkpoint is committed>,
publish`. A `Durable` sink returns from `prepare` where its published part ends and what comes next.
The checkpoint keeps this state, and `restore` gets it after a restart, so that no row is missing or
twice. Any other sink gets rows again that it had published, or was about to publish, when the
process died.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from muntin.base.arguments import shown
from muntin.base.errors import SinkError, with_hint
from muntin.clients.kafka.transaction import Transaction
from muntin.expr.build import Expr
from muntin.values.table import Table

When: TypeAlias = str | Expr | None
"""Which alerts a sink takes: SQL text or an expression over alert rows; None for all."""

Mode: TypeAlias = Literal["error", "append", "overwrite"]
"""What a fresh start does with a file or table that is not empty."""


def checked_when(when: Any, place: str) -> When:
    """Check that a `when=` is a condition or None.

    Raises:
        SinkError: it is something else.
    """
    if when is not None and not isinstance(when, str | Expr):
        hint = "write SQL text: when=\"severity = 'critical'\""
        raise SinkError(with_hint(f"{place}: when={shown(when)} is not a condition", hint))
    return when


@runtime_checkable
class Sink(Protocol):
    """A destination of rows.

    Your own sink needs these five members. One that counts:

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
        """Prepare for the rows of an output; called once for each output of the sink.

        Args:
            output: the output's name, or `alerts`, `late`, `invalid`.
            key: the columns that identify a row; empty if there are none.

        Raises:
            SinkError: it cannot be written.
        """

    def stage(self, output: str, rows: Table) -> None:
        """Take rows of an output, at least one; they must not be visible yet."""

    def publish(self) -> None:
        """Make everything staged visible, in order.

        Raises:
            SinkError: it cannot be written.
        """

    def close(self) -> None:
        """Release files and connections; called once, in any case."""


@runtime_checkable
class Durable(Sink, Protocol):
    """A sink that resumes exactly at the last checkpoint, however the process ended.

    In a run with checkpoints the calls are: `open` for each output, `restore` once, then `stage`
    any number of times, `prepare`, `publish`, and so on. A checkpoint may fail after `prepare`,
    because another sink or the disk failed, any number of times: then `stage` and `prepare` come
    again without a `publish` between. In a run without checkpoints there is no `restore` and no
    `prepare`, and `publish` follows every step.

    One over a list, whose state has the rows that the next `publish` will show:

    >>> class Kept:
    ...     when, rows, staged = None, [], []
    ...     def open(self, output, key): pass
    ...     def restore(self, state):
    ...         state = state or {"shown": 0, "next": []}
    ...         self.rows[state["shown"]:] = state["next"]
    ...     def stage(self, output, rows): self.staged = self.staged + rows.to_dicts()
    ...     def prepare(self): return {"shown": len(self.rows), "next": self.staged}
    ...     def publish(self): self.rows += self.staged; self.staged = []
    ...     def close(self): pass
    >>> import muntin as mt
    >>> isinstance(Kept(), Durable)
    True
    >>> mt.testing.check_sink(Kept, lambda: Kept.rows, clear=Kept.rows.clear)
    """

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go back to a checkpoint.

        Args:
            state: what `prepare` returned for it: everything published or prepared then must be
                visible once, and nothing else. None at the first start: nothing must be
                visible.

        Raises:
            SinkError: rows published or prepared then are missing.
        """

    def prepare(self) -> dict[str, Any]:
        """Make staged rows durable, and return a state that says what `publish` will show.

        That is everything staged since the last `publish`, including rows of an earlier `prepare`
        for a checkpoint that failed. The states of earlier checkpoints must stay valid, that of the
        failed one too: a run may go back to any of the last two that were committed. The state is
        kept as JSON.

        Raises:
            OSError: it cannot be written now; the checkpoint fails, the run may go on and calls
                `prepare` again later.
            SinkError: it cannot be written; the run ends.
        """


@runtime_checkable
class Transactional(Sink, Protocol):
    """A sink of Kafka, whose rows can become visible in one transaction with a checkpoint."""

    topic: str

    @property
    def cluster(self) -> str:
        """What the sinks that may share a transaction have in common."""

    def transaction(self, transactional_id: str, timeout: float) -> Transaction:
        """A transaction of its cluster that this sink and others may join."""

    def join(self, transaction: Transaction | None) -> None:
        """Send rows in this transaction from now on; None: send them alone."""

    @property
    def joined(self) -> bool:
        """Whether it sends rows in a transaction."""

    def flush(self) -> None:
        """Wait until the brokers have all published rows.

        Raises:
            SinkError: they do not take them.
        """


@dataclass(frozen=True, slots=True)
class Writes:
    """A place that a sink writes to; no two sinks may write to the same one.

    Attributes:
        path: a file, or a folder with all that is in it.
        folder: whether it is a folder.
        tables: the tables of a database that it writes; empty for the whole file.
        shared: others may append to the file at the same time, since each line is written at once.
    """

    path: str
    folder: bool = False
    tables: tuple[str, ...] = ()
    shared: bool = False


@runtime_checkable
class Writing(Sink, Protocol):
    """A sink that can list the places it writes to."""

    def writes(self, outputs: Sequence[str]) -> Sequence[Writes]:
        """The places it writes to for these outputs; none for a pipe or a terminal."""


@runtime_checkable
class Placed(Writing, Protocol):
    """A sink of files that uses the columns of its outputs before there are rows."""

    def begin(self) -> None:
        """A fresh start without checkpoints; called once, when every sink is open.

        Raises:
            SinkError: something already exists that its mode does not allow to extend or replace.
        """

    def columns(self, output: str, rows: Table) -> None:
        """The columns of an output, as a table without rows, as soon as they are known.

        Raises:
            SinkError: the sink cannot store a name or a type.
        """

    def finish(self) -> None:
        """The run ends normally; called once, before the last `prepare` or `publish`.

        An output without rows still writes a header, an empty table or a schema.
        """
