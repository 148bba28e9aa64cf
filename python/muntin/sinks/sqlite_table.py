"""One output in SQLite: its table, what is staged for it, and how to take back what was published.

Every publication has a number, and beside the table there is a mark of the last row before it and
the rows that it replaced, for the last two. Taking it back is deleting the rows behind the mark
and putting back the replaced ones.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from muntin.errors import SinkError, with_hint
from muntin.result import Table
from muntin.sinks.disk import failed
from muntin.sinks.flat import pieces
from muntin.times import sortable_text
from muntin.values import floats, is_binary, plain_type, to_python, to_text

_KEPT = 2


def create_ledger(db: sqlite3.Connection) -> None:
    """Make the sink's own tables: which tables it made, and marks in them."""
    db.executescript(
        """
        CREATE TABLE IF NOT EXISTS _muntin_tables (
            name TEXT PRIMARY KEY COLLATE NOCASE, key TEXT NOT NULL, published INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS _muntin_marks (
            name TEXT COLLATE NOCASE, number INTEGER, last_row INTEGER NOT NULL,
            PRIMARY KEY (name, number));
        CREATE TABLE IF NOT EXISTS _muntin_commits (number INTEGER NOT NULL);
        INSERT INTO _muntin_commits SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM _muntin_commits);
        """
    )


class Target:
    """The table of an output. Every method runs inside a transaction of the sink."""

    def __init__(
        self, db: sqlite3.Connection, path: str, name: str, key: tuple[str, ...] | None
    ) -> None:
        """Look the table up; one that the sink did not make is refused.

        Without a key the table is to have its own, as it was made.
        """
        if name.lower().startswith(("sqlite_", "_muntin")):
            raise failed(path, f'"{name}" cannot be the name of a table: it is reserved')
        self.name = name
        self._db = db
        self._path = path
        self._table = _quoted(name)
        self._staged = _quoted(f"_muntin_staged_{name}")
        self._undo = _quoted(f"_muntin_undo_{name}")
        self._columns = self._columns_there()
        if self._columns and self._published() is None:
            hint = "name another by table=, or another file"
            raise failed(path, with_hint(f'another program made its table "{name}"', hint))
        self._key = self._key_there() if key is None else key

    def begin(self, *, keep: bool) -> None:
        """A fresh start: no rows, or with `keep` those of an earlier run."""
        if keep and self._columns:
            self._check_key()
            self._db.execute(f"DELETE FROM {self._staged}")
            self._db.execute(f"DELETE FROM {self._undo}")
            self._run("UPDATE _muntin_tables SET published = 0 WHERE name = ?", self.name)
        else:
            for table in (self._table, self._staged, self._undo):
                self._db.execute(f"DROP TABLE IF EXISTS {table}")
            self._run("DELETE FROM _muntin_tables WHERE name = ?", self.name)
            self._columns = {}
        self._run("DELETE FROM _muntin_marks WHERE name = ?", self.name)

    def restore(self, number: int, staged: int) -> None:
        """Bring the table to what it was after the publication `number`."""
        published = self._published()
        if published is None:
            if staged:
                raise self._gone(number)
            return
        self._check_key()
        self._run(f"DELETE FROM {self._staged} WHERE _muntin_number <> ?", number)
        if published > number:
            self._take_back(number)
        elif published < number:
            if self.prepare(number) != staged:
                raise self._gone(number)
            self.publish(number, undo=True)

    def stage(self, number: int, rows: Table) -> None:
        """Put rows into the side table."""
        self._fit(rows.to_arrow().schema, number)
        names = rows.columns
        places = ", ".join("?" * (len(names) + 1))
        insert = f"INSERT INTO {self._staged} (_muntin_number, {_list(names)}) VALUES ({places})"
        for piece in pieces(rows):
            columns = [
                _values(column, name in self._key)
                for name, column in zip(names, piece.columns, strict=True)
            ]
            rows_of = zip([number] * len(piece), *columns, strict=True)
            self._db.executemany(insert, rows_of)

    def prepare(self, number: int) -> int:
        """How many rows are staged for a publication."""
        if not self._columns:
            return 0
        query = f"SELECT count(*) FROM {self._staged} WHERE _muntin_number = ?"
        return int(self._one(query, number)[0])

    def publish(self, number: int, *, undo: bool) -> None:
        """Move what is staged to the table; with `undo` so that it can be taken back."""
        if not self._columns:
            return
        names = _list(self._columns)
        if undo:
            self._remember(number)
        self._db.execute(
            f"INSERT INTO {self._table} ({names}) SELECT {names} FROM {self._staged} "
            f"WHERE true ORDER BY rowid {self._on_conflict()}"
        )
        self._db.execute(f"DELETE FROM {self._staged}")
        self._run("UPDATE _muntin_tables SET published = ? WHERE name = ?", number, self.name)

    def _remember(self, number: int) -> None:
        self._run(
            f"INSERT INTO _muntin_marks SELECT ?, ?, ifnull(max(_rowid_), 0) FROM {self._table}",
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
            columns = ", ".join(f"t.{_quoted(name)}" for name in self._columns)
            # CROSS JOIN in SQLite fixes the order: for each staged row a look into the index
            self._run(
                f"INSERT OR IGNORE INTO {self._undo} "
                f"(_muntin_number, _muntin_row, {_list(self._columns)}) "
                f"SELECT ?, t._rowid_, {columns} FROM {self._staged} s "
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
            raise self._gone(number)
        self._run(f"DELETE FROM {self._table} WHERE _rowid_ > ?", mark[0])
        names = _list(self._columns)
        # the row as it was before the first of the publications comes last and stays
        self._run(
            f"INSERT OR REPLACE INTO {self._table} (_rowid_, {names}) "
            f"SELECT _muntin_row, {names} FROM {self._undo} "
            "WHERE _muntin_number > ? AND _muntin_row <= ? ORDER BY _muntin_number DESC",
            number,
            mark[0],
        )
        self._run(f"DELETE FROM {self._undo} WHERE _muntin_number > ?", number)
        self._run("DELETE FROM _muntin_marks WHERE name = ? AND number > ?", self.name, number)
        self._run("UPDATE _muntin_tables SET published = ? WHERE name = ?", number, self.name)

    def _fit(self, schema: Any, number: int) -> None:
        """Make the table, or add the columns that it does not have yet."""
        known = {name.lower(): name for name in self._columns}
        new = []
        for field in schema:
            name = field.name
            if name in self._columns:
                continue
            if name.lower() in known:
                message = f'columns "{known[name.lower()]}" and "{name}" differ by case alone'
                raise failed(self._path, with_hint(message, "SQLite does not tell them apart"))
            if name.lower().startswith("_muntin") or name.lower() == "_rowid_":
                raise failed(self._path, f'"{name}" cannot be a column: the name is reserved')
            known[name.lower()] = name
            new.append((name, f"{_quoted(name)} {_affinity(plain_type(field.type))}"))
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
            index = _quoted(f"_muntin_key_{self.name}")
            terms = ", ".join(_key_terms(self._key))
            self._db.execute(f"CREATE UNIQUE INDEX {index} ON {self._table} ({terms})")
        self._run(
            "INSERT INTO _muntin_tables VALUES (?, ?, ?)",
            self.name,
            json.dumps(self._key),
            max(number - 1, 0),
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
        rest = [_quoted(name) for name in self._columns if name not in self._key]
        do = ", ".join(f"{name} = excluded.{name}" for name in rest)
        terms = ", ".join(_key_terms(self._key))
        return f"ON CONFLICT ({terms}) DO {f'UPDATE SET {do}' if do else 'NOTHING'}"

    def _published(self) -> int | None:
        row = self._one("SELECT published FROM _muntin_tables WHERE name = ?", self.name)
        return None if row is None else int(row[0])

    def _columns_there(self) -> dict[str, None]:
        rows = self._db.execute("SELECT name FROM pragma_table_info(?)", (self.name,))
        return dict.fromkeys(name for (name,) in rows)

    def _gone(self, number: int) -> SinkError:
        hint = "the file was changed, or is not the one the checkpoint was made with"
        message = f'table "{self.name}" cannot go to checkpoint {number}: its rows are gone'
        return failed(self._path, with_hint(message, hint))

    def _run(self, statement: str, *values: Any) -> None:
        self._db.execute(statement, values)

    def _one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(_quoted, names))


def _key_terms(key: tuple[str, ...], of: str = "") -> list[str]:
    """What is unique in a row: a null equals a null, and nothing else."""
    columns = [of + _quoted(name) for name in key]
    return [term for each in columns for term in (f"({each} IS NULL)", f"ifnull({each}, 0)")]


def _affinity(kind: Any) -> str:
    types = pa.types
    if types.is_null(kind):
        return ""
    if types.is_boolean(kind) or (types.is_integer(kind) and not types.is_uint64(kind)):
        return "INTEGER"
    if types.is_duration(kind) and kind.unit == "us":
        return "INTEGER"
    if types.is_floating(kind):
        return "REAL"
    return "BLOB" if is_binary(kind) else "TEXT"


def _values(column: Any, in_key: bool) -> list[Any]:
    kind = plain_type(column.type)
    affinity = _affinity(kind)
    if affinity == "REAL":
        # SQLite has no NaN and takes it for a null
        return ["NaN" if in_key and v is not None and v != v else v for v in floats(column)]
    if pa.types.is_duration(kind) and affinity == "INTEGER":
        return list(column.cast(pa.int64()).to_pylist())
    if pa.types.is_boolean(kind):
        return list(column.cast(pa.int8()).to_pylist())
    if pa.types.is_timestamp(kind):
        return [text for chunk in column.chunks for text in sortable_text(chunk).to_pylist()]
    if affinity == "TEXT":
        return list(to_text(column).to_pylist())
    return to_python(column)
