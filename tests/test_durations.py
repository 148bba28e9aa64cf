"""Durations: text and timedelta become microseconds in one place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muntin.base.durations import I64_MAX, parse, period, short
from muntin.base.errors import DurationError, PlanError


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("15us", 15),
        ("200ms", 200_000),
        ("1s", 1_000_000),
        ("1m", 60_000_000),
        ("1h30m", 5_400_000_000),
        ("2d", 172_800_000_000),
        ("1w", 604_800_000_000),
        ("1w2d", 777_600_000_000),
        ("90m", 5_400_000_000),
    ],
)
def test_text(text: str, us: int) -> None:
    span = parse(text, "size")
    assert (span.us, span.text) == (us, text)


@pytest.mark.parametrize(("text", "weeks"), [("1w", True), ("2w", True), ("7d", False)])
def test_only_weeks_are_calendar_weeks(text: str, weeks: bool) -> None:
    assert parse(text, "size").weeks is weeks


def test_a_timedelta_gets_a_short_text_and_no_week() -> None:
    span = parse(timedelta(days=7, minutes=90), "size")
    assert (span.text, span.weeks) == ("7d1h30m", False)


@given(st.integers(1, 10**15))
def test_short_text_reads_back(us: int) -> None:
    assert parse(short(us), "size").us == us


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=100_000_000)))
def test_timedelta_is_exact(value: timedelta) -> None:
    assert timedelta(microseconds=parse(value, "size").us) == value


@pytest.mark.parametrize(
    "text",
    ["", "1", "m", "1M", " 1m", "1m ", "1 m", "1.5h", "1ns", "1i", "-", "--1s", "1m-1s", "٣m"],
)
def test_garbage_names_value_place_and_hint(text: str) -> None:
    with pytest.raises(DurationError) as error:
        parse(text, "gap")
    message = str(error.value)
    assert message.startswith(f'gap: "{text}" is not a duration\nhint: ')


@pytest.mark.parametrize("value", [5, 1.5, None, True, b"1m"])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(DurationError, match="is not a duration"):
        parse(value, "size")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["1mo", "1q", "1y", "1y2d"])
def test_months_are_no_length_of_time(text: str) -> None:
    with pytest.raises(PlanError, match="no fixed length\nhint: write days"):
        parse(text, "gap")


@pytest.mark.parametrize(
    ("value", "unit", "count"),
    [
        ("1mo", "months", 1),
        ("1y6mo", "months", 18),
        ("2q", "months", 6),
        ("1d", "days", 1),
        ("2w", "days", 14),
        ("1w2d", "days", 9),
        ("24h", "us", 86_400_000_000),
        ("1d12h", "us", 129_600_000_000),
        (timedelta(days=1), "us", 86_400_000_000),
    ],
)
def test_the_length_of_windows(value: str | timedelta, unit: str, count: int) -> None:
    """Days and longer are of the calendar; with a unit below days, and a timedelta, time."""
    length = period(value, "size")
    assert (length.unit, length.count) == (unit, count)
    assert period(length.text, "size") == length


@pytest.mark.parametrize("value", ["0s", "0m0s", timedelta(0)])
def test_zero_only_where_it_means_something(value: str | timedelta) -> None:
    assert parse(value, "out_of_order", zero=True).us == 0
    with pytest.raises(DurationError, match="is zero"):
        parse(value, "size")


@pytest.mark.parametrize("value", ["-1h", timedelta(hours=-1)])
def test_negative_only_where_it_means_something(value: str | timedelta) -> None:
    assert parse(value, "offset", negative=True).us == -3_600_000_000
    with pytest.raises(DurationError, match="is negative"):
        parse(value, "size")


def test_overflow_is_an_error() -> None:
    assert parse(f"{I64_MAX}us", "size").us == I64_MAX
    for text in (f"{I64_MAX + 1}us", "9999999999w", "9" * 10_000 + "s"):
        with pytest.raises(DurationError, match="64 bits"):
            parse(text, "size")
