"""The Arrow PyCapsule protocols, and the names of types.

Polars, pandas, DuckDB and pyarrow objects all satisfy these protocols as they are.
"""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

from muntin.base.errors import SchemaError, did_you_mean, with_hint


@runtime_checkable
class ArrowSchemaExportable(Protocol):
    """Anything that can export an Arrow schema."""

    def __arrow_c_schema__(self) -> object:
        """Return a capsule named `arrow_schema`."""


@runtime_checkable
class ArrowArrayExportable(Protocol):
    """Anything that can export one Arrow array or record batch."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Return capsules named `arrow_schema` and `arrow_array`."""


@runtime_checkable
class ArrowStreamExportable(Protocol):
    """Anything that can export a stream of Arrow record batches: a table, a frame, a reader."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule named `arrow_array_stream`."""


WORDS = (
    *("null", "bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64"),
    *("str", "binary", "date"),
)
"""The type words without parameters."""

_OTHER_NAMES = {
    "boolean": "bool",
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
    **dict.fromkeys(("int", "integer", "long", "bigint"), "i64"),
    "float32": "f32",
    **dict.fromkeys(("float", "float64", "double"), "f64"),
    **dict.fromkeys(("string", "text", "varchar", "utf8", "large_string"), "str"),
    **dict.fromkeys(("bytes", "blob"), "binary"),
    **dict.fromkeys(("date32", "date64"), "date"),
    **dict.fromkeys(("timestamp", "datetime"), "timestamp[us]"),
    **dict.fromkeys(("duration", "interval", "timedelta"), "duration[us]"),
}
_TIMESTAMP = re.compile(r"timestamp\[\s*(s|ms|us|ns)\s*(?:,\s*([^\]\s]+)\s*)?\]")
_DURATION = re.compile(r"duration\[\s*(s|ms|us|ns)\s*\]")
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(-?\d{1,2})\s*\)")
_LIST = re.compile(r"list\[(.+)\]")


def type_word(word: str, place: str) -> str:
    """The canonical spelling of a type word.

    Known are `null bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 str binary date`,
    `timestamp[us]` (s, ms, us, ns), `timestamp[us, Europe/Berlin]`, `duration[us]`,
    `decimal(p, s)` and `list[T]`.

    Raises `SchemaError` for anything else.

    >>> type_word("timestamp[us,UTC]", "schema")
    'timestamp[us, UTC]'
    """
    text = word.strip() if isinstance(word, str) else ""
    if text in WORDS:
        return text
    if match := _TIMESTAMP.fullmatch(text):
        unit, zone = match.groups()
        return f"timestamp[{unit}, {zone}]" if zone else f"timestamp[{unit}]"
    if match := _DURATION.fullmatch(text):
        return f"duration[{match[1]}]"
    if match := _DECIMAL.fullmatch(text):
        precision, scale = int(match[1]), int(match[2])
        if 1 <= precision <= 38 and abs(scale) <= precision:
            return f"decimal({precision}, {scale})"
    if match := _LIST.fullmatch(text):
        return f"list[{type_word(match[1], place)}]"
    shown = f'"{word}"' if isinstance(word, str) else repr(word)
    other = _OTHER_NAMES.get(text.lower())
    hint = f'write "{other}"' if other else did_you_mean(text, WORDS) or _KNOWN
    raise SchemaError(with_hint(f"{place}: unknown type {shown}", hint))


_KNOWN = f"the types are {', '.join(WORDS)}, timestamp[us, UTC], duration[us], decimal(p, s)"
