"""Are the outputs equal? They are brought into one order and one type, then compared by column."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from benches.workloads import Workload

__all__ = ["canonical", "difference", "totals", "totals_differ"]

RELATIVE = 1e-9  # of sums of floating-point numbers, whose order differs from peer to peer
SHOWN = 5


def canonical(workload: Workload, table: pa.Table) -> pa.Table:
    """The columns that are compared, in one type each, sorted."""
    columns = {}
    for name in (*workload.identity, *(("last",) if workload.kind == "session" else ())):
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        elif not pa.types.is_integer(column.type):
            column = column.cast(pa.string())
        columns[name] = column
    for name in workload.values:
        integers = name[0] in "nd"
        columns[name] = table[name].cast(pa.int64() if integers else pa.float64())
    order = [(name, "ascending") for name in columns if name not in workload.values]
    return pa.table(columns).sort_by(order).combine_chunks()


def difference(workload: Workload, ours: pa.Table, theirs: pa.Table) -> str | None:
    """Which rows differ, or None. Both tables are canonical."""
    identity = [name for name in ours.column_names if name not in workload.values]
    mine, other = ours.select(identity), theirs.select(identity)
    if not mine.equals(other):
        left, right = ({tuple(r.values()) for r in t.to_pylist()} for t in (mine, other))
        missing, more = sorted(left - right), sorted(right - left)
        return (
            f"{len(ours):,} and {len(theirs):,} rows; not in its output: {len(missing):,}, such as "
            f"{missing[:SHOWN]}; only there: {len(more):,}, such as {more[:SHOWN]}"
        )
    for name in workload.values:
        a, b = ours[name], theirs[name]
        if pa.types.is_integer(a.type):
            bad = pc.not_equal(a, b)
        else:
            bound = pc.add(pc.multiply(pc.abs(a), RELATIVE), RELATIVE)
            bad = pc.greater(pc.abs(pc.subtract(a, b)), bound)
        bad = pc.fill_null(bad, True)
        if count := pc.sum(bad).as_py():
            rows = [table.filter(bad).slice(0, SHOWN).to_pylist() for table in (ours, theirs)]
            return f"{count:,} rows differ in {name}: {rows[0]} and {rows[1]}"
    return None


def totals(workload: Workload, table: pa.Table) -> dict[str, float]:
    """The number of rows, and the sum of each result."""
    sums = {name: pc.sum(table[name]).as_py() or 0 for name in workload.values}
    return {"rows": len(table), **sums}


def totals_differ(ours: dict[str, float], theirs: dict[str, float]) -> str | None:
    """Which totals differ by more than the rounding of sums."""
    for name, mine in ours.items():
        other = theirs[name]
        if abs(mine - other) > RELATIVE * 1_000 * abs(mine):
            return f"the total of {name} is {other:,}; muntin's is {mine:,}"
    return None
