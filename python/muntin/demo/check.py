"""Batch says the same: one DuckDB query for each output, on the same lines.

`lines` is the table of till lines with `seq`, the order in which they came; it is sorted by time.
Each query gives the columns of its output, in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from muntin.errors import MissingExtra, with_hint
from muntin.result import Table

_ORDERED = """
    SELECT *, epoch_us(sold) AS us,
           row_number() OVER (PARTITION BY household, sold ORDER BY seq) - 1 AS peer
    FROM lines
"""

# A row's own window reaches up to itself, and not to the lines of the same second behind it. The
# frame needs one number that orders both: microseconds since the first line, and the peer's
# number in the low 16 bits.
_HOUSEHOLDS = f"""
    WITH ordered AS ({_ORDERED}),
    placed AS (
        SELECT *, (us - min(us) OVER ()) * 65536 + peer AS place FROM ordered
    )
    SELECT sold, household, store, basket, product, quantity, cents,
           (sum(cents) OVER short)::BIGINT AS spent_10m, (sum(cents) OVER long)::BIGINT AS spent_1h,
           count(DISTINCT store) OVER short AS stores_10m,
           count(DISTINCT store) OVER long AS stores_1h,
           count(DISTINCT basket) OVER short AS baskets_10m,
           count(DISTINCT basket) OVER long AS baskets_1h
    FROM placed
    WINDOW short AS (PARTITION BY household ORDER BY place
                     RANGE BETWEEN (599999999 * 65536::BIGINT + peer) PRECEDING AND CURRENT ROW),
           long AS (PARTITION BY household ORDER BY place
                    RANGE BETWEEN (3599999999 * 65536::BIGINT + peer) PRECEDING AND CURRENT ROW)
"""

_PER_MINUTE = """
    SELECT store, time_bucket(INTERVAL 1 minute, sold) AS window_start,
           time_bucket(INTERVAL 1 minute, sold) + INTERVAL 1 minute AS window_end,
           count(*) AS lines, sum(cents)::BIGINT AS revenue
    FROM lines GROUP BY ALL
"""

_QUARTER_HOURS = """
    WITH minutes AS (
        SELECT store, time_bucket(INTERVAL 1 minute, sold) AS minute,
               count(*) AS lines, sum(cents)::BIGINT AS revenue
        FROM lines GROUP BY ALL
    )
    SELECT store, minute - to_minutes(back) AS window_start,
           minute - to_minutes(back) + INTERVAL 15 minutes AS window_end,
           sum(lines)::BIGINT AS lines, sum(revenue)::BIGINT AS revenue
    FROM minutes, range(15) AS steps(back) GROUP BY ALL
"""

_SESSIONS = """
    WITH marked AS (
        SELECT *, sold - lag(sold) OVER (PARTITION BY household ORDER BY seq) <= INTERVAL 30 minutes
                  AS goes_on
        FROM lines
    ),
    numbered AS (
        SELECT *, count(*) FILTER (WHERE goes_on IS NOT TRUE)
                  OVER (PARTITION BY household ORDER BY seq) AS session
        FROM marked
    )
    SELECT household, min(sold) AS window_start, max(sold) + INTERVAL 30 minutes AS window_end,
           max(sold) AS last_event_time, count(*) AS lines, sum(cents)::BIGINT AS revenue,
           count(DISTINCT store) AS stores
    FROM numbered GROUP BY household, session
"""

_BASKETS = """
    WITH baskets AS (
        SELECT household, basket, min(sold) AS window_start,
               max(sold) + INTERVAL 1 minute AS window_end, max(sold) AS last_event_time,
               count(*) AS lines, sum(cents)::BIGINT AS total
        FROM lines GROUP BY household, basket
    )
    SELECT *, count(*) OVER usual AS before, (sum(total) OVER usual)::BIGINT AS spent_before
    FROM baskets
    WINDOW usual AS (PARTITION BY household ORDER BY window_end
                     RANGE BETWEEN INTERVAL '90 days' - INTERVAL 1 microsecond PRECEDING
                     AND CURRENT ROW EXCLUDE CURRENT ROW)
"""

# A store is reported when the clock, a minute behind the newest line, has passed its last line by
# more than seven days before its next line comes.
_QUIET_STORES = """
    WITH clocked AS (
        SELECT *, max(sold) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                  - INTERVAL 1 minute AS clock
        FROM lines
    ),
    nexts AS (
        SELECT store, sold, lead(seq) OVER of_store AS next, lead(clock) OVER of_store AS clock_then
        FROM clocked WINDOW of_store AS (PARTITION BY store ORDER BY seq)
    )
    SELECT store, sold AS window_start, sold + INTERVAL 168 hours AS window_end,
           sold AS last_event_time
    FROM nexts WHERE next IS NULL OR clock_then > sold + INTERVAL 168 hours
"""

QUERIES = {
    "per_minute": _PER_MINUTE,
    "quarter_hours": _QUARTER_HOURS,
    "households": _HOUSEHOLDS,
    "sessions": _SESSIONS,
    "baskets": _BASKETS,
    "quiet_stores": _QUIET_STORES,
}


@dataclass(frozen=True, slots=True)
class Check:
    """An output compared with its query: rows on each side, and rows without a twin."""

    windows: int
    batch: int
    differences: int


class Batch:
    """The till lines in DuckDB, ready to be asked.

    Raises:
        MissingExtra: DuckDB is not installed.
    """

    def __init__(self, lines: Any) -> None:
        """Load the lines, a `pyarrow.Table` in the order in which they came."""
        try:
            import duckdb
        except ImportError as error:
            hint = 'pip install "muntin[demo]"'
            raise MissingExtra(with_hint("duckdb is not installed", hint)) from error
        self._db: Any = duckdb.connect()
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.register("incoming", lines)
        self._db.execute(
            "CREATE TABLE lines AS SELECT *, row_number() OVER () AS seq FROM incoming"
        )

    def compare(self, name: str, rows: Table) -> Check:
        """Count the rows that an output and its query do not have in common."""
        self._db.register("streamed", rows.to_arrow())
        self._db.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {QUERIES[name]}")
        columns = ", ".join(f'"{column}"' for column in rows.columns)
        # each row counts +1 in batch and -1 in what was streamed; twins cancel out
        counted = self._db.execute(
            f"""
            WITH sides AS (
                SELECT {columns}, 1 AS side FROM batch
                UNION ALL SELECT {columns}, -1 FROM streamed
            ),
            twins AS (SELECT {columns}, sum(side) AS over FROM sides GROUP BY ALL)
            SELECT (SELECT count(*) FROM batch),
                   coalesce(sum(over) FILTER (WHERE over > 0), 0)::BIGINT,
                   coalesce(-sum(over) FILTER (WHERE over < 0), 0)::BIGINT
            FROM twins
            """
        ).fetchall()
        self._db.unregister("streamed")
        batch, only_batch, only_streamed = counted[0]
        return Check(len(rows), batch, max(only_batch, only_streamed))
