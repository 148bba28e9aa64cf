"""The workloads as SQL, for DuckDB and DataFusion."""

from __future__ import annotations

from dataclasses import dataclass

from benches.workloads import Workload

FUNCTIONS = {
    "n": "count(*)",
    "s": "sum(val)",
    "lo": "min(val)",
    "hi": "max(val)",
    "d": "count(distinct item)",
}


@dataclass(frozen=True)
class Dialect:
    """What differs: the start of a window, and the starts of all windows over an event."""

    bucket: str
    series: str
    length: str = "interval '{} seconds'"
    before: str = "interval '{} microseconds'"


def query(workload: Workload, dialect: Dialect) -> str:
    """The workload over the table `data`."""
    by = ", ".join(workload.by)
    wanted = ", ".join(f"{FUNCTIONS[name]} as {name}" for name in workload.aggregates)
    source = "data"
    if workload.data.kind == "ads":
        source = "(select ts, ad - ad % 10 as key from data where event = 'view')"
    match workload.kind:
        case "tumbling":
            bucket = dialect.bucket.format(dialect.length.format(workload.size))
            return f"select {bucket} as start, {by}, {wanted} from {source} group by 1, {by}"
        case "hopping":
            every = dialect.length.format(workload.every)
            starts = dialect.series.format(
                first=f"{dialect.bucket.format(every)} - "
                + dialect.length.format(workload.size - workload.every),
                last=dialect.bucket.format(every),
                every=every,
            )
            return (
                f"select start, {by}, {wanted} from (select *, unnest({starts}) as start"
                f" from {source}) group by start, {by}"
            )
        case "session":
            return _sessions(workload, dialect, by, wanted, source)
        case "sliding":
            return _sliding(workload, dialect, by)


def _sessions(workload: Workload, dialect: Dialect, by: str, wanted: str, source: str) -> str:
    gap = dialect.length.format(workload.size)
    return f"""
        with marked as (
            select *, case when ts - lag(ts) over w <= {gap} then 0 else 1 end as begins
            from {source} window w as (partition by {by} order by ts)
        ), numbered as (
            select *, sum(begins) over (partition by {by} order by ts
                rows between unbounded preceding and current row) as session from marked
        )
        select {by}, session, min(ts) as start, max(ts) as last, {wanted}
        from numbered group by {by}, session"""


def _sliding(workload: Workload, dialect: Dialect, by: str) -> str:
    many, columns, windows = len(workload.sizes) > 1, [], []
    for size in workload.sizes:
        before = dialect.before.format(size * 1_000_000 - 1)
        windows.append(
            f"w{size} as (partition by {by} order by ts"
            f" range between {before} preceding and current row)"
        )
        columns += [
            f"{FUNCTIONS[name]} over w{size} as {f'{name}_{size}' if many else name}"
            for name in workload.aggregates
        ]
    return f"select ts, {by}, {', '.join(columns)} from data window {', '.join(windows)}"
