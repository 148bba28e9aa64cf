"""Reads several Parquet files with one common set of columns and types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from muntin.base.errors import SourceError, unknown, with_hint
from muntin.sources.decode.decoded import Decoded, Roles
from muntin.sources.decode.kinds import cast, common, convertible, is_kept
from muntin.sources.deliveries.batches import decoded, text_of
from muntin.sources.deliveries.columns import faults_of_roles
from muntin.sources.files.marks import SAMPLE, digest
from muntin.sources.files.opened import unreadable
from muntin.sources.files.paths import key_value, keys_of
from muntin.values.fitting import may_fit


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a file: converted to the common types, unconverted, and the errors of bad rows."""

    batch: Any
    before: Any
    bad: dict[int, str]

    def decoded(self, passed: int, roles: Roles, file: str) -> Decoded:
        """The rows that fit, and the others as bad records."""
        wrong = dict(self.bad)
        for row, message in faults_of_roles(self.batch, roles, file).items():
            wrong.setdefault(row, message)
        return decoded(self.before, self.batch, wrong, passed)


class Columns:
    """The columns and types that all files are read in."""

    def __init__(
        self,
        files: Sequence[str],
        wanted: list[str] | None,
        declared: Any | None,
        known: Any | None = None,
    ) -> None:
        """Take them from an earlier run, or from the files' footers.

        Args:
            files: the files that are there.
            wanted: the columns to read, or None for all.
            declared: the columns whose types are declared.
            known: the columns and types of an earlier run.

        Raises:
            SourceError: a file cannot be read, types have no common type, or no file has a column.
        """
        self._declared = {} if declared is None else {f.name: f.type for f in declared}
        self._wanted = wanted if known is None else list(known.names)
        self._types = {} if known is None else {field.name: field.type for field in known}
        self._from: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        for file in files if known is None else ():
            with opened_file(file) as parquet:
                self._add(file, parquet.schema)
        if self._seen:
            self._check_all(files[-1])

    @property
    def schema(self) -> Any:
        """The columns in their order and types."""
        names = self._wanted if self._wanted is not None else list(self._types)
        return pa.schema([(name, self._types[name]) for name in names])

    def check(self, file: str, found: Any) -> None:
        """Check a file's columns; the first file decides those without a type.

        Raises:
            SourceError: a column has a type that is incompatible with the others.
        """
        if not self._types:
            self._add(file, found)
            self._check_all(file)
        for field in found:
            wanted = self._types.get(field.name)
            if wanted is not None and not self._goes(field.name, field.type, wanted):
                self._refuse(file, field.name, field.type, wanted)

    def _add(self, file: str, found: Any) -> None:
        kinds = {field.name: field.type for field in found}
        keys = {name: kind for name, kind in _key_kinds(file).items() if name not in kinds}
        self._seen.update(dict.fromkeys([*kinds, *keys]))
        for name, kind in {**kinds, **keys}.items():
            if self._wanted is None or name in self._wanted:
                self._types[name] = self._joined(file, name, kind, is_key=name in keys)

    def _joined(self, file: str, name: str, kind: Any, *, is_key: bool) -> Any:
        """The type of a column that one more file has."""
        declared, before = self._declared.get(name), self._types.get(name)
        if declared is not None:
            if not is_key and not self._goes(name, kind, declared):
                self._refuse(file, name, kind, declared)
            # text keeps its layout if that is the same in all files
            same = is_kept(kind, declared) and (before is None or before == kind)
            return kind if same else declared
        if before is None or pa.types.is_null(before):
            self._from[name] = file
        if before is None:
            return kind
        both = pa.string() if is_key and pa.types.is_string(kind) else common(before, kind)
        if both is None and not is_key:
            self._refuse(file, name, kind, before)
        return before if both is None else both

    def _goes(self, name: str, found: Any, wanted: Any) -> bool:
        """Whether values of a file's type may fit, to be decided for each value."""
        declared = name in self._declared and may_fit([found], [wanted])[0]
        return declared or convertible(found, wanted)

    def _check_all(self, file: str) -> None:
        for name in self._wanted or ():
            if name not in self._types:
                raise SourceError(unknown("column", name, self._seen, file))

    def _refuse(self, file: str, name: str, kind: Any, wanted: Any) -> NoReturn:
        message = f'{file}: column "{name}" is a {kind}, but a {wanted} '
        if name in self._declared:
            hint = "declare the type that it has, and cast it in the pipeline"
            raise SourceError(with_hint(f"{message}in the schema", hint))
        first = self._from.get(name)
        message += "in the files before" if first is None else f'in "{first}"'
        hint = f'write the files anew with one type, or declare one: schema={{"{name}": ...}}'
        raise SourceError(with_hint(message, hint))


class Open:
    """A Parquet file that is open."""

    def __init__(self, name: str, file: Any, size: int) -> None:
        """Made by `opened_file`."""
        self.name = name
        self._file = file
        self._size = size
        self._seal = ""

    def __enter__(self) -> Open:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    @property
    def schema(self) -> Any:
        """Its columns."""
        return self._file.schema_arrow

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self._file.metadata.num_rows)

    @property
    def seal(self) -> str:
        """Its length and a digest of its end, where the footer is."""
        if not self._seal:
            try:
                with open(self.name, "rb") as file:
                    file.seek(max(self._size - SAMPLE, 0))
                    self._seal = f"{self._size}:{digest(file.read())}"
            except OSError as error:
                raise unreadable(self.name, error) from error
        return self._seal

    def group_rows(self) -> list[int]:
        """How many rows each row group has."""
        meta = self._file.metadata
        return [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]

    def column(self, columns: Columns, group: int, name: str) -> Any:
        """One column of a row group, as a table."""
        try:
            if name in self._file.schema_arrow.names:
                return self._file.read_row_group(group, columns=[name])
        except (pa.ArrowException, OSError) as error:
            raise damaged(self.name, error) from error
        rows = self.group_rows()[group]
        keys = keys_of(self.name)
        if name not in keys:
            raise SourceError(unknown("column", name, self._file.schema_arrow.names, self.name))
        return pa.table({name: _repeated(keys[name], columns.schema.field(name).type, rows)})

    def groups(self, columns: Columns, passed: int, batch_rows: int) -> Iterator[Group]:
        """The rows after the first `passed`, in the common types."""
        columns.check(self.name, self.schema)
        wanted = columns.schema
        own = [name for name in wanted.names if name in self.schema.names]
        groups, skip = self._left(passed)
        try:
            for batch in self._file.iter_batches(batch_rows, groups, columns=own):
                if skip >= len(batch):
                    skip -= len(batch)
                    continue
                batch, skip = batch.slice(skip), 0
                yield self._in_types(batch, wanted)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, SourceError):
                raise
            raise damaged(self.name, error) from error

    def _left(self, passed: int) -> tuple[range, int]:
        sizes = self.group_rows()
        for group, rows in enumerate(sizes):
            if passed < rows:
                return range(group, len(sizes)), passed
            passed -= rows
        return range(0), 0

    def _in_types(self, batch: Any, wanted: Any) -> Group:
        columns: list[Any] = []
        bad: dict[int, str] = {}
        keys = keys_of(self.name)
        for field in wanted:
            if field.name in batch.schema.names:
                column = batch.column(batch.schema.get_field_index(field.name))
                column, odd = text_of(column, field.name)
                values, wrong = cast(column, field.name, field.type)
                for row, message in (odd | wrong).items():
                    bad.setdefault(row, message)
            elif field.name in keys:
                values = _repeated(keys[field.name], field.type, len(batch))
                if keys[field.name] is not None and values.null_count:
                    message = f'column "{field.name}" of its folder does not fit {field.type}'
                    bad = dict.fromkeys(range(len(batch)), message)
            else:
                values = pa.nulls(len(batch), field.type)
            columns.append(values)
        if not columns:
            return Group(batch, batch, bad)
        return Group(pa.RecordBatch.from_arrays(columns, schema=wanted), batch, bad)


def opened_file(name: str) -> Open:
    """A Parquet file, opened.

    Raises:
        SourceError: it is not there, cannot be read, or is not Parquet.
    """
    try:
        size = os.stat(name).st_size
        if not size:
            hint = "it may still be being written"
            raise SourceError(with_hint(f'"{name}" cannot be read as Parquet: it is empty', hint))
        return Open(name, pq.ParquetFile(name), size)
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(name, error) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, SourceError):
            raise
        raise damaged(name, error) from error


def damaged(name: str, error: Exception) -> SourceError:
    """The error for a damaged file."""
    hint = "it may be cut short or still being written"
    return SourceError(with_hint(f'"{name}" cannot be read as Parquet: {error}', hint))


def _key_kinds(file: str) -> dict[str, Any]:
    """The types of the keys of a file's folders."""
    return {
        key: pa.null() if text is None else pa.array([key_value(text, None)]).type
        for key, text in keys_of(file).items()
    }


def _repeated(text: str | None, kind: Any, count: int) -> Any:
    value = key_value(text, kind)
    try:
        return pa.array([value] * count, kind)
    except (pa.ArrowException, TypeError, ValueError):
        return pa.nulls(count, kind)
