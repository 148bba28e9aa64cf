"""Rules that are Python functions: their input, the allowed results, and their failures.

If a function fails, the step completes without results of that rule for that batch, and the
operator continues.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from muntin.base.errors import DataError, RuleError, with_hint
from muntin.engine.result import Result
from muntin.pipeline.rules import Rule
from muntin.values.table import Table, is_arrow

_log = logging.getLogger("muntin.rules")

_HINT = (
    "return one boolean per row: an Arrow array, a NumPy array, a Polars or pandas series, a list"
)


def asking(rule: Rule) -> Callable[[Any], Any]:
    """A rule's function as the engine calls it: Arrow batches in, a boolean Arrow array out.

    >>> from muntin import rule
    >>> high = rule("high")(lambda batch: [n > 2 for n in batch["n"].to_pylist()])
    >>> asking(high)(pa.table({"n": [1, 3]})).to_pylist()
    [False, True]
    """
    function: Any = rule.when

    def ask(batches: Any) -> Any:
        table = Table([batches])
        return booleans(function(table), len(table))

    return ask


def booleans(answer: Any, rows: int) -> Any:
    """Convert a function's result to a boolean Arrow array, one value per row; null does not fire.

    Raises:
        DataError: it is something else, or has another length.

    >>> booleans([True, None], 2)
    <pyarrow.lib.BooleanArray object at ...>
    [
      true,
      null
    ]
    """
    array = _array(answer)
    if pa.types.is_null(array.type):
        array = array.cast(pa.bool_())
    if not pa.types.is_boolean(array.type):
        raise DataError(with_hint(f"the answer is of {array.type}, not of booleans", _HINT))
    if len(array) != rows:
        values = f"{len(array):,} value{'s' if len(array) != 1 else ''}"
        raise DataError(with_hint(f"the answer has {values} for {rows:,} rows", _HINT))
    return array


def _array(answer: Any) -> Any:
    try:
        if isinstance(answer, list | tuple):
            return pa.array(answer)
        if is_arrow(answer):
            if hasattr(answer, "__arrow_c_stream__"):
                return pa.chunked_array(answer).combine_chunks()
            return pa.array(answer)
        if getattr(answer, "ndim", 0) == 1:
            return pa.array(answer)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(with_hint(f"the answer is not a column: {error}", _HINT)) from error
    shape = getattr(answer, "shape", None)
    shown = f"of type {type(answer).__name__}" + (f" and shape {shape}" if shape else "")
    raise DataError(with_hint(f"the answer is {shown}", _HINT))


def settle(
    failures: Sequence[tuple[int, BaseException]],
    rules: Sequence[Rule],
    result: Result,
    known: set[str],
) -> None:
    """Log or raise the exceptions of rules' functions in a completed step.

    Args:
        failures: the number of each function, and what it raised.
        rules: the rules by the numbers of their functions.
        result: the step's result, which the error carries.
        known: names of rules whose failure was already logged; updated.

    Raises:
        RuleError: a rule without `on_error="skip"` failed.
        BaseException: an interrupt or an exit, as it was raised.
    """
    raised: list[RuleError] = []
    for number, error in failures:
        if not isinstance(error, Exception):
            raise error
        rule = rules[number]
        if rule.on_error == "skip":
            _skipped(rule, error, known)
            continue
        hint = 'fix the function, or set on_error="skip" to continue without its result'
        failed = RuleError(
            with_hint(_failure_text(rule, error), hint), rule=rule.name, result=result
        )
        failed.__cause__ = error
        raised.append(failed)
    if raised:
        first, *others = raised
        for other in others:
            first.add_note(f"in the same step: {other}")
        raise first


def _skipped(rule: Rule, error: Exception, known: set[str]) -> None:
    level = logging.DEBUG if rule.name in known else logging.WARNING
    message = '%s; this batch has no result of the rule, stats["failed"] counts such batches'
    _log.log(level, message, _failure_text(rule, error), exc_info=error)
    known.add(rule.name)


def _failure_text(rule: Rule, error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be shown"
    start = f'rule "{rule.name}": '
    if isinstance(error, DataError):
        return start + text.partition("\nhint: ")[0]
    return f"{start}the function raised {type(error).__name__}{f': {text}' if text else ''}"
