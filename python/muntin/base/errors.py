"""Every error that muntin raises. Each is a `MuntinError` and a fitting builtin exception.

A message is lower case without a full stop, names the offending value and its place, and ends in
a line `hint: ...` if the user can do something about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal, TypeAlias

_LISTED_MAX = 12


class MuntinError(Exception):
    """Base class of every error raised by muntin.

    >>> import muntin as mt
    >>> try:
    ...     mt.stream(time="at", out_of_order="soon")
    ... except mt.MuntinError as error:
    ...     print(type(error).__name__)
    DurationError
    """


class PlanError(MuntinError, ValueError):
    """A pipeline, an output or a rule cannot be built as written.

    >>> import muntin as mt
    >>> mt.stream(time="at", out_of_order="0s").select()
    Traceback (most recent call last):
        ...
    muntin.PlanError: select: no column
    """


class DurationError(PlanError):
    """Text that is not a duration, or a duration that is too long or does not fit its place.

    >>> import muntin as mt
    >>> mt.stream(time="at", out_of_order="5 parsecs")
    Traceback (most recent call last):
        ...
    muntin.DurationError: ...
    """


class ColumnError(PlanError, KeyError):
    """A column does not exist, or exists twice.

    >>> import muntin as mt
    >>> mt.stream(time="at", out_of_order="0s", schema={"at": "date"}).select("tat")
    Traceback (most recent call last):
        ...
    muntin.ColumnError: select: unknown column "tat"
    hint: did you mean "at"?
    """

    def __str__(self) -> str:
        """The message itself, where `KeyError` would put it in quotes."""
        return str(self.args[0]) if self.args else ""


class ExpressionError(PlanError):
    """An expression or SQL text that cannot be read, or is not supported.

    >>> import muntin as mt
    >>> mt.sql("amount = null")
    Traceback (most recent call last):
        ...
    muntin.ExpressionError: sql(): a comparison with null is never true in 'amount = null'
    hint: write x is null
    """


class SchemaError(MuntinError, TypeError):
    """The types of columns, of an expression, or of a batch and its plan do not match.

    >>> import muntin as mt
    >>> mt.stream(time="at", out_of_order="0s", schema={"at": "daet"})
    Traceback (most recent call last):
        ...
    muntin.SchemaError: ...
    """


class DataError(MuntinError, ValueError):
    """A batch is refused; none of its rows was counted.

    >>> import muntin as mt
    >>> days = mt.stream(time="at", out_of_order="0s", schema={"at": "date"})
    >>> mt.operator(days).push("2024-05-01")
    Traceback (most recent call last):
        ...
    muntin.DataError: a str is not a batch of rows
    hint: ...
    """


class RowError(MuntinError, IndexError):
    """A table has no row of that number.

    >>> import muntin as mt
    >>> mt.Table([])[3]
    Traceback (most recent call last):
        ...
    muntin.RowError: row 3 of a table of 0 rows
    """


class MissingName(MuntinError, AttributeError):
    """An object has no method or attribute of that name; the hint says what to write.

    >>> import muntin as mt
    >>> mt.len
    Traceback (most recent call last):
        ...
    muntin.MissingName: muntin has no "len"
    hint: write mt.count()
    """


class PartitionError(MuntinError, ValueError):
    """A partition was not declared, or its data contradict what was declared.

    >>> import muntin as mt
    >>> op = mt.operator(mt.stream(time="at", out_of_order="0s", schema={"at": "date"}))
    >>> op.open(partition=0)
    Traceback (most recent call last):
        ...
    muntin.PartitionError: ...
    """


class SnapshotError(MuntinError, ValueError):
    """A snapshot is damaged, of another version, or of another plan.

    >>> import muntin as mt
    >>> days = mt.stream(time="at", out_of_order="0s", schema={"at": "date"})
    >>> mt.operator(days, snapshot=b"no snapshot")
    Traceback (most recent call last):
        ...
    muntin.SnapshotError: ...
    """


class PipelineChanged(SnapshotError):
    """A snapshot of one pipeline was given to another one.

    >>> import muntin as mt
    >>> days = mt.stream(time="at", out_of_order="0s", schema={"at": "date"})
    >>> state = mt.operator(days.tumbling("1d").agg(n=mt.count())).snapshot()
    >>> mt.operator(days.tumbling("2d").agg(n=mt.count()), snapshot=state)
    Traceback (most recent call last):
        ...
    muntin.PipelineChanged: the snapshot is of another pipeline (- of the snapshot, + of now)
      - .tumbling("1d").agg(n=count())
      + .tumbling("2d").agg(n=count())
    ...
    """


class EngineError(MuntinError, RuntimeError):
    """The engine failed in the middle of a step and takes no more rows.

    >>> import muntin as mt
    >>> days = mt.stream(time="at", out_of_order="0s", schema={"at": "date"})
    >>> @mt.rule("calls itself")
    ... def calls(batch): return op.finish()
    >>> op = mt.operator(days, rules=[calls])
    >>> try:
    ...     op.push([{"at": "2024-05-01"}])
    ... except mt.RuleError as error:
    ...     print(type(error.__cause__).__name__)
    EngineError
    """


class RuleError(MuntinError, RuntimeError):
    """The function of a rule raised or returned something unusable; its step is complete.

    Attributes:
        rule: the rule's name.
        result: the step's `Result`, without the alerts of this rule for that batch.

    >>> import muntin as mt
    >>> days = mt.stream(time="at", out_of_order="0s", schema={"at": "date"})
    >>> @mt.rule("broken")
    ... def broken(batch): return [1 / 0]
    >>> try:
    ...     mt.collect(days, [{"at": "2024-05-01"}], rules=[broken])
    ... except mt.RuleError as error:
    ...     print(error.rule, len(error.result.rows))
    broken 1
    """

    def __init__(self, message: str, *, rule: str, result: Any) -> None:
        """Keep the rule's name and the result, so that the caller can use them."""
        super().__init__(message)
        self.rule = rule
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with its attributes."""
        return partial(RuleError, rule=self.rule, result=self.result), self.args


class SourceError(MuntinError, OSError):
    """A source cannot be read.

    >>> import muntin as mt
    >>> mt.sources.source_of("rows.csv")
    Traceback (most recent call last):
        ...
    muntin.SourceError: the path "rows.csv" is not a source
    hint: write mt.sources.Csv("rows.csv")
    """


class SinkError(MuntinError, OSError):
    """A sink cannot be written.

    >>> import muntin as mt
    >>> mt.sinks.Callback("print")
    Traceback (most recent call last):
        ...
    muntin.SinkError: Callback: "print" is not a function
    hint: give a function of a Table: Callback(print)
    """


CommitCause: TypeAlias = Literal["fenced", "timeout", "refused", "client"]
"""Why a commit was lost: another run with the same name took over, the brokers did not answer in
time, they refused it, or the client failed."""


class CommitLost(MuntinError):
    """A commit did not take effect, or nobody knows whether it did.

    What is in memory may be ahead of what counts: the run drops it, asks the authority again, and
    resumes from the checkpoint that counts.

    Attributes:
        cause: what kind of failure it was, for counters.
        remedy: what must be changed before it can succeed; None: it may do so the next time.
    """

    def __init__(
        self, message: str, cause: CommitCause = "refused", remedy: str | None = None
    ) -> None:
        """Keep all three."""
        super().__init__(message)
        self.cause: CommitCause = cause
        self.remedy = remedy


class MissingExtra(MuntinError, ImportError):
    """A feature needs an optional dependency that is not installed.

    >>> import muntin as mt
    >>> raise mt.MissingExtra("SQL text needs sqlglot")  # as where it is not installed
    Traceback (most recent call last):
        ...
    muntin.MissingExtra: SQL text needs sqlglot
    """


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
