"""The grammar of CSV: splits records into columns of text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc

DELIMITERS = ",;\t|"
"""The usual delimiters."""

_BOM = "\ufeff".encode()


class Grammar:
    """Finds records exactly as Arrow reads them: a quote counts only at a field's start."""

    def __init__(self, delimiter: str) -> None:
        """Fields are separated by `delimiter`, one ASCII character."""
        self.delimiter = delimiter
        mark = re.escape(delimiter.encode())
        field = rb'(?>"[^"]*+(?:""[^"]*+)*+"|(?!"))[^%s\r\n]*+' % mark
        # a carriage return at the end may be the first half of a line's end
        record = rb"(?>%s%s)*+%s(?:\r\n|\n|\r(?=[^\n]))" % (field, mark, field)
        self._many = re.compile(rb"(?>%s)*+" % record)
        self._one = re.compile(record + rb"|.+\Z", re.DOTALL)

    def whole(self, text: bytes) -> int:
        """The number of bytes in complete records."""
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
        """The number of line ends: line feed, carriage return, or both."""
        return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")

    def records(self, text: bytes) -> Iterator[bytes]:
        """The records of a text one by one, empty lines included."""
        return (found[0] for found in self._one.finditer(text))


class Parsed(NamedTuple):
    """Columns of text, and the errors of records with another number of fields."""

    columns: Any
    wrong: dict[int, str]


class Table:
    """Records to columns of text."""

    def __init__(self, grammar: Grammar, null_values: list[str]) -> None:
        """Records of a grammar, in which these texts are null."""
        self.grammar = grammar
        self._null_values = null_values

    def cells(self, text: bytes) -> list[str]:
        """The fields of one record."""
        read = pc.ReadOptions(autogenerate_column_names=True, block_size=len(text) + 1)
        names = (f"f{i}" for i in range(text.count(self.grammar.delimiter.encode()) + 1))
        strings = pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        found = pc.read_csv(io.BytesIO(text), read, self._parsing(None), strings)
        return [column[0].as_py() for column in found.columns]

    def guessed(self, text: bytes, names: Sequence[str]) -> Any:
        """The columns in the types that Arrow infers."""
        return self._read(text, names, None, pc.ConvertOptions(**self._nulls()), {})

    def parsed(self, text: bytes, names: Sequence[str], wanted: Sequence[str]) -> Parsed:
        """The wanted columns as text, and the errors of records with another number of fields."""
        wrong: dict[int, str] = {}
        types = dict.fromkeys(names, pa.string())
        # a quoted text is a text, even an empty one; `of_values` decides where it is null
        convert = pc.ConvertOptions(
            column_types=types,
            include_columns=list(wanted),
            quoted_strings_can_be_null=False,
            **self._nulls(),
        )
        return Parsed(self._read(text, names, list(wanted), convert, wrong), wrong)

    def of_values(self, texts: Any, kind: Any) -> Any:
        """A column of text, with null for quoted null texts unless its type is text."""
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            return texts
        null = compute.is_in(texts, value_set=pa.array(self._null_values, pa.string()))
        return compute.if_else(null, pa.scalar(None, pa.string()), texts)

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
        # Arrow removes a byte order mark, but inside a file it belongs to a value
        text = _BOM + text if text.startswith(_BOM) else text
        # one thread: only then does Arrow report which record is wrong
        read = pc.ReadOptions(column_names=list(names), use_threads=False, block_size=len(text) + 1)
        return pc.read_csv(io.BytesIO(text), read, self._parsing(wrong), convert)

    def _parsing(self, wrong: dict[int, str] | None) -> Any:
        def skipped(row: Any) -> str:
            if wrong is not None:
                message = f"it has {row.actual_columns} fields, not {row.expected_columns}"
                wrong[row.number - 1] = message
            return "skip"

        return pc.ParseOptions(
            delimiter=self.grammar.delimiter, newlines_in_values=True, invalid_row_handler=skipped
        )


def better_delimiter(records: Sequence[bytes], used: str, columns: int | None) -> str | None:
    """The delimiter that records seem to have, if the given one finds one field in each.

    Args:
        records: the first records of a file.
        used: the delimiter that was given.
        columns: how many fields there should be, if that is known.

    >>> better_delimiter([b"a;b\\n", b"1;2\\n"], ",", None)
    ';'
    """
    if not records or any(_fields(record, used) != 1 for record in records):
        return None
    for other in DELIMITERS.replace(used, ""):
        counts = {_fields(record, other) for record in records}
        if len(counts) == 1 and (min(counts) == columns if columns else min(counts) > 1):
            return other
    return None


def _fields(record: bytes, delimiter: str) -> int:
    try:
        return len(Table(Grammar(delimiter), []).cells(record))
    except pa.ArrowException:
        return 0
