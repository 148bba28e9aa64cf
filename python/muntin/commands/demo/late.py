"""SQL that finds which rows are late for a session.

A row is late iff a session of it alone would have closed, `judge > time + gap`, or it lies within
`gap` of a session of its key that has closed, `clock > last + gap`. Which sessions there are
depends on which rows before it were late, so no single query over all rows can say it. But only a
row that came behind the clock can be late, and those are few: they are judged in the order of
their arrival, the first of each key in one query, the second in the next, and so on.
"""

from __future__ import annotations

from typing import Any


def find_late(db: Any, table: str, keys: str, time: str, gap: str) -> None:
    """Make `late_<table>`, the `seq` of rows that no session takes.

    Args:
        db: a DuckDB connection; the table has `seq`, `judge` and `clock`.
        table: the table.
        keys: the key's columns, with commas between.
        time: the column of the event time.
        gap: the gap of the sessions, as SQL.
    """
    db.execute(f"CREATE TABLE late_{table} (seq BIGINT)")
    db.execute(
        f"""
        CREATE TEMP TABLE doubtful AS
        SELECT {keys}, seq, {time} AS moment, judge, clock,
               row_number() OVER (PARTITION BY {keys} ORDER BY seq) AS round
        FROM {table} WHERE clock > {time}
        """
    )
    (rounds,) = db.execute("SELECT coalesce(max(round), 0) FROM doubtful").fetchone()
    for number in range(1, rounds + 1):
        db.execute(_ROUND.format(table=table, keys=keys, time=time, gap=gap, round=number))
    db.execute("DROP TABLE doubtful")


# `beside` are the rows around a doubtful one that came before it and count; one of them is the
# last of its session if none follows within the gap.
_ROUND = """
    INSERT INTO late_{table}
    WITH judged AS (SELECT * FROM doubtful WHERE round = {round}),
    beside AS (
        SELECT judged.seq, judged.moment, clock, other.{time} AS last,
               lead(other.{time}) OVER (PARTITION BY judged.seq ORDER BY other.{time}) AS next
        FROM judged JOIN (SELECT {keys}, {time}, seq FROM {table}
                          ANTI JOIN late_{table} USING (seq)) AS other USING ({keys})
        WHERE other.seq < judged.seq AND other.{time} BETWEEN judged.moment - {gap} AND judged.clock
    )
    SELECT seq FROM judged WHERE judge > moment + {gap}
    UNION
    SELECT seq FROM beside
    WHERE clock > last + {gap} AND (next IS NULL OR next > last + {gap})
"""
