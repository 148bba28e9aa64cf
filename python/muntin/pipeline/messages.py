"""Fills a rule's message from an alert's `values`, as the engine fills it from the row."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from decimal import Context, Decimal
from string import Formatter
from typing import Any

import pyarrow as pa

from muntin.values.show import Json, plain_text

_EXACT = Context(prec=200)


def columns_of(template: str) -> tuple[str, ...]:
    """The columns that a message names, in order of appearance.

    >>> columns_of("{card}: {n:,} of {card}")
    ('card', 'n', 'card')
    """
    return tuple(field for _, field, _, _ in Formatter().parse(template) if field)


def filled(template: str, values: Mapping[str, Json], kinds: Mapping[str, Any]) -> str:
    """The message of a row.

    Args:
        template: the message as the rule has it.
        values: the row's columns as JSON has them.
        kinds: their `pyarrow.DataType`s; without them a text is text, also that of a decimal.

    >>> filled("{k}: {n:,} {x:.1%}", {"k": "a", "n": 1234, "x": 0.5}, {})
    'a: 1,234 50.0%'
    """
    parts = []
    for start, field, form, _ in Formatter().parse(template):
        parts.append(start)
        if field is not None:
            parts.append(_place(values.get(field), form or "", kinds.get(field)))
    return "".join(parts)


def _place(value: Json, form: str, kind: Any) -> str:
    number = _number(value, kind)
    plain = "null" if value is None else plain_text(value)
    grouped, percent = form.startswith(","), form.endswith("%")
    if number is None:
        is_nan = isinstance(value, str) and kind is not None and pa.types.is_floating(kind)
        return f"{plain}%" if is_nan and percent else plain
    if not percent and not form.endswith("f"):
        return _grouped(plain) if grouped else plain
    digits = form.strip(",.f%") or "6"
    if percent:
        number = number * 100 if isinstance(number, float) else number.scaleb(2, _EXACT)
    text = format(number, f"{',' if grouped else ''}.{digits}f")
    return f"{text}%" if percent else text


def _number(value: Json, kind: Any) -> Decimal | float | None:
    """The number to be formatted, exact; None for what no format applies to."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        if kind is not None and pa.types.is_float32(kind):
            return float(struct.unpack("f", struct.pack("f", value))[0])
        return value
    if isinstance(value, str) and kind is not None and pa.types.is_decimal(kind):
        return Decimal(value)
    return None


def _grouped(plain: str) -> str:
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return f"{sign}{int(whole):,}{digits[len(whole) :]}" if whole else plain
