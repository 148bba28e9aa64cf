"""Text files with separated values; a record that does not fit is kept as an invalid record."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pc

from muntin.errors import SourceError, unknown, with_hint
from muntin.sources.files import Paths
from muntin.sources.pace import Speed
from muntin.sources.records import LINE_BYTES_MAX, Block, Cut
from muntin.sources.text import (
    Bad,
    Decoded,
    Decoder,
    Limits,
    Lost,
    Roles,
    TextSource,
    kept_schema,
    known_schema,
    no_rows,
    one_bad,
)
from muntin.sources.texts import converted, inferred


class Csv(TextSource):
    r"""A source of CSV files (RFC 4180), read from the start to the end of its files.

    Columns that the schema does not name are left out; those of each file are found by its own
    header. A record with more or fewer fields than the header, or with a value that does not fit
    its type, becomes an invalid record with the reason `undecodable`, its file, line and text. The
    position of a row is the number of records before it over all files, undecodable ones included;
    with `partition=`, the number of its partition's rows before it, where what is undecodable
    counts to the first partition. Headers and empty lines are no records.

    Timestamps are ISO 8601 text, UTC where it has no zone. Lines end in `\n`, `\r\n` or `\r`.
    A quoted value may have several lines; if its quote is not closed within `line_bytes_max`, or by
    the end of the file, the line that opens it is undecodable, and the next is a record again.

    With `follow=True` the last file has no end: what is appended to it is read as it comes, a
    record when its newline is there. A log may be rotated meanwhile, and while no run is going on:
    the file that was read is found again by its inode or its content, beside the log under another
    name (`log.1`, `log-20240501.gz`), and is read to its end; then those in between are, then the
    one that has the name. What cannot be found is an error, or a warning with `lost="skip"`. A log
    that is copied and cut (copytruncate) goes on in its copy; what was written between the copy and
    the cut is in neither, as the log says. A file that is cut otherwise is an error.

    Args:
        paths: a path, a pattern, or a list of paths; a pattern's files are sorted by name.
        schema: column to type word. Without it the stream's own schema holds, and without that
            the records of the first 4 MiB decide.
        delimiter: what stands between two fields, one character.
        header: whether each file begins with the names of its columns. Without, the schema names
            all of them in order, and without a schema they are `f0`, `f1` and so on.
        null_values: what stands for null, quoted or not.
        arrival: the column with the recorded time of arrival, timestamp or `int64` microseconds.
        partition: the integer column with each row's partition; a row must have it.
        partitions: the values it can have. Without them the files are read once more, before
            the run, to find them.
        follow: wait for more at the end of the last file.
        lost: whether lines of a followed file that are lost are an "error", or "skip": a warning.
        line_bytes_max: a longer record is an invalid record, of which the start is kept. It bounds
            the memory that a record can take; 16 MiB is far above what events have.
        speed: hand rows over as time goes by, so many times faster; see `mt.sources.Pace`.
        batch_rows: rows in a step, at most.

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
        lost: Lost = "error",
        line_bytes_max: int = LINE_BYTES_MAX,
        speed: Speed = None,
        batch_rows: int = 65_536,
    ) -> None:
        """Remember where the records are; nothing is read before it has to be."""
        roles = Roles(arrival, partition)
        limits = Limits(follow, lost, line_bytes_max, batch_rows)
        super().__init__(paths, schema, roles, partitions, limits, speed)
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            said = f"Csv: delimiter must be one ASCII character, got {delimiter!r}"
            raise SourceError(with_hint(said, 'such as "," or ";" or "\\t"'))
        if partition is not None and not header and schema is None:
            hint = "name all columns, in order: schema={...}"
            raise SourceError(with_hint("Csv: partition= without a header needs schema=", hint))
        self._grammar = _Grammar(delimiter)
        self._header = header
        self._null_values = list(null_values)

    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        known = self._schema if self._schema is not None else schema
        _refuse_lists(known)
        names = known.names if not self._header and known is not None else None
        table = _Table(self._grammar, self._null_values)
        return self._grammar, _Records(table, schema, roles, self._header, names)


_BOM = "\ufeff".encode()


class _Grammar:
    """What a record is, exactly as Arrow reads it: quotes mean something at a field's start."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        mark = re.escape(delimiter.encode())
        field = rb'(?>"[^"]*+(?:""[^"]*+)*+"|(?!"))[^%s\r\n]*+' % mark
        # a carriage return at the end may be the first half of a line's end
        record = rb"(?>%s%s)*+%s(?:\r\n|\n|\r(?=[^\n]))" % (field, mark, field)
        self._many = re.compile(rb"(?>%s)*+" % record)
        self._one = re.compile(record + rb"|.+\Z", re.DOTALL)

    def whole(self, text: bytes) -> int:
        """How many bytes are whole records."""
        end = text.rfind(b"\n") + 1
        if end and b'"' not in text:
            return end
        found = self._many.match(text)
        return 0 if found is None else found.end()

    def line_end(self, text: bytes) -> tuple[int, int] | None:
        """Where the first line ends; its line end then stands for an empty line."""
        feed = text.find(b"\n")
        back = text.find(b"\r", 0, len(text) if feed < 0 else feed)
        end = feed if back < 0 else back
        return None if end < 0 else (end, end)

    def line_ends(self, text: bytes) -> int:
        """How many lines end, be it with a line feed, a carriage return, or both."""
        return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")

    def records(self, text: bytes) -> Iterator[bytes]:
        """The records of a text one by one, empty lines included."""
        return (found[0] for found in self._one.finditer(text))


class _Parsed(NamedTuple):
    columns: Any
    wrong: dict[int, str]


class _Table:
    """Records to columns of text."""

    def __init__(self, grammar: _Grammar, null_values: list[str]) -> None:
        self.grammar = grammar
        self._null_values = null_values

    def cells(self, text: bytes) -> list[str]:
        """The fields of one record."""
        read = pc.ReadOptions(autogenerate_column_names=True, block_size=len(text) + 1)
        strings = pc.ConvertOptions(default_column_type=pa.string())
        found = pc.read_csv(io.BytesIO(text), read, self._parsing(None), strings)
        return [column[0].as_py() for column in found.columns]

    def guessed(self, text: bytes, names: Sequence[str]) -> Any:
        """The columns in the types that Arrow sees in them."""
        return self._read(text, names, None, pc.ConvertOptions(**self._nulls()), {})

    def parsed(self, text: bytes, names: Sequence[str], wanted: Sequence[str]) -> _Parsed:
        """The wanted columns as text, and for the records of another length what is wrong."""
        wrong: dict[int, str] = {}
        types = dict.fromkeys(names, pa.string())
        convert = pc.ConvertOptions(
            column_types=types, include_columns=list(wanted), **self._nulls()
        )
        return _Parsed(self._read(text, names, list(wanted), convert, wrong), wrong)

    def _nulls(self) -> dict[str, Any]:
        return {"null_values": self._null_values, "strings_can_be_null": True}

    def _read(
        self,
        text: bytes,
        names: Sequence[str],
        wanted: list[str] | None,
        convert: Any,
        wrong: dict[int, str],
    ) -> Any:
        if not text.strip(b"\r\n"):
            empty = names if wanted is None else wanted
            return pa.schema([(name, pa.string()) for name in empty]).empty_table()
        # Arrow takes a byte order mark away, which within a file belongs to a value
        text = _BOM + text if text.startswith(_BOM) else text
        # one thread: only then does Arrow know which record is the wrong one
        read = pc.ReadOptions(column_names=list(names), use_threads=False, block_size=len(text) + 1)
        return pc.read_csv(io.BytesIO(text), read, self._parsing(wrong), convert)

    def _parsing(self, wrong: dict[int, str] | None) -> Any:
        def skipped(row: Any) -> str:
            if wrong is not None:
                said = f"it has {row.actual_columns} fields, not {row.expected_columns}"
                wrong[row.number - 1] = said
            return "skip"

        return pc.ParseOptions(
            delimiter=self.grammar.delimiter, newlines_in_values=True, invalid_row_handler=skipped
        )


class _Records:
    """Blocks of CSV records to rows."""

    def __init__(
        self,
        table: _Table,
        schema: Any | None,
        roles: Roles,
        header: bool,
        names: Sequence[str] | None,
    ) -> None:
        self._table = table
        self._schema = None if schema is None else roles.added(schema)
        self._roles = roles
        self._header = header
        self._names = names
        self._awaits_header = False

    def memory(self) -> dict[str, Any]:
        return {"names": self._names, **kept_schema(self._schema)}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._schema = known_schema(memory, self._schema)
        self._names = memory.get("names")

    def __call__(self, block: Block) -> Decoded:
        if block.begins:
            self._awaits_header = self._header
        if block.fault:
            if self._awaits_header:
                raise SourceError(f'"{block.file}" has no header: {block.fault}')
            return one_bad(block, self._schema)
        if self._awaits_header:
            block = self._without_header(block)
        return self._rows(block)

    def _without_header(self, block: Block) -> Block:
        end = 0
        for record in self._table.grammar.records(block.text):
            end += len(record)
            if record.strip(b"\r\n"):
                self._names = self._header_names(block.file, record)
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
            if name not in names:
                raise SourceError(unknown("column", name, names, file))
        return names

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
            columns, wrong = self._table.parsed(text, names, schema.names)
        count = len(columns) + len(wrong) + len(lost)
        whole = _others(count, lost)
        details = lost | {whole[row]: detail for row, detail in wrong.items()}
        ordinals = pa.array(_others(count, details), pa.int64())
        batch, misfits = self._typed(columns, schema)
        if misfits:
            keep = pa.array([row not in misfits for row in range(len(ordinals))])
            details |= {ordinals[row].as_py(): detail for row, detail in misfits.items()}
            batch, ordinals = batch.filter(keep), ordinals.filter(keep)
        return Decoded(batch, ordinals, self._bad(block, details), count)

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
            if name is not None and name not in names:
                raise SourceError(unknown("column", name, names, "Csv"))
        texts, _ = self._table.parsed(text, names, names)
        return pa.schema(
            [(f.name, inferred(texts[f.name].combine_chunks(), f.type)) for f in seen.schema]
        )

    def _typed(self, columns: Any, schema: Any) -> tuple[Any, dict[int, str]]:
        """The columns in their types, and what is wrong with the rows that do not fit."""
        arrays: list[Any] = []
        misfits: dict[int, str] = {}
        for field in schema:
            texts = columns[field.name].combine_chunks()
            values, bad = converted(texts, field.type)
            arrays.append(values)
            for row in bad:
                said = f'column "{field.name}" does not fit {field.type}: "{texts[row]}"'
                misfits.setdefault(row, said)
            if field.name == self._roles.partition and values.null_count:
                for row in set(range(len(values))) - set(misfits):
                    if values[row].as_py() is None:
                        misfits[row] = f'it has no partition in "{field.name}"'
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
            said = f'Csv: column "{field.name}" cannot be a {field.type}'
            raise SourceError(with_hint(said, "JsonLines can have lists"))


def _others(count: int, taken: Mapping[int, str]) -> Sequence[int]:
    return [i for i in range(count) if i not in taken] if taken else range(count)
