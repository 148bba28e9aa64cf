"""Parses one line of JSON strictly, where the JSON standard leaves choices open.

- A number with a point or an exponent is kept as its text, so that a decimal loses no digit.
  Integers may have any number of digits; the column's type decides whether they fit.
- `NaN`, `Infinity` and `-Infinity`, as Python writes them, are floats.
- Two equal keys in an object, half of a surrogate pair, a control character in a text, invalid
  UTF-8, and values that nest deeper than `DEPTH_MAX` are refused: the line is not a row.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from muntin.values.fitting import Number

DEPTH_MAX = 128
"""How deep arrays and objects may nest."""

_DIGITS_MAX = 4_000
_FAST = msgspec.json.Decoder(float_hook=Number)
_KEYS = re.compile(rb'"\s*:')
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


class NotAnObject(ValueError):
    """Why a line is not a JSON object."""


def object_of(line: bytes) -> dict[str, Any]:
    """The object in a line.

    Raises:
        NotAnObject: there is none.

    >>> object_of(b'{"price": 19.90, "n": 1}')
    {'price': '19.90', 'n': 1}
    """
    if line.count(b"[") + line.count(b"{") > DEPTH_MAX and _depth(line) > DEPTH_MAX:
        raise NotAnObject(f"it nests deeper than {DEPTH_MAX} levels")
    try:
        value = _FAST.decode(line)
    except UnicodeDecodeError as error:
        raise NotAnObject(f"it is not UTF-8: {error}") from None
    except (msgspec.DecodeError, RecursionError):
        return _careful(line)
    if not isinstance(value, dict):
        raise NotAnObject(_other(value))
    # as many keys in the text as in the object: there are no duplicates
    if len(_KEYS.findall(line)) > _keys(value):
        return _careful(line)
    return value


def _careful(line: bytes) -> dict[str, Any]:
    """The object by Python's own decoder, which reads `NaN` and reports all keys."""
    try:
        text = line.decode()
        value = _SLOW.decode(text.strip(" \t\r\n"))
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise NotAnObject(f"it is not JSON: {error.msg}, at character {error.pos + 1}") from None
    except UnicodeDecodeError as error:
        raise NotAnObject(f"it is not UTF-8: {error}") from None
    except UnicodeEncodeError:
        raise NotAnObject("it has half of a surrogate pair, which is not a character") from None
    except RecursionError:
        raise NotAnObject("it nests too deeply") from None
    if not isinstance(value, dict):
        raise NotAnObject(_other(value))
    return value


def _other(value: Any) -> str:
    kind = {list: "an array", str: "a text", Number: "a number", int: "a number", bool: "a bool"}
    return f"it is not a JSON object but {kind.get(type(value), 'null')}"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotAnObject(f'the key "{twice}" is there twice')
    return found


def _integer(digits: str) -> int | Number:
    # Python limits the number of digits; no column can hold so many anyway
    return int(digits) if len(digits) < _DIGITS_MAX else Number(digits)


_SLOW = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=Number, parse_int=_integer, parse_constant=float
)


def _keys(value: Any) -> int:
    """The number of keys in all objects."""
    if isinstance(value, dict):
        return len(value) + sum(_keys(v) for v in value.values() if type(v) in (dict, list))
    return sum(_keys(v) for v in value if type(v) in (dict, list))


def _depth(line: bytes) -> int:
    depth = deepest = 0
    for byte in _TEXTS.sub(b"", line):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
