"""The DuckDB query that corresponds to each output.

The tables `purchases`, `simulated_views` and `simulated_devices` hold the streams, and for each row
- `seq`, its place in the order of arrival,
- `judge`, the watermark of its stream when it came, itself included: the greatest event time so
  far less the bound on disorder; and `clock`, the same before it came.

A row is late for a window iff `max(judge, clock of the window) >= end`, and `judge` alone decides:
each stream is one partition, the clock of one stream trails its judges, and the clock of a union
is the least of its streams'. So a row counts in a window iff `judge < end`. What batch leaves
out as late follows from event times and the order of arrival, not from what the engine said.
"""

from __future__ import annotations

_ACTIVITY = """
    SELECT sold AS moment, judge, store, household, cents, 'purchase' AS kind FROM purchases
    UNION ALL SELECT viewed, judge, store, household, NULL, 'simulated_view' FROM simulated_views
    UNION ALL SELECT sent, judge, store, NULL, NULL, kind FROM simulated_devices
"""

_PER_MINUTE = f"""
    SELECT store, kind, time_bucket(INTERVAL 1 minute, moment) AS window_start,
           window_start + INTERVAL 1 minute AS window_end,
           count(*) AS events, sum(cents)::BIGINT AS revenue
    FROM ({_ACTIVITY}) WHERE judge < time_bucket(INTERVAL 1 minute, moment) + INTERVAL 1 minute
    GROUP BY ALL
"""

# Lines of a minute are in fifteen windows; of those that came late, some windows have closed.
_QUARTER_HOURS = """
    WITH minutes AS (
        SELECT store, time_bucket(INTERVAL 1 minute, sold) AS minute,
               greatest(minute, time_bucket(INTERVAL 1 minute, judge)) AS closed,
               count(*) AS lines, sum(cents) AS revenue
        FROM purchases GROUP BY ALL
    ),
    hops AS (
        SELECT store, minute - to_minutes(back) AS window_start,
               window_start + INTERVAL 15 minutes AS window_end, closed, lines, revenue
        FROM minutes, range(15) AS steps(back)
    )
    SELECT store, window_start, window_end,
           sum(lines)::BIGINT AS lines, sum(revenue)::BIGINT AS revenue
    FROM hops WHERE window_end > closed GROUP BY ALL
"""

_CONVERSION = f"""
    WITH seen AS (
        SELECT DISTINCT store, time_bucket(INTERVAL 1 day, moment) AS window_start, kind, household
        FROM ({_ACTIVITY})
        WHERE judge < time_bucket(INTERVAL 1 day, moment) + INTERVAL 1 day
    )
    SELECT store, window_start, window_start + INTERVAL 1 day AS window_end,
           count(household) FILTER (WHERE kind = 'simulated_view') AS visitors,
           count(household) FILTER (WHERE kind = 'purchase') AS buyers,
           buyers::DOUBLE / nullif(visitors, 0) AS conversion
    FROM seen GROUP BY ALL
"""

# A line is answered when it comes, from what has come: as of its own time, or of the watermark if
# that is ahead of it. What has come of a basket is the running sum up to the last of its lines
# that came before. Hours only narrow the search: a moment can matter in its own and in the next.
_HOUSEHOLDS = """
    WITH running AS (
        SELECT household, sold AS moment, store, basket, seq,
               sum(cents) OVER (PARTITION BY household, sold, store, basket ORDER BY seq) AS spent
        FROM purchases
    ),
    paid AS (
        SELECT DISTINCT household, moment, store, basket,
               unnest([0, 1]) + epoch(moment)::BIGINT // 3600 AS hour
        FROM running
    ),
    asked AS (
        SELECT seq, household, greatest(sold, judge) AS asked_at,
               epoch(asked_at)::BIGINT // 3600 AS hour
        FROM purchases
    ),
    pairs AS (
        SELECT asked.seq, household, moment, store, basket, asked_at - moment AS ago
        FROM asked JOIN paid USING (household, hour)
        WHERE moment <= asked_at AND asked_at - moment < INTERVAL 1 hour
    ),
    come AS (
        SELECT pairs.seq, pairs.store, pairs.basket, running.spent,
               ago < INTERVAL 10 minutes AS short
        FROM pairs ASOF JOIN running
          ON pairs.household = running.household AND pairs.moment = running.moment
         AND pairs.store = running.store AND pairs.basket = running.basket
         AND pairs.seq >= running.seq
    ),
    answers AS (
        SELECT seq, sum(spent) FILTER (WHERE short) AS spent_10m, sum(spent) AS spent_1h,
               count(DISTINCT store) FILTER (WHERE short) AS stores_10m,
               count(DISTINCT store) AS stores_1h,
               count(DISTINCT basket) FILTER (WHERE short) AS baskets_10m,
               count(DISTINCT basket) AS baskets_1h
        FROM come GROUP BY seq
    )
    SELECT sold, household, store, basket, product, quantity, cents, arrived,
           spent_10m::BIGINT AS spent_10m, spent_1h::BIGINT AS spent_1h,
           coalesce(stores_10m, 0) AS stores_10m, coalesce(stores_1h, 0) AS stores_1h,
           coalesce(baskets_10m, 0) AS baskets_10m, coalesce(baskets_1h, 0) AS baskets_1h
    FROM purchases LEFT JOIN answers USING (seq)
"""

# A basket is one session: the lines of a basket have one time.
_BASKETS = """
    WITH totals AS (
        SELECT household, basket, min(sold) AS window_start,
               max(sold) + INTERVAL 1 minute AS window_end, max(sold) AS last_event_time,
               count(*) AS lines, sum(cents)::BIGINT AS total
        FROM purchases ANTI JOIN late_purchases USING (seq) GROUP BY household, basket
    )
    SELECT *, count(*) OVER usual AS before, (sum(total) OVER usual)::BIGINT AS spent_before
    FROM totals
    WINDOW usual AS (PARTITION BY household ORDER BY window_end
                     RANGE BETWEEN INTERVAL '90 days' - INTERVAL 1 microsecond PRECEDING
                     AND CURRENT ROW EXCLUDE CURRENT ROW)
"""

_SESSIONS = """
    WITH marked AS (
        SELECT *, viewed - lag(viewed) OVER of_household <= INTERVAL 30 minutes AS goes_on
        FROM simulated_views ANTI JOIN late_simulated_views USING (seq)
        WINDOW of_household AS (PARTITION BY household ORDER BY viewed, seq)
    ),
    numbered AS (
        SELECT *, count(*) FILTER (WHERE goes_on IS NOT TRUE)
                  OVER (PARTITION BY household ORDER BY viewed, seq) AS session
        FROM marked
    )
    SELECT household, min(viewed) AS window_start, max(viewed) + INTERVAL 30 minutes AS window_end,
           max(viewed) AS last_event_time, count(*) AS views, count(DISTINCT page) AS pages,
           count(DISTINCT store) AS stores
    FROM numbered GROUP BY household, session
"""

_ERRORS = """
    SELECT store, till, time_bucket(INTERVAL 5 minutes, sent) AS window_start,
           window_start + INTERVAL 5 minutes AS window_end, count(*) AS errors
    FROM simulated_devices
    WHERE kind = 'simulated_error'
      AND judge < time_bucket(INTERVAL 5 minutes, sent) + INTERVAL 5 minutes
    GROUP BY ALL
"""

# A store is reported when more than seven days lie between an event and its next one, or the newest
# event of any store. No event is so late that it could not count.
_SILENCE = """
    WITH heard AS (
        SELECT store, sent, lead(sent) OVER of_store AS next, max(sent) OVER () AS newest
        FROM simulated_devices WINDOW of_store AS (PARTITION BY store ORDER BY sent, seq)
    )
    SELECT store, sent AS window_start, sent + INTERVAL 168 hours AS window_end,
           sent AS last_event_time
    FROM heard WHERE coalesce(next, newest) > sent + INTERVAL 168 hours
"""

QUERIES = {
    "per_minute": _PER_MINUTE,
    "quarter_hours": _QUARTER_HOURS,
    "simulated_conversion": _CONVERSION,
    "households": _HOUSEHOLDS,
    "baskets": _BASKETS,
    "simulated_sessions": _SESSIONS,
    "simulated_errors": _ERRORS,
    "simulated_silence": _SILENCE,
}
"""Each output's query; its columns are those of the output."""
