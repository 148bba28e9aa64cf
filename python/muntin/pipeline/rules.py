"""Rules: a condition on the rows of an output, and the alert it raises."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal, TypeAlias, get_args, overload

from muntin.base.arguments import flag, one_of, several, shown
from muntin.base.durations import I64_MAX, Duration, Span
from muntin.base.durations import parse as parse_duration
from muntin.base.errors import ColumnError, PlanError, did_you_mean, unknown, with_hint
from muntin.expr.build import Column, Expr, resolve
from muntin.pipeline.messages import columns_of
from muntin.values.literals import Json, quote, text

Mask: TypeAlias = Callable[[Any], object]
"""A function of a `Table` that gives one boolean a row."""

OnError: TypeAlias = Literal["raise", "skip"]
"""What happens if a rule's function fails."""

SEVERITIES = ("info", "warning", "critical")
_FORMAT = re.compile(r",?(\.\d{1,2}[f%])?|,?[df%]")


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Rule:
    """A condition on the rows of an output; make it with `rule`.

    >>> rule("large", "amount > 500", severity="critical").severity
    'critical'
    """

    name: str
    when: Expr | str | Mask
    by: tuple[str, ...] | None = None
    severity: str = "warning"
    cooldown: Span | None = None
    message: str = ""
    score: int = 0
    version: int = 1
    shadow: bool = False
    on_error: OnError = "raise"

    def columns(self) -> tuple[str, ...]:
        """The columns its message names, in order of appearance.

        >>> rule("large", "amount > 500", message="{card}: {amount:.2f}").columns()
        ('card', 'amount')
        """
        return columns_of(self.message)

    def to_json(
        self, columns: Collection[str] | None, by: Iterable[str], mask: int | None
    ) -> dict[str, Json]:
        """The rule in a plan: `by` as settled for its output, `mask` the number of its function.

        Raises `ColumnError` if the condition, the message or `by` names an unknown column.

        >>> rule("large", "amount > 500").to_json(["amount", "card"], ["card"], None)["by"]
        ['card']
        """
        place = f'rule "{self.name}"'
        when: Json = {"mask": mask}
        if isinstance(self.when, Expr | str):
            when = resolve(self.when, columns, place).to_json()
        keys = list(by)
        for column in (*keys, *self.columns()):
            if columns is not None and column not in columns:
                raise ColumnError(unknown("column", column, columns, place))
        return {
            "name": self.name,
            "when": when,
            "by": [*keys],
            "severity": self.severity,
            "cooldown": None if self.cooldown is None else self.cooldown.us,
            "message": self.message,
            "score": self.score,
            "version": self.version,
            "shadow": self.shadow,
        }

    def _key(self) -> tuple[object, ...]:
        when = self.when.key() if isinstance(self.when, Expr) else self.when
        cooldown = None if self.cooldown is None else self.cooldown.us
        message = (self.by, self.severity, cooldown, self.message, self.score)
        return (self.name, when, *message, self.version, self.shadow, self.on_error)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Rule) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        when = quote(self.when) if isinstance(self.when, str) else repr(self.when)
        parts = [quote(self.name), when]
        if self.by is not None:
            parts.append(f"by={list(self.by)}")
        if self.severity != "warning":
            parts.append(f"severity={quote(self.severity)}")
        if self.cooldown is not None:
            parts.append(f"cooldown={quote(self.cooldown.text)}")
        parts += [f"message={quote(self.message)}"] if self.message else []
        parts += [f"score={self.score}"] if self.score else []
        parts += [f"version={self.version}"] if self.version != 1 else []
        parts += ["shadow=True"] if self.shadow else []
        parts += [f"on_error={quote(self.on_error)}"] if self.on_error != "raise" else []
        return f"rule({', '.join(parts)})"


@overload
def rule(
    name: str,
    when: Expr | str,
    *,
    by: str | Iterable[str] | None = None,
    severity: str = "warning",
    cooldown: Duration | None = None,
    message: str = "",
    score: int = 0,
    version: int = 1,
    shadow: bool = False,
    evidence: int = 0,
    on_error: OnError = "raise",
) -> Rule: ...


@overload
def rule(
    name: str,
    *,
    by: str | Iterable[str] | None = None,
    severity: str = "warning",
    cooldown: Duration | None = None,
    message: str = "",
    score: int = 0,
    version: int = 1,
    shadow: bool = False,
    evidence: int = 0,
    on_error: OnError = "raise",
) -> Callable[[Mask], Rule]: ...


def rule(
    name: str,
    when: Expr | str | None = None,
    *,
    by: str | Iterable[str] | None = None,
    severity: str = "warning",
    cooldown: Duration | None = None,
    message: str = "",
    score: int = 0,
    version: int = 1,
    shadow: bool = False,
    evidence: int = 0,
    on_error: OnError = "raise",
) -> Rule | Callable[[Mask], Rule]:
    """A rule: it fires on each row of its output where the condition is true.

    `when` is an expression or SQL text over the columns of the output; a null does not fire.
    Left out, `rule(...)` decorates a function that takes the rows as a `Table` and gives one
    boolean a row: an Arrow array, a NumPy array, a Polars or pandas series, or a list. If it
    raises, or gives something else, the step is complete without its verdict for these rows. With
    `on_error="raise"` the call then raises `RuleError`, which has the step's result, and a run
    ends; with "skip" it is logged and counted in `stats["failed"]`. The function must not call the
    operator, and must not wait for a thread that does.
    `by` says whose cooldown it is; it may be left out where the pipeline has one key.
    After it fired, the rule is silent for that key for `cooldown` of event time. `message` may
    name columns: `{card}`, `{spent:.2f}`, `{n:,}`. `severity` is `info`, `warning` or `critical`.
    `score` adds up over the rules that hit a row, `version` travels with the alerts, and a
    `shadow` rule is recorded without alerting anybody.

    Raises `PlanError` for wrong parameters, `ExpressionError` for text that does not parse.

    >>> rule("burst", "n_1m >= 5", by="card", cooldown="10m", message="{card}: {n_1m} payments")
    rule("burst", "n_1m >= 5", by=['card'], cooldown="10m", message="{card}: {n_1m} payments")

    >>> @rule("round", by="card")
    ... def is_round(batch):
    ...     return [amount % 100 == 0 for amount in batch["amount"].to_pylist()]
    """
    place = _name(name)
    _check_numbers(place, score, version, evidence)
    if severity not in SEVERITIES:
        hint = did_you_mean(str(severity), SEVERITIES)
        known = "info, warning or critical"
        raise PlanError(with_hint(f"{place}: severity {shown(severity)} is not {known}", hint))
    _check_message(place, message)
    one_of(on_error, get_args(OnError), f"{place}: on_error")
    flag(shadow, f"{place}: shadow")
    keys = None if by is None else _keys(by, place)
    span = None if cooldown is None else parse_duration(cooldown, f"{place}: cooldown")

    def make(condition: Expr | str | Mask) -> Rule:
        made = (name, condition, keys, severity, span, message, score, version, bool(shadow))
        return Rule(*made, on_error)

    if when is None:
        return lambda function: make(_function(function, place))
    if not isinstance(when, Expr | str):
        hint = f'a function is decorated: @mt.rule("{name}")'
        if not callable(when):
            hint = 'write SQL text, or an expression: col("n") > 5'
        raise PlanError(with_hint(f"{place}: {shown(when)} is not a condition", hint))
    # Parsed once without the columns, so that wrong text is an error on the user's line.
    resolve(when, None, place)
    return make(when)


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise PlanError(f"a rule needs a name, not {name!r}")
    return f'rule "{text(name, "rule()")}"'


def _keys(by: Any, place: str) -> tuple[str, ...]:
    names = (by,) if isinstance(by, str | Expr) else several(by, f"{place}: by", "columns")
    for name in names:
        if not isinstance(name, str):
            hint = f"write by={quote(name.name)}" if isinstance(name, Column) else None
            message = f"{place}: by={shown(name)} is not the name of a column"
            raise PlanError(with_hint(message, hint))
    return names


def _function(function: Mask, place: str) -> Mask:
    if not callable(function):
        hint = "write @mt.rule(...) above a function, or mt.rule(name, condition)"
        raise PlanError(with_hint(f"{place}: {shown(function)} is not a function", hint))
    return function


def _check_numbers(place: str, score: int, version: int, evidence: int) -> None:
    for word, value, least in (("score", score, -I64_MAX), ("version", version, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= I64_MAX:
            hint = f"it is a whole number of at least {least}" if word == "version" else None
            raise PlanError(with_hint(f"{place}: {word}={value!r} is not a whole number", hint))
    if evidence != 0:
        raise PlanError(f"{place}: evidence={evidence!r} is not there yet")


def _check_message(place: str, message: str) -> None:
    try:
        parts = list(Formatter().parse(text(message, f"{place}: message")))
    except ValueError as error:
        hint = "a brace itself is written twice: {{ or }}"
        raise PlanError(with_hint(f"{place}: message {message!r}: {error}", hint)) from None
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if not field:
            raise PlanError(f"{place}: message {message!r}: {{}} names no column")
        if conversion or "{" in (form or "") or not _FORMAT.fullmatch(form or ""):
            problem = f"{{{field}{'!' + conversion if conversion else ''}:{form}}}"
            hint = "formats are {x}, {x:,}, {x:.2f}, {x:,.2f}, {x:d} and {x:.1%}"
            raise PlanError(with_hint(f"{place}: message {message!r}: format of {problem}", hint))
