"""Reads CSV files; a record that does not fit becomes an invalid record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from muntin.base import arguments
from muntin.base.errors import SourceError, unknown, with_hint
from muntin.sources.checks import texts
from muntin.sources.decode.decoded import Bad, Decoded, Roles, kept_schema, known_schema, no_rows
from muntin.sources.decode.grammar import Grammar, Table, better_delimiter
from muntin.sources.decode.texts import converted, inferred
from muntin.sources.deliveries.pace import Speed
from muntin.sources.deliveries.placed import OnBad
from muntin.sources.files.cuts import Cut
from muntin.sources.files.formats import check_csv
from muntin.sources.files.paths import Paths, key_value, keys_of
from muntin.sources.files.records import LINE_BYTES_MAX, Block
from muntin.sources.files.text import Decoder, Limits, Lost, TextSource, one_bad


class Csv(TextSource):
    r"""A source of CSV files (RFC 4180), read one after another.

    Columns that the schema does not name are ignored; each file's own header says where its columns
    are. A record with more or fewer fields than the header, or with a value that does not fit its
    type, becomes an invalid record with the reason `undecodable`, its file, line and text. The
    position of a row is the number of records before it over all files, undecodable ones included;
    with `partition=`, the number of its partition's rows before it, where undecodable records count
    to the first partition. Headers and empty lines are not records.

    Timestamps are ISO 8601 text, UTC where it has no zone. Lines end in `\n`, `\r\n` or `\r`.
    A quoted value may have several lines; if its quote is not closed within `line_bytes_max`, or by
    the end of the file, the line that opens it is undecodable, and the next is a record again.

    With `follow=True` the last file is read as it grows, each record once its newline is there. A
    log may be rotated, during a run or between two: the file that was read is found again by its
    inode or its content, beside the log under another name (`log.1`, `log-20240501.gz`), and read
    to its end; then those in between are read, then the one with the log's name. A missing file is
    an error, or a warning with `lost="skip"`. A log that is copied and cut (copytruncate) is
    continued in its copy; lines written between the copy and the cut are in neither, and a warning
    says so. A file that is cut otherwise is an error.

    With `watch=True` a folder or a pattern is watched: a file is read when its name appears. It
    must be complete then: write it under another name, such as `.a.tmp`, and rename it. Files that
    appear together are read in natural order. A file that changes after it was read is an error; it
    may be removed.

    Compression by gzip or zstd is detected. Keys in Hive-style folder names (`year=2024/month=05`)
    are columns, unless a file has a column of that name.

    Args:
        paths: a path, a folder, a pattern, a list of these, or "-" for standard input. Files of a
            folder or a pattern are in their natural order: `file2` before `file10`.
        schema: column to type. Without it the stream's schema is used, and without that
            the records of the first 4 MiB decide.
        delimiter: the character between two fields.
        header: whether each file begins with the names of its columns. If not, the schema names
            all of them in order, and without a schema they are `f0`, `f1` and so on.
        null_values: texts that mean null. In a column of text or bytes a quoted value is never
            null, so `""` is an empty text.
        arrival: the column with the recorded arrival time, timestamp or `int64` microseconds.
        partition: the integer column with each row's partition; a row must have it.
        partitions: the values it can have. Without them the files are read once more, before
            the run, to find them.
        follow: wait for more rows at the end of the last file.
        watch: wait for more files.
        lost: whether lost lines of a followed file are an "error", or a warning ("skip").
        line_bytes_max: a longer record is an invalid record, of which only the start is kept. This
            bounds the memory of a record; 16 MiB is far more than events need.
        speed: replay rows at their recorded pace, this many times faster; see `mt.sources.Pace`.
        batch_rows: the maximum number of rows in a step.
        bad: "record" makes a record that cannot be read an invalid record; "stop" ends the run
            with an error that names the file, the line and what is wrong.

    Raises:
        SourceError: a file is missing, cannot be read, has become shorter, or lacks a column.

    >>> Csv("sales.csv", schema={"at": "timestamp[us, UTC]", "n": "i64"}, delimiter=";").bounded
    True
    """

    def __init__(
        self,
        paths: Paths,
        *,
        schema: Mapping[str, str] | None = None,
        delimiter: str = ",",
        header: bool = True,
        null_values: Sequence[str] = ("",),
        arrival: str | None = None,
        partition: str | None = None,
        partitions: Sequence[int] | None = None,
        follow: bool = False,
        watch: bool = False,
        lost: Lost = "error",
        line_bytes_max: int = LINE_BYTES_MAX,
        speed: Speed = None,
        batch_rows: int = 65_536,
        bad: OnBad = "record",
    ) -> None:
        """Keep the arguments; files are read only when needed."""
        roles = Roles(arrival, partition)
        limits = Limits(follow, watch, False, lost, line_bytes_max, batch_rows, bad)
        super().__init__(paths, schema, roles, partitions, limits, speed)
        arguments.flag(header, "Csv: header", error=SourceError)
        null_values = texts(null_values, "Csv: null_values", "texts")
        if (
            not isinstance(delimiter, str)
            or len(delimiter) != 1
            or not delimiter.isascii()
            or delimiter in '"\r\n'
        ):
            message = f"Csv: delimiter must be one ASCII character, got {delimiter!r}"
            raise SourceError(with_hint(message, 'such as "," or ";" or "\\t"'))
        if partition is not None and not header and schema is None:
            hint = "name all columns, in order: schema={...}"
            raise SourceError(with_hint("Csv: partition= without a header needs schema=", hint))
        self._grammar = Grammar(delimiter)
        self._header = header
        self._null_values = list(null_values)

    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        known = self._schema if self._schema is not None else schema
        _refuse_lists(known)
        names = known.names if not self._header and known is not None else None
        table = Table(self._grammar, self._null_values)
        return self._grammar, _Records(table, schema, roles, self._header, names)


class _Records:
    """Blocks of CSV records to rows."""

    def __init__(
        self,
        table: Table,
        schema: Any | None,
        roles: Roles,
        header: bool,
        names: Sequence[str] | None,
    ) -> None:
        self._table = table
        self._schema = None if schema is None else roles.added(schema)
        self._roles = roles
        self._header = header
        self._bare = names
        self._names: Sequence[str] | None = None
        self._awaits_header = False
        self._head = b""
        self._keys: dict[str, str | None] = {}

    def memory(self) -> dict[str, Any]:
        return {"names": self._names, **kept_schema(self._schema)}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._schema = known_schema(memory, self._schema)
        names = memory.get("names")
        if names is not None and not (
            isinstance(names, list) and all(isinstance(name, str) for name in names)
        ):
            hint = "start with an empty checkpoint and empty outputs"
            message = f"the checkpoint's columns of the source cannot be read: {names!r}"
            raise SourceError(with_hint(message, hint))
        self._names = names

    def __call__(self, block: Block) -> Decoded:
        self._keys = keys_of(block.file)
        if block.begins:
            self._awaits_header = self._header
            self._names = self._bare and [each for each in self._bare if each not in self._keys]
        if block.fault:
            if self._awaits_header:
                raise SourceError(f'"{block.file}" has no header: {block.fault}')
            return one_bad(block, self._schema)
        begins = block.begins
        if begins:
            check_csv(block.file, block.text)
        if self._awaits_header:
            block = self._without_header(block)
        if begins:
            self._check_first(block)
        return self._rows(block)

    def _check_first(self, block: Block) -> None:
        """Check the delimiter on records: a header or a schema alone may match a wrong one."""
        records = list(islice(self._full(block.text), 3))
        if self._header:
            alone = self._schema is None and len(self._names or ()) == 1
            if alone and records:
                self._check_delimiter(block.file, [self._head, *records], None)
        elif self._names is None and len(records) > 1:
            self._check_delimiter(block.file, records, None)
        elif len(self._names or ()) > 1:
            self._check_delimiter(block.file, records, len(self._names or ()))

    def _without_header(self, block: Block) -> Block:
        end = 0
        for record in self._table.grammar.records(block.text):
            end += len(record)
            if record.strip(b"\r\n"):
                self._head, self._names = record, self._header_names(block.file, record)
                self._awaits_header = False
                break
        line = block.line + self._table.grammar.line_ends(block.text[:end])
        return block._replace(line=line, text=block.text[end:])

    def _header_names(self, file: str, record: bytes) -> list[str]:
        try:
            names = self._table.cells(record)
        except pa.ArrowException as error:
            raise SourceError(f'"{file}" has no header: {error}') from error
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SourceError(f'"{file}" has two columns "{min(twice)}"')
        for name in () if self._schema is None else self._schema.names:
            if name not in names and name not in self._keys:
                self._check_delimiter(file, [record], None)
                raise SourceError(unknown("column", name, names, file))
        return names

    def _check_delimiter(self, file: str, records: Sequence[bytes], columns: int | None) -> None:
        """Check whether a file has another delimiter than the given one.

        Raises:
            SourceError: records have one field with the one given, and several with another.
        """
        used = self._table.grammar.delimiter
        if (other := better_delimiter(records, used, columns)) is not None:
            message = f'"{file}" has one column where "{_shown(used)}" is the delimiter'
            raise SourceError(with_hint(message, f'write delimiter="{_shown(other)}"'))

    def _rows(self, block: Block) -> Decoded:
        text, lost = self._decodable(block.text)
        names = self._names_of(text)
        if self._schema is None:
            self._schema = self._inferred(text, names)
        if self._schema is None:
            schema = pa.schema([])
            columns, wrong = self._table.parsed(text, names, names)
        else:
            schema = self._schema
            # without any column Arrow would not know how many rows there are
            own = [name for name in schema.names if name in names or not names]
            own = own or list(names[:1])
            columns, wrong = self._table.parsed(text, names, own)
            columns = self._with_keys(columns)
        count = len(columns) + len(wrong) + len(lost)
        whole = _others(count, lost)
        details = lost | {whole[row]: detail for row, detail in wrong.items()}
        batch, misfits = self._typed(columns, schema)
        if not (details or misfits):
            return Decoded(batch, None, [], count)
        ordinals = pa.array(_others(count, details), pa.int64())
        if misfits:
            keep = pa.array([row not in misfits for row in range(len(ordinals))])
            details |= {ordinals[row].as_py(): detail for row, detail in misfits.items()}
            batch, ordinals = batch.filter(keep), ordinals.filter(keep)
        return Decoded(batch, ordinals, self._bad(block, details), count)

    def _with_keys(self, columns: Any) -> Any:
        for key, text in self._keys.items():
            if key not in columns.column_names:
                repeated = pa.repeat(pa.scalar(text, pa.string()), len(columns))
                columns = columns.append_column(key, repeated)
        return columns

    def _decodable(self, text: bytes) -> tuple[bytes, dict[int, str]]:
        """The records that are UTF-8, and what is wrong with the others."""
        try:
            text.decode()
        except UnicodeDecodeError:
            pass
        else:
            return text, {}
        good: list[bytes] = []
        lost: dict[int, str] = {}
        for ordinal, record in enumerate(self._full(text)):
            try:
                record.decode()
            except UnicodeDecodeError as error:
                lost[ordinal] = str(error)
            else:
                good.append(record)
        return b"".join(good), lost

    def _names_of(self, text: bytes) -> Sequence[str]:
        if self._names is None and (first := next(self._full(text), None)) is not None:
            self._names = [f"f{i}" for i in range(len(self._table.cells(first)))]
        return self._names or ()

    def _inferred(self, text: bytes, names: Sequence[str]) -> Any | None:
        seen = self._table.guessed(text, names)
        if not len(seen):
            return None
        for name in (self._roles.arrival, self._roles.partition):
            if name is not None and name not in names and name not in self._keys:
                raise SourceError(unknown("column", name, names, "Csv"))
        texts, _ = self._table.parsed(text, names, names)
        own = [
            (
                f.name,
                inferred(self._table.of_values(texts[f.name].combine_chunks(), f.type), f.type),
            )
            for f in seen.schema
        ]
        keys = [
            (key, pa.int64() if isinstance(key_value(text, None), int) else pa.string())
            for key, text in self._keys.items()
            if key not in names
        ]
        return pa.schema([*own, *keys])

    def _typed(self, columns: Any, schema: Any) -> tuple[Any, dict[int, str]]:
        """The columns in their types, and what is wrong with the rows that do not fit."""
        arrays: list[Any] = []
        misfits: dict[int, str] = {}
        needed = self._roles.needed()
        for field in schema:
            texts = self._table.of_values(columns[field.name].combine_chunks(), field.type)
            values, bad = converted(texts, field.name, field.type)
            arrays.append(values)
            for misfit in bad:
                misfits.setdefault(misfit.row, str(misfit))
            if (what := needed.get(field.name)) is not None and values.null_count:
                for row in set(range(len(values))) - set(misfits):
                    if values[row].as_py() is None:
                        misfits[row] = f'it has no {what} in "{field.name}"'
        if not len(schema):
            return no_rows(None), {}
        return pa.RecordBatch.from_arrays(arrays, schema=schema), misfits

    def _full(self, text: bytes) -> Iterator[bytes]:
        """The records, without empty lines."""
        return (r for r in self._table.grammar.records(text) if r.strip(b"\r\n"))

    def _bad(self, block: Block, details: Mapping[int, str]) -> list[Bad]:
        if not details:
            return []
        bad, line, ordinal = [], block.line, 0
        for record in self._table.grammar.records(block.text):
            if record.strip(b"\r\n"):
                if ordinal in details:
                    bad.append(Bad(ordinal, line, record, details[ordinal]))
                ordinal += 1
            line += self._table.grammar.line_ends(record)
        return bad


def _refuse_lists(schema: Any | None) -> None:
    for field in schema or ():
        if pa.types.is_nested(field.type):
            message = f'Csv: column "{field.name}" cannot be a {field.type}'
            raise SourceError(with_hint(message, "JsonLines can have lists"))


def _others(count: int, taken: Mapping[int, str]) -> Sequence[int]:
    return [i for i in range(count) if i not in taken] if taken else range(count)


def _shown(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter
