"""One output in SQLite: its table, its staged rows, and how a publication is undone.

Every publication has a number. For the last two, side tables keep a mark (the last row before it)
and the rows that it replaced. To undo one, the rows after the mark are deleted and the replaced
ones restored.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any

from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import Mode
from muntin.sinks.databases.sqlite_columns import (
    ROW_NAMES,
    affinity,
    check_columns,
    quoted,
    values_of,
)
from muntin.sinks.files.disk import ANEW, failed, goes_on
from muntin.sinks.flat import pieces
from muntin.values.show import plain_type
from muntin.values.table import Table

_KEPT = 2


def create_ledger(db: sqlite3.Connection) -> None:
    """Make the sink's own tables: the list of its tables, and their marks."""
    db.executescript(
        """
        CREATE TABLE IF NOT EXISTS _muntin_tables (
            name TEXT PRIMARY KEY COLLATE NOCASE, key TEXT NOT NULL, published INTEGER NOT NULL,
            mark TEXT);
        CREATE TABLE IF NOT EXISTS _muntin_marks (
            name TEXT COLLATE NOCASE, number INTEGER, last_row INTEGER NOT NULL,
            PRIMARY KEY (name, number));
        CREATE TABLE IF NOT EXISTS _muntin_commits (number INTEGER NOT NULL);
        INSERT INTO _muntin_commits SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM _muntin_commits);
        """
    )
    columns = db.execute("SELECT name FROM pragma_table_info('_muntin_tables')")
    if ("mark",) not in columns.fetchall():
        # a database of 0.1.0
        db.execute("ALTER TABLE _muntin_tables ADD COLUMN mark TEXT")


class Target:
    """The table of an output. Every method runs inside a transaction of the sink."""

    def __init__(
        self, db: sqlite3.Connection, path: str, name: str, key: tuple[str, ...] | None
    ) -> None:
        """Look the table up. Without a key, use the one it was made with."""
        if name.lower().startswith(("sqlite_", "_muntin")) or "\0" in name:
            raise failed(path, f"{name!r} cannot be the name of a table: it is reserved")
        self.name = name
        self._db = db
        self._path = path
        self._table = quoted(name)
        self._staged = quoted(f"_muntin_staged_{name}")
        self._undo = quoted(f"_muntin_undo_{name}")
        self._columns = self._columns_there()
        self._key = self._key_there() if key is None else key

    def check_maker(self) -> None:
        """Refuse a table that another program made."""
        if self._columns and self._published() is None:
            hint = 'name another by table=, or another file; mode="overwrite" drops it'
            message = f'another program made its table "{self.name}"'
            raise failed(self._path, with_hint(message, hint))

    def check_start(self, mode: Mode) -> None:
        """Check that a fresh start loses nothing that the mode does not allow."""
        if mode != "overwrite":
            self.check_maker()
        rows = self._columns and self._one(f"SELECT EXISTS (SELECT 1 FROM {self._table})")[0]
        if goes_on(mode, f"{self._path}: table {self.name}", "rows" if rows else ""):
            self._check_key()

    def start(self, mode: Mode, number: int) -> None:
        """Start fresh after publication `number`, keeping existing rows if the mode is "append"."""
        if mode == "append" and self._columns:
            self._db.execute(f"DELETE FROM {self._staged}")
            self._db.execute(f"DELETE FROM {self._undo}")
            self._run(
                "UPDATE _muntin_tables SET published = ?, mark = ? WHERE name = ?",
                number,
                secrets.token_hex(8),
                self.name,
            )
        else:
            for table in (self._table, self._staged, self._undo):
                self._db.execute(f"DROP TABLE IF EXISTS {table}")
            self._run("DELETE FROM _muntin_tables WHERE name = ?", self.name)
            self._columns = {}
        self._run("DELETE FROM _muntin_marks WHERE name = ?", self.name)

    def mark(self) -> str | None:
        """A word that distinguishes this table from a later one with the same name."""
        row = self._one("SELECT mark FROM _muntin_tables WHERE name = ?", self.name)
        return None if row is None else row[0]

    def restore(self, number: int, staged: int, mark: str | None) -> None:
        """Restore the table's state after publication `number`.

        Args:
            number: the number from `prepare`.
            staged: the number of staged rows from `prepare`.
            mark: the table's mark then; empty if there was no table, None if unknown.
        """
        published = self._published()
        if published is None or not self._columns:
            if staged or mark:
                raise self._differs(f'table "{self.name}" is gone')
            return
        if mark and mark != self.mark():
            raise self._differs(f'table "{self.name}" was created again')
        if published < number - 1:
            message = f'table "{self.name}" was published {published:,} times, and had been '
            raise self._differs(f"{message}{number - 1:,} times: it is an older copy")
        self._check_key()
        self._run(f"DELETE FROM {self._staged} WHERE _muntin_number <> ?", number)
        if published > number:
            self._take_back(number)
        elif published < number:
            self._trim(staged)
            if self.staged(number) != staged:
                raise self._differs(f'the rows staged for table "{self.name}" are gone')
            self.publish(number, undo=True)
        self._db.execute(f"DELETE FROM {self._staged}")

    def stage(self, number: int, rows: Table) -> None:
        """Put rows into the side table."""
        self.fit(rows, number)
        names = rows.columns
        places = ", ".join("?" * (len(names) + 1))
        insert = f"INSERT INTO {self._staged} (_muntin_number, {_list(names)}) VALUES ({places})"
        for piece in pieces(rows):
            columns = [
                values_of(column, name in self._key)
                for name, column in zip(names, piece.columns, strict=True)
            ]
            rows_of = zip([number] * len(piece), *columns, strict=True)
            self._db.executemany(insert, rows_of)

    def staged(self, number: int) -> int:
        """How many rows are staged for a publication."""
        if not self._columns:
            return 0
        query = f"SELECT count(*) FROM {self._staged} WHERE _muntin_number = ?"
        return int(self._one(query, number)[0])

    def publish(self, number: int, *, undo: bool) -> None:
        """Move staged rows to the table; with `undo` so that it can be undone."""
        if not self._columns:
            return
        if undo and (there := self._published()) != number - 1:
            raise self._differs(f'table "{self.name}" was published {there} times by others')
        names = _list(self._columns)
        if undo:
            self._remember(number)
        self._db.execute(
            f"INSERT INTO {self._table} ({names}) SELECT {names} FROM {self._staged} "
            f"WHERE true ORDER BY {self._row()} {self._on_conflict()}"
        )
        self._db.execute(f"DELETE FROM {self._staged}")
        self._run("UPDATE _muntin_tables SET published = ? WHERE name = ?", number, self.name)

    def _trim(self, staged: int) -> None:
        """Drop rows staged for a later checkpoint that was never committed."""
        row = self._row()
        self._run(
            f"DELETE FROM {self._staged} WHERE {row} NOT IN "
            f"(SELECT {row} FROM {self._staged} ORDER BY {row} LIMIT ?)",
            staged,
        )

    def _row(self) -> str:
        """A name of SQLite's row number that no column has."""
        taken = {name.lower() for name in self._columns}
        return next(name for name in ROW_NAMES if name not in taken)

    def _remember(self, number: int) -> None:
        row = self._row()
        self._run(
            f"INSERT INTO _muntin_marks SELECT ?, ?, ifnull(max({row}), 0) FROM {self._table}",
            self.name,
            number,
        )
        if self._key:
            same = " AND ".join(
                f"{ours} = {theirs}"
                for ours, theirs in zip(
                    _key_terms(self._key, "t."), _key_terms(self._key, "s."), strict=True
                )
            )
            columns = ", ".join(f"t.{quoted(name)}" for name in self._columns)
            # CROSS JOIN in SQLite fixes the order: one index lookup for each staged row
            self._run(
                f"INSERT OR IGNORE INTO {self._undo} "
                f"(_muntin_number, _muntin_row, {_list(self._columns)}) "
                f"SELECT ?, t.{row}, {columns} FROM {self._staged} s "
                f"CROSS JOIN {self._table} t ON {same}",
                number,
            )
        oldest = number - _KEPT
        self._run(f"DELETE FROM {self._undo} WHERE _muntin_number <= ?", oldest)
        self._run("DELETE FROM _muntin_marks WHERE name = ? AND number <= ?", self.name, oldest)

    def _take_back(self, number: int) -> None:
        query = "SELECT last_row FROM _muntin_marks WHERE name = ? AND number = ?"
        mark = self._one(query, self.name, number + 1)
        if mark is None:
            raise self._differs(
                f"rows of table {self.name} that checkpoint {number} needs are gone"
            )
        row = self._row()
        self._run(f"DELETE FROM {self._table} WHERE {row} > ?", mark[0])
        names = _list(self._columns)
        # the row before the first of these publications comes last, so it wins
        self._run(
            f"INSERT OR REPLACE INTO {self._table} ({row}, {names}) "
            f"SELECT _muntin_row, {names} FROM {self._undo} "
            "WHERE _muntin_number > ? AND _muntin_row <= ? ORDER BY _muntin_number DESC",
            number,
            mark[0],
        )
        self._run(f"DELETE FROM {self._undo} WHERE _muntin_number > ?", number)
        self._run("DELETE FROM _muntin_marks WHERE name = ? AND number > ?", self.name, number)
        self._run("UPDATE _muntin_tables SET published = ? WHERE name = ?", number, self.name)

    def fit(self, rows: Table, number: int) -> None:
        """Make the table, or add missing columns."""
        schema = check_columns(rows, self._path, self._columns)
        new = [
            (field.name, f"{quoted(field.name)} {affinity(plain_type(field.type))}")
            for field in schema
            if field.name not in self._columns
        ]
        if not new:
            return
        if self._columns:
            for table in (self._table, self._staged, self._undo):
                for _, column in new:
                    self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        else:
            self._create(", ".join(column for _, column in new), number)
        self._columns |= dict.fromkeys(name for name, _ in new)

    def _create(self, columns: str, number: int) -> None:
        self._db.execute(f"CREATE TABLE {self._table} ({columns})")
        self._db.execute(f"CREATE TABLE {self._staged} (_muntin_number INTEGER, {columns})")
        self._db.execute(
            f"CREATE TABLE {self._undo} (_muntin_number INTEGER, _muntin_row INTEGER, {columns}, "
            "PRIMARY KEY (_muntin_number, _muntin_row))"
        )
        if self._key:
            index = quoted(f"_muntin_key_{self.name}")
            terms = ", ".join(_key_terms(self._key))
            self._db.execute(f"CREATE UNIQUE INDEX {index} ON {self._table} ({terms})")
        self._run(
            "INSERT INTO _muntin_tables (name, key, published, mark) VALUES (?, ?, ?, ?)",
            self.name,
            json.dumps(self._key),
            max(number - 1, 0),
            secrets.token_hex(8),
        )

    def _check_key(self) -> None:
        if (there := self._key_there()) != self._key:
            keys = json.dumps(there), json.dumps(self._key)
            message = f'table "{self.name}" has the key {keys[0]}, not {keys[1]}'
            raise failed(self._path, with_hint(message, "name another by table="))

    def _key_there(self) -> tuple[str, ...]:
        row = self._one("SELECT key FROM _muntin_tables WHERE name = ?", self.name)
        return () if row is None else tuple(json.loads(row[0]))

    def _on_conflict(self) -> str:
        if not self._key:
            return ""
        rest = [quoted(name) for name in self._columns if name not in self._key]
        do = ", ".join(f"{name} = excluded.{name}" for name in rest)
        terms = ", ".join(_key_terms(self._key))
        return f"ON CONFLICT ({terms}) DO {f'UPDATE SET {do}' if do else 'NOTHING'}"

    def _published(self) -> int | None:
        row = self._one("SELECT published FROM _muntin_tables WHERE name = ?", self.name)
        return None if row is None else int(row[0])

    def _columns_there(self) -> dict[str, None]:
        rows = self._db.execute("SELECT name FROM pragma_table_info(?)", (self.name,))
        return dict.fromkeys(name for (name,) in rows)

    def _differs(self, what: str) -> SinkError:
        message = f"it is not the file that the checkpoint was made with: {what}"
        return failed(self._path, with_hint(message, ANEW))

    def _run(self, statement: str, *values: Any) -> None:
        self._db.execute(statement, values)

    def _one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def _key_terms(key: tuple[str, ...], of: str = "") -> list[str]:
    """The SQL terms of the unique key: a null equals only a null."""
    columns = [of + quoted(name) for name in key]
    return [term for each in columns for term in (f"({each} IS NULL)", f"ifnull({each}, 0)")]
