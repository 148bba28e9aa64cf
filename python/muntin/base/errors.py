"""Every error that muntin raises. Each is a `MuntinError` and a fitting builtin exception.

A message is lower case without a full stop, names the offending value and its place, and ends in
a line `hint: ...` if the user can do something about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any

_LISTED_MAX = 12


class MuntinError(Exception):
    """Base class of every error raised by muntin."""


class PlanError(MuntinError, ValueError):
    """A pipeline, an output or a rule cannot be built as written."""


class DurationError(PlanError):
    """A duration is not one, does not fit its place, or is too long for 64 bits."""


class ColumnError(PlanError, KeyError):
    """A column does not exist, or exists twice."""

    def __str__(self) -> str:
        """The message itself, where `KeyError` would put it in quotes."""
        return str(self.args[0]) if self.args else ""


class ExpressionError(PlanError):
    """An expression, or SQL text in place of one, means nothing or is not supported."""


class SchemaError(MuntinError, TypeError):
    """Types do not go together: of columns, of an expression, or of a batch and its plan."""


class DataError(MuntinError, ValueError):
    """A batch cannot be taken as it is; nothing of it was counted."""


class RowError(MuntinError, IndexError):
    """A table has no row of that number."""


class MissingName(MuntinError, AttributeError):
    """An object has no method or attribute of that name; the hint says what to write."""


class PartitionError(MuntinError, ValueError):
    """A partition was not declared, or its data contradict what was declared."""


class SnapshotError(MuntinError, ValueError):
    """A snapshot is damaged, of another version, or of another plan."""


class PipelineChanged(SnapshotError):
    """A snapshot is of another pipeline than the one it is to go on with."""


class EngineError(MuntinError, RuntimeError):
    """The engine failed in the middle of a step and takes no more rows."""


class RuleError(MuntinError, RuntimeError):
    """A rule's function raised, or gave no proper answer. The step it was part of is complete.

    Attributes:
        rule: the rule's name.
        result: what the step gave, without the rule's verdicts for that batch: a `Result`.
    """

    def __init__(self, message: str, *, rule: str, result: Any) -> None:
        """The message, and what a caller may want to go on with."""
        super().__init__(message)
        self.rule = rule
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with its attributes."""
        return partial(RuleError, rule=self.rule, result=self.result), self.args


class SourceError(MuntinError, OSError):
    """A source cannot be read."""


class SinkError(MuntinError, OSError):
    """A sink cannot be written."""


class MissingExtra(MuntinError, ImportError):
    """A feature needs an optional dependency that is not installed."""


def with_hint(message: str, hint: str | None) -> str:
    """The message, and on a line of its own the hint, if there is one.

    >>> print(with_hint("no size", 'say size="1m"'))
    no size
    hint: say size="1m"
    """
    return f"{message}\nhint: {hint}" if hint else message


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint for a misspelt word: the closest known one, else all of them if they are few.

    >>> did_you_mean("amout", ["amount", "card"])
    'did you mean "amount"?'
    """
    words = list(known)
    lower = {w.lower(): w for w in reversed(words)}
    close = get_close_matches(word.lower(), lower, n=1)
    if close:
        return f'did you mean "{lower[close[0]]}"?'
    if words and len(words) <= _LISTED_MAX:
        return "there is " + ", ".join(words)
    return None


def unknown(kind: str, word: str, known: Iterable[str], place: str = "") -> str:
    """The message for a word that is not among the known ones.

    >>> print(unknown("column", "amout", ["amount", "card"], "filter"))
    filter: unknown column "amout"
    hint: did you mean "amount"?
    """
    start = f"{place}: " if place else ""
    return with_hint(f'{start}unknown {kind} "{word}"', did_you_mean(word, known))


def _public(error: type[MuntinError]) -> None:
    """Show an error in tracebacks under the name by which a user catches it: `muntin.DataError`."""
    error.__module__ = "muntin"
    for kind in error.__subclasses__():
        _public(kind)


_public(MuntinError)
