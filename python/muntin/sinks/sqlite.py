"""Rows to the tables of a SQLite database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from muntin.errors import with_hint
from muntin.result import Table
from muntin.sinks.base import When
from muntin.sinks.disk import failed
from muntin.sinks.sqlite_table import Target, create_ledger

_BUSY_SECONDS = 10.0


class Sqlite:
    """A sink that writes a table for each output; with checkpoints each row is there exactly once.

    Where an output has key columns, as windows have, a later revision of a row replaces it; other
    rows are appended. Integers, floats, text and binary are what they are; `bool` is 0 or 1;
    times are text as SQLite's own functions read and write it (`2024-05-01 10:00:00.000000Z`,
    zoned ones in UTC, so that they sort); durations are microseconds; decimals and `u64` are
    text, so that no digit is lost; lists, structs and maps are JSON. NaN is null, as SQLite has
    none, but the text `NaN` in a key column. The tables whose names begin with `_muntin` are its
    own.

    Args:
        path: the database file; it is made if it is not there.
        table: the table's name, if not the output's; then there can be but one output.
        append: go on after the rows of an earlier run; by default its tables start empty. A
            table that another program made is never touched.
        when: which alerts to take, if it stands in `alerts=`.

    Raises:
        SinkError: the database cannot be written, or rows do not fit; it names the file.

    >>> sink = Sqlite("features.db")
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table: str | None = None,
        append: bool = False,
        when: When = None,
    ) -> None:
        """Remember the file; it is opened when the run starts."""
        self._path = os.fspath(path)
        self._table = table
        self._append = append
        self.when = when
        self._db: sqlite3.Connection | None = None
        self._targets: dict[str, Target] = {}
        self._durable = self._began = False
        self._number = 0
        self._waiting: list[tuple[str, Table]] = []

    def open(self, output: str, key: Sequence[str]) -> None:
        """Connect, and see that the output's table is not somebody else's.

        Raises:
            SinkError: the database cannot be opened, or the table is another's.
        """
        if output in self._targets:
            return
        if self._table is not None and self._targets:
            hint = "leave table= out, then each has a table of its own name"
            message = (
                f'the outputs "{next(iter(self._targets))}" and "{output}" cannot share a table'
            )
            raise failed(self._path, with_hint(message, hint))
        with self._transaction():
            target = Target(self._connection(), self._path, self._table or output, tuple(key))
        for other, each in self._targets.items():
            if each.name.lower() == target.name.lower():
                message = f'the tables of "{other}" and "{output}" differ by case alone'
                raise failed(self._path, with_hint(message, "SQLite does not tell them apart"))
        self._targets[output] = target

    def restore(self, state: dict[str, Any] | None) -> None:
        """Take back what was published after the checkpoint, and publish what was staged for it."""
        self._durable = True
        if state is None:
            self._begin()
            return
        self._began, self._number = True, state["number"]
        with self._transaction(safe=True):
            for target in self._targets.values():
                target.restore(self._number, state["tables"].get(target.name, 0))
            self._show_rest(state["tables"])

    def stage(self, output: str, rows: Table) -> None:
        """Put the rows into a side table, or without checkpoints keep them for `publish`."""
        self._begin()
        if not self._durable:
            self._waiting.append((output, rows))
            return
        with self._transaction():
            self._targets[output].stage(self._number + 1, rows)

    def prepare(self) -> dict[str, Any]:
        """Make the side tables safe."""
        self._number += 1
        with self._transaction(safe=True):
            staged = {each.name: each.prepare(self._number) for each in self._targets.values()}
        return {"number": self._number, "tables": {name: n for name, n in staged.items() if n}}

    def publish(self) -> None:
        """Move the staged rows to their tables, all at once."""
        self._begin()
        if self._durable:
            with self._transaction(safe=True):
                for target in self._targets.values():
                    target.publish(self._number, undo=True)
        elif self._waiting:
            waiting, self._waiting = self._waiting, []
            with self._transaction():
                for output, rows in waiting:
                    self._targets[output].stage(0, rows)
                for target in self._targets.values():
                    target.publish(0, undo=False)

    def close(self) -> None:
        """Disconnect."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _show_rest(self, staged: dict[str, int]) -> None:
        """What was staged for outputs that a changed pipeline has no more is shown, too."""
        known = {target.name for target in self._targets.values()}
        for name, rows in staged.items():
            if name not in known:
                target = Target(self._connection(), self._path, name, None)
                target.restore(self._number, rows)

    def _begin(self) -> None:
        if not self._began:
            with self._transaction(safe=self._durable):
                for target in self._targets.values():
                    target.begin(keep=self._append)
            self._began = True

    @contextmanager
    def _transaction(self, *, safe: bool = False) -> Iterator[None]:
        """All or nothing; `safe` waits until it and all before it outlive a power cut."""
        db = self._connection()
        try:
            db.execute(f"PRAGMA synchronous = {'FULL' if safe else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            yield
            if safe:
                # a commit that changed nothing would not sync what came before it
                db.execute("UPDATE _muntin_commits SET number = number + 1")
            db.execute("COMMIT")
        except (sqlite3.Error, OverflowError) as error:
            raise failed(self._path, error) from error
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            try:
                self._db = sqlite3.connect(
                    self._path,
                    timeout=_BUSY_SECONDS,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._db.execute("PRAGMA journal_mode = WAL")
                create_ledger(self._db)
            except sqlite3.Error as error:
                raise failed(self._path, error) from error
        return self._db
