"""`ask` and `peek`: which pipelines allow one result per row, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muntin.base.errors import DataError, with_hint
from muntin.engine.result import Answer
from muntin.values.table import Table, table_of

# reasons that make one feature null, but not the row invalid
_OF_A_FEATURE = {"sum_overflow"}


def why_not_row_by_row(
    facts: Sequence[Mapping[str, Any]], outputs: Mapping[str, int], input: int
) -> str | None:
    """Why the only output does not give one row for each row of an input; None if it does.

    A filter may drop the row; then the answer has no row. `outputs` has the node of each output.

    >>> facts = [{"rows_per_row": [0], "answers_later": "silent fires by the clock"}]
    >>> why_not_row_by_row(facts, {"quiet": 0}, 0)
    'silent fires by the clock'
    """
    if len(outputs) > 1:
        return f"there are several outputs, {', '.join(outputs)}"
    fact = facts[next(iter(outputs.values()))]
    if reason := fact["answers_later"]:
        return str(reason)
    rows = fact["rows_per_row"][input]
    if rows == 1:
        return None
    return "the output does not read this input" if rows == 0 else f"it gives {rows} rows"


def answer(step: Any, input: int) -> Answer:
    """The answer for a row, from the result of its step.

    A feature that cannot be computed, such as a sum that does not fit its column, is null and
    listed in `notes`: the row itself counts, and its other features are known.

    Raises:
        DataError: the row itself is invalid.
    """
    notes = _records(step.invalid[input])
    for reason, operator in notes:
        if reason not in _OF_A_FEATURE:
            message = f"the row is invalid: {reason} in {operator}"
            raise DataError(with_hint(message, "stats and the invalid rows count it"))
    rows = Table([step.outputs[0]]).to_dicts()
    alerts = tuple(Table([step.alerts]).to_dicts()) if step.alerts.num_rows else ()
    live = [alert for alert in alerts if not alert["shadow"]]
    return Answer(
        row=rows[0] if rows else None,
        hits=tuple(alert["rule"] for alert in live),
        score=sum(alert["score"] for alert in live),
        alerts=alerts,
        late=step.late[input].num_rows > 0,
        notes=tuple(f"{reason} in {operator}" for reason, operator in notes),
    )


def _records(invalid: Any) -> list[tuple[str, str]]:
    if not invalid.num_rows:
        return []
    # the row's own columns are not converted: they may have any type
    records = table_of(invalid).select(["reason", "operator"]).to_pylist()
    return [(record["reason"], record["operator"]) for record in records]
