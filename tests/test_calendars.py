"""Windows of the calendar: zoneinfo says where days and months begin, Polars and DuckDB agree on
what they hold, and a key's own zone gives what the zone of all keys would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt
from oracle.grids import grid_of

WORDS = {"at": "timestamp[us, UTC]", "k": "str", "zone": "str"}
EVENTS = mt.stream(time="at", out_of_order="0s", schema=WORDS)
N = {"n": mt.count()}
YEAR = [datetime(2023, 12, 28, tzinfo=UTC) + timedelta(hours=h, minutes=30) for h in range(9_000)]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = sorted(name for name in available_timezones() if "/" in name and "posix" not in name)

# Python's zone data and the core's may be of different years: both know the past
moments = st.datetimes(datetime(1970, 2, 1), datetime(2022, 12, 1)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)


def rows_at(times: list[datetime], zone: str | None = None) -> list[dict]:
    return [{"at": time, "k": "a", "zone": zone} for time in times]


def windows(stream: mt.Stream, rows: list[dict]) -> list[tuple]:
    found = mt.collect(stream, rows).rows.to_dicts()
    return [tuple(row[name] for name in ("window_start", "window_end", "n")) for row in found]


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    size=st.sampled_from(["1d", "2d", "1w", "1mo", "1q", "1y", "5mo"]),
    offset=st.sampled_from(["0s", "4h", "-30m", "2d1h"]),
    time=moments,
)
def test_zoneinfo_says_where_a_period_begins(
    zone: str, size: str, offset: str, time: datetime
) -> None:
    """In any zone, through all changes of its rules."""
    days = {"1d": 1, "2d": 2, "1w": 7}
    months = {"1mo": 1, "1q": 3, "1y": 12, "5mo": 5}
    spec = {"op": "tumbling"}
    spec["size"] = {"days": days[size]} if size in days else {"months": months[size]}
    spec["every"] = spec["size"]
    shift = {"0s": 0, "4h": 14_400, "-30m": -1_800, "2d1h": 176_400}[offset]
    spec["offset"] = shift * 1_000_000 + (4 * 86_400_000_000 if size == "1w" else 0)
    us = (time - EPOCH) // timedelta(microseconds=1)
    [expected] = grid_of(spec, zone).windows_of(us)
    pipeline = EVENTS.tumbling(size, offset=offset, time_zone=zone).agg(**N)
    [(start, end, _)] = windows(pipeline, rows_at([time]))
    found = tuple((bound - EPOCH) // timedelta(microseconds=1) for bound in (start, end))
    assert found == expected
    if size != "5mo" and offset in ("0s", "4h"):
        local = start.astimezone(ZoneInfo(zone))
        assert local.hour in range(24) and start <= time < end


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize("size", ["1d", "1w", "1mo", "1q", "1y"])
def test_polars_and_duckdb_agree_on_a_year(zone: str, size: str) -> None:
    """Both days on which clocks change are in it."""
    found = windows(EVENTS.tumbling(size, time_zone=zone).agg(**N), rows_at(YEAR))
    frame = pl.DataFrame({"at": YEAR}).with_columns(
        pl.col("at").dt.cast_time_unit("us").dt.convert_time_zone(zone)
    )
    grouped = frame.group_by_dynamic("at", every=size).agg(n=pl.len())
    in_utc = grouped.with_columns(pl.col("at").dt.convert_time_zone("UTC"))
    assert [(start, n) for start, _, n in found] == list(in_utc.iter_rows())
    unit = {"1d": "day", "1w": "week", "1mo": "month", "1q": "quarter", "1y": "year"}[size]
    with duckdb.connect() as db:
        db.execute(f"SET TimeZone = '{zone}'")
        query = f"""SELECT date_trunc('{unit}', "at"), count(*) FROM frame GROUP BY 1 ORDER BY 1"""
        rows = db.execute(query).fetchall()
    assert [(start, n) for start, _, n in found] == [(d.astimezone(UTC), n) for d, n in rows]


def test_a_business_day_that_begins_at_four_does_so_when_clocks_change() -> None:
    business = EVENTS.tumbling("1d", time_zone="Europe/Berlin", offset="4h").agg(**N)
    for day, hours in [("2024-03-30", 23), ("2024-03-31", 24), ("2024-10-26", 25)]:
        noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo("Europe/Berlin"))
        [(start, end, _)] = windows(business, rows_at([noon.astimezone(UTC)]))
        assert start.astimezone(ZoneInfo("Europe/Berlin")).hour == 4
        assert (end - start) / timedelta(hours=1) == hours


def test_days_are_those_of_the_time_column_unless_a_zone_is_named() -> None:
    berlin = {"at": "timestamp[us, Europe/Berlin]"}
    rows = [{"at": datetime(2024, 5, 1, 23, tzinfo=UTC)}]
    for words, options, hour in [
        (berlin, {}, 22),
        (berlin, {"time_zone": "UTC"}, 0),
        (berlin | {"at": "timestamp[us, -03:30]"}, {}, 3),
        ({"at": "timestamp[us, UTC]"}, {}, 0),
        ({"at": "timestamp[us, UTC]"}, {"time_zone": "Asia/Kolkata"}, 18),
    ]:
        stream = mt.stream(time="at", out_of_order="0s", schema=words)
        made = mt.collect(stream.tumbling("1d", **options).agg(**N), rows).rows.to_dicts()
        assert made[0]["window_start"].astimezone(UTC).hour == hour, (words, options)


def test_weeks_begin_on_the_day_that_is_asked_for() -> None:
    for day, number in [("monday", 0), ("wednesday", 2), ("saturday", 5), ("sunday", 6)]:
        weekly = EVENTS.tumbling("1w", week_start=day, time_zone="America/New_York").agg(**N)
        for start, *_ in windows(weekly, rows_at(YEAR)):
            local = start.astimezone(ZoneInfo("America/New_York"))
            assert (local.weekday(), local.hour) == (number, 0)


def test_a_fiscal_year_begins_where_its_offset_says() -> None:
    fiscal = EVENTS.tumbling("1y", time_zone="Europe/London", offset="3mo5d").agg(**N)
    [_, (start, end, _), *_] = windows(fiscal, rows_at(YEAR))
    assert (start, end) == (
        datetime(2024, 4, 5, 23, tzinfo=UTC),
        datetime(2025, 4, 5, 23, tzinfo=UTC),
    )


@pytest.mark.parametrize("op", ["tumbling", "hopping", "cumulative"])
def test_a_zone_by_key_gives_what_that_zone_gives_alone(op: str) -> None:
    zones = ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
    lengths = {"tumbling": ["1d"], "hopping": ["3d", "1d"], "cumulative": ["1d", "6h"]}[op]
    times = YEAR[2_000:2_200]
    rows = [{"at": t, "k": "a", "zone": zones[i % 4]} for i, t in enumerate(times)]
    named = mt.collect(
        getattr(EVENTS, op)(*lengths, by="zone", time_zone=mt.col("zone")).agg(**N), rows
    ).rows.to_dicts()
    for zone in zones:
        alone = getattr(EVENTS, op)(*lengths, time_zone=zone).agg(**N)
        mine = [row for row in rows if row["zone"] == zone]
        found = [row for row in named if row["zone"] == zone]
        bounds = [(row["window_start"], row["window_end"], row["n"]) for row in found]
        assert bounds == windows(alone, mine)


def test_a_row_that_names_no_zone_is_invalid() -> None:
    daily = EVENTS.tumbling("1d", by="zone", time_zone=mt.col("zone")).agg(**N)
    names = ["Europe/Berlin", "europe/berlin", "Nowhere", "", None]
    rows = [row for name in names for row in rows_at(YEAR[:1], name)]
    result = mt.collect(daily, rows)
    assert [row["zone"] for row in result.rows] == ["Europe/Berlin"]
    assert [(row["reason"], row["zone"]) for row in result.invalid] == [
        ("unknown_time_zone", name) for name in names[1:]
    ]


def test_the_zones_of_old_keys_are_forgotten() -> None:
    daily = EVENTS.tumbling("1d", by=["zone", "k"], time_zone=mt.col("zone")).agg(**N)
    operator = mt.operator(daily)
    for day in range(6):
        time = YEAR[0] + timedelta(days=day)
        operator.push([{"at": time, "k": f"k{i}", "zone": z} for i, z in enumerate(ZONES[:300])])
    held = operator.stats["operators"][1]
    assert held["keys"] <= 600
    operator.push(rows_at([YEAR[0] + timedelta(days=60)], "Europe/Berlin"))
    left = operator.stats["operators"][1]
    assert left["keys"] == 1 and left["bytes"] < held["bytes"] / 10


def test_a_snapshot_names_its_zone_data() -> None:
    import json

    from muntin import _core

    manifest = json.loads(_core.contents(mt.operator(EVENTS.tumbling("1d").agg(**N)).snapshot()))
    assert manifest["manifest"]["zone_data"][:2] == "20"


def test_a_cumulative_day_has_as_many_hours_as_its_clocks() -> None:
    hourly = EVENTS.cumulative("1d", "1h", time_zone="Europe/Berlin").agg(**N)
    by_day: dict[datetime, list[int]] = {}
    for start, end, n in windows(hourly, rows_at(YEAR)):
        if YEAR[0] <= start and end <= YEAR[-1]:
            assert n == (end - start) / timedelta(hours=1)
            by_day.setdefault(start, []).append(n)
    assert {len(ends) for ends in by_day.values()} >= {23, 24, 25}
