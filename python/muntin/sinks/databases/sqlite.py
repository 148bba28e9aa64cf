"""Writes rows to tables of a SQLite database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from muntin.base.arguments import shown
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import Mode, When, Writes, checked_when
from muntin.sinks.databases.sqlite_columns import check_columns
from muntin.sinks.databases.sqlite_table import Target, create_ledger
from muntin.sinks.files.disk import ANEW, Count, failed, mode_of, path_of, state_of
from muntin.values.table import Table

_BUSY_SECONDS = 10.0
_BESIDE = ("-wal", "-shm", "-journal")


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint keeps of the database.

    Attributes:
        number: the number of the next publication.
        tables: how many rows are staged for it, by table.
        marks: the mark of each table, empty if the table does not exist yet; missing in
            checkpoints of 0.1.0.
    """

    number: Count
    tables: dict[str, Count]
    marks: dict[str, str] | None = None


class Sqlite:
    """A sink that writes a table for each output; with checkpoints exactly once.

    If an output has key columns, as windows have, a later revision of a row replaces it; other
    rows are appended. Integers, floats, text and binary are stored unchanged; `bool` is 0 or 1;
    times are text as SQLite's own functions read and write it (`2024-05-01 10:00:00.000000Z`,
    zoned ones in UTC, so that they sort); durations are microseconds; decimals and `u64` are
    text, so that no digit is lost; lists, structs and maps are JSON. NaN is null, since SQLite
    has no NaN, but the text `NaN` in a key column. The sink uses tables whose names begin with
    `_muntin` for itself.

    Args:
        path: the database file; it is created if it is missing.
        table: the table's name, if not the output's; then there can be only one output.
        mode: what to do with a table that has rows: "error" refuses it, "append" adds rows to
            it, "overwrite" drops it. A table that another program made is refused, unless the
            mode is "overwrite". A run that resumes from a checkpoint always continues after its
            own rows.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: the database cannot be written, or rows do not fit; it names the file.

    >>> sink = Sqlite("features.db")
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table: str | None = None,
        mode: Mode = "error",
        when: When = None,
    ) -> None:
        """Keep the arguments; the file is opened when the run starts."""
        self._path = path_of(path, "Sqlite")
        if table is not None and (not isinstance(table, str) or not table):
            message = f"Sqlite: table={shown(table)} is not a name"
            raise SinkError(with_hint(message, "leave it out to name the table after its output"))
        self._table = table
        self._mode = mode_of(mode, "Sqlite")
        self.when = checked_when(when, "Sqlite")
        self._db: sqlite3.Connection | None = None
        self._targets: dict[str, Target] = {}
        self._durable = self._began = self._started = False
        self._number = 0
        self._shapes: dict[str, Table] = {}
        self._place: tuple[int, int] | None = None
        self._waiting: list[tuple[str, Table]] = []

    def __repr__(self) -> str:
        """Its path, and the table if `table=` names one."""
        table = "" if self._table is None else f", table={self._table!r}"
        return f"Sqlite({self._path!r}{table})"

    def writes(self, outputs: Sequence[str]) -> Sequence[Writes]:
        """The tables, and the files that SQLite keeps beside the database."""
        tables = (self._table,) if self._table is not None else tuple(outputs)
        names = tuple(name.lower() for name in tables)
        return [Writes(self._path + end, tables=names) for end in ("", *_BESIDE)]

    def open(self, output: str, key: Sequence[str]) -> None:
        """Connect, and check that another program did not make the output's table.

        Raises:
            SinkError: the database cannot be opened, or another program made the table.
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
            if self._mode != "overwrite":
                target.check_maker()
        for other, each in self._targets.items():
            if each.name.lower() == target.name.lower():
                message = f'the tables of "{other}" and "{output}" differ by case alone'
                raise failed(self._path, with_hint(message, "SQLite does not tell them apart"))
        self._targets[output] = target

    def columns(self, output: str, rows: Table) -> None:
        """Keep the columns, and check that SQLite can store each."""
        check_columns(rows, self._path)
        self._shapes[output] = rows

    def begin(self) -> None:
        """Check that the tables are empty, or that the mode allows rows in them."""
        if not self._began:
            with self._transaction():
                for target in self._targets.values():
                    target.check_start(self._mode)
            self._began = True

    def restore(self, state: dict[str, Any] | None) -> None:
        """Undo publications after the checkpoint, and publish what was staged for it."""
        self._durable = True
        if state is None:
            self._start()
            return
        then = state_of(State, state, self._path)
        self._began = self._started = True
        self._number = then.number
        marks = then.marks
        with self._transaction(safe=True):
            for target in self._targets.values():
                if marks is not None and target.name not in marks:
                    target.check_start(self._mode)
                    target.start(self._mode, then.number)
                else:
                    mark = None if marks is None else marks[target.name]
                    target.restore(then.number, then.tables.get(target.name, 0), mark)
            self._show_rest(then)

    def stage(self, output: str, rows: Table) -> None:
        """Put the rows into a side table, or without checkpoints keep them for `publish`."""
        self._start()
        if not self._durable:
            self._waiting.append((output, rows))
            return
        with self._transaction():
            self._targets[output].stage(self._number + 1, rows)

    def finish(self) -> None:
        """Make the tables of outputs without rows."""
        self._start()
        with self._transaction():
            for output, rows in self._shapes.items():
                self._targets[output].fit(rows, self._number + 1)

    def prepare(self) -> dict[str, Any]:
        """Make the side tables durable."""
        number = self._number + 1
        with self._transaction(safe=True):
            targets = self._targets.values()
            staged = {each.name: each.staged(number) for each in targets}
            marks = {each.name: each.mark() or "" for each in targets}
        return dict(msgspec.to_builtins(State(number, staged, marks)))

    def publish(self) -> None:
        """Move the staged rows to their tables, all at once."""
        self._start()
        if self._durable:
            with self._transaction(safe=True):
                for target in self._targets.values():
                    target.publish(self._number + 1, undo=True)
            self._number += 1
        elif self._waiting:
            waiting, self._waiting = self._waiting, []
            with self._transaction():
                for output, rows in waiting:
                    self._targets[output].stage(0, rows)
                for target in self._targets.values():
                    target.publish(0, undo=False)

    def close(self) -> None:
        """Disconnect."""
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:
                raise failed(self._path, error) from error

    def _show_rest(self, then: State) -> None:
        """Publish rows staged for outputs that the changed pipeline no longer has."""
        known = {target.name for target in self._targets.values()}
        for name, rows in then.tables.items():
            if name not in known and rows:
                target = Target(self._connection(), self._path, name, None)
                target.restore(then.number, rows, None if then.marks is None else then.marks[name])

    def _start(self) -> None:
        """Start fresh, once: prepare the tables according to the mode."""
        self.begin()
        if not self._started:
            with self._transaction(safe=self._durable):
                for target in self._targets.values():
                    target.start(self._mode, 0)
            self._started = True

    @contextmanager
    def _transaction(self, *, safe: bool = False) -> Iterator[None]:
        """A transaction; `safe` waits until it and all earlier ones survive a power cut."""
        db = self._connection()
        self._check_place()
        try:
            db.execute(f"PRAGMA synchronous = {'FULL' if safe else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            yield
            if safe:
                # a commit that changed nothing would not sync what came before it
                db.execute("UPDATE _muntin_commits SET number = number + 1")
            db.execute("COMMIT")
        except (sqlite3.Error, OverflowError, ValueError) as error:
            raise error if isinstance(error, SinkError) else failed(self._path, error) from error
        finally:
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")

    def _check_place(self) -> None:
        """Check that the path still leads to the open file."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            what = "it was removed while the run wrote it" if gone else str(error)
            raise failed(self._path, with_hint(what, ANEW)) from None
        if (found.st_dev, found.st_ino) != self._place:
            what = "it was replaced by another file while the run wrote it"
            raise failed(self._path, with_hint(what, ANEW))

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
                found = os.stat(self._path)
                self._place = (found.st_dev, found.st_ino)
            except (sqlite3.Error, OSError) as error:
                raise failed(self._path, error) from error
        return self._db
