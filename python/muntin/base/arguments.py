"""Checks of arguments that callers pass: one function for each kind of argument.

Every function here returns the checked value, or raises an error that names the place, the value
and what to write instead.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from muntin.base.errors import (
    MuntinError,
    PartitionError,
    PlanError,
    SinkError,
    did_you_mean,
    with_hint,
)

SINK_MEMBERS = ("when", "open", "stage", "publish", "close")
"""What every sink has; `muntin.sinks.Sink` says what they do."""

THREADS_MAX = 1024
_SHOWN_MAX = 80
_SINKS_BY_SUFFIX = {
    ".parquet": "Parquet", ".csv": "Csv", ".tsv": "Csv", ".jsonl": "JsonLines",
    ".ndjson": "JsonLines", ".json": "JsonLines", ".db": "Sqlite", ".sqlite": "Sqlite",
    ".sqlite3": "Sqlite",
}  # fmt: skip


def shown(value: object) -> str:
    """A value in a message: texts in double quotes, what is long by its type.

    >>> shown("a"), shown(5), shown(int), shown(print)
    ('"a"', '5', 'int', 'print')
    """
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, type):
        text = value.__name__
    elif callable(value) and isinstance(name := getattr(value, "__name__", None), str):
        text = "a lambda" if name == "<lambda>" else name
    else:
        text = repr(value)
    if len(text) <= _SHOWN_MAX and "\n" not in text and " object at 0x" not in text:
        return text
    return text[:_SHOWN_MAX] + "..." if isinstance(value, str) else kind(value)


def kind(value: object) -> str:
    """What a value is, with its article.

    >>> kind(5), kind("a"), kind(None)
    ('an int', 'a str', 'None')
    """
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def whole(
    value: object,
    place: str,
    least: int,
    most: int,
    *,
    error: type[MuntinError] = PlanError,
    hint: str | None = None,
) -> int:
    """A whole number in a range.

    >>> whole(4, "threads", 1, 64)
    4
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise error(with_hint(f"{place}: {shown(value)} is not a whole number", hint))
    number = int(value.__index__())
    if not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise error(with_hint(f"{place} must be {bound}, got {number}", hint))
    return number


def threads(value: object) -> int:
    """How many threads the engine may use.

    Raises:
        PlanError: it is not a whole number of at least 1.
    """
    return whole(
        value, "threads", 1, THREADS_MAX, hint="write threads=1, or up to one for each core"
    )


def partition(value: object, place: str = "partition") -> int:
    """The number of a partition, of 64 bits.

    Raises:
        PartitionError: it is not one.
    """
    hint = "partitions are whole numbers of 64 bits"
    return whole(value, place, -(2**63), 2**63 - 1, error=PartitionError, hint=hint)


def partitions(
    values: Any, place: str = "partitions", *, error: type[MuntinError] = PlanError
) -> tuple[int, ...]:
    """The partitions of an input, each once.

    Raises:
        PartitionError: one is not a whole number, or comes twice.
    """
    given = several(values, place, "whole numbers", error=error)
    found = tuple(partition(each, place) for each in given)
    for i, each in enumerate(found):
        if each in found[:i]:
            raise PartitionError(f"{place}: {each} comes twice")
    return found


def flag(value: object, place: str, *, error: type[MuntinError] = PlanError) -> bool:
    """`True` or `False` and nothing else, since a text such as "no" would count as true."""
    if not isinstance(value, bool):
        raise error(with_hint(f"{place}={shown(value)}", "it is True or False"))
    return value


def one_of(
    value: object, known: Collection[str], place: str, *, error: type[MuntinError] = PlanError
) -> None:
    """One of a few words."""
    if not isinstance(value, str) or value not in known:
        said = f"{place}: {shown(value)} is not one of {', '.join(known)}"
        close = did_you_mean(value, known) if isinstance(value, str) else None
        raise error(with_hint(said, close if close and "did you mean" in close else None))


def several(
    values: Any, place: str, what: str, *, error: type[MuntinError] = PlanError
) -> tuple[Any, ...]:
    """The members of a list, a tuple or another iterable; texts and dicts are refused."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        hint = f"give a list of {what}"
        raise error(with_hint(f"{place}={shown(values)} is not a list", hint))
    return tuple(values)


def path(value: Any, place: str, *, error: type[MuntinError]) -> str:
    """The path of a file or a directory."""
    if isinstance(value, str | os.PathLike):
        found = os.fspath(value)
        if isinstance(found, str) and found and "\0" not in found:
            return found
    said = "an empty path" if value == "" else f"{shown(value)} is not a path"
    raise error(with_hint(f"{place}: {said}", 'give a text or a pathlib.Path, as in "out/rows"'))


def sinks(values: Any, place: str) -> tuple[Any, ...]:
    """Sinks, one or several.

    Raises:
        SinkError: one of them is not a sink; the hint says which sink was meant.
    """
    if is_sink(values):
        return (values,)
    if isinstance(values, str | bytes | os.PathLike | Mapping) or not isinstance(values, Iterable):
        hint = _sink_meant(values) or "give a list of sinks"
        raise SinkError(with_hint(f"{place}={shown(values)} is not a list of sinks", hint))
    found = tuple(values)
    for each in found:
        if not is_sink(each):
            said = f"{place}: {shown(each)} is not a sink"
            raise SinkError(with_hint(said, _sink_meant(each) or _missing(each)))
    return found


def is_sink(value: object) -> bool:
    """Whether a value has what every sink has."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in SINK_MEMBERS)


def _sink_meant(value: Any) -> str | None:
    if isinstance(value, type):
        return f"call it: {value.__name__}(...)"
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        if value.startswith(("http://", "https://")):
            return f'write mt.sinks.Webhook("{value}")'
        if "@" in value:
            return f'write mt.sinks.Email("{value}", server=..., sender=...)'
        sink = _SINKS_BY_SUFFIX.get(os.path.splitext(value)[1].lower(), "Parquet")
        return f'write mt.sinks.{sink}("{value}")'
    if isinstance(value, Mapping):
        return "write the sinks of one output as mt.output(name, pipeline, sinks=[...])"
    if callable(value):
        return f"write mt.sinks.Callback({shown(value)})"
    return None


def _missing(value: object) -> str:
    missing = [name for name in SINK_MEMBERS if not hasattr(value, name)]
    return f"it lacks {', '.join(missing)}: see mt.Sink"


def label(part: object) -> str:
    """A source or a sink as a few words: its repr, if it defines one."""
    own = type(part).__repr__ is not object.__repr__
    return repr(part) if own else type(part).__name__


def not_yet(place: str, **given: bool) -> None:
    """Refuse parameters that are planned but not implemented."""
    for name, used in given.items():
        if used:
            raise PlanError(f"{place}: {name}= is not there yet")
