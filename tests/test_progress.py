"""The line of a run on a terminal: plain words, what matters first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muntin.monitor.counters import Commit
from muntin.monitor.moment import Moment
from muntin.monitor.progress import Pace, in_words
from muntin.sources import Lag

EMPTY = Moment(1_000.0, 10.0, {"a": 5}, {}, {}, 0, 0, (), {}, {}, {})


def behind(*lags: tuple[int | None, float | None]) -> dict:
    read = [(rows, None if at is None else int((1_000 - at) * 1e6)) for rows, at in lags]
    return {"lags": {"a": [Lag("t", n, *each) for n, each in enumerate(read)]}}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        ({"alerts": {"x": 1200}, "late": 3}, "1,200 alerts, 3 late"),
        (behind((0, 5.0), (0, None)), "caught up"),
        (behind((1, 4.0), (0, 90.0)), "1 row behind by 4.0 s"),
        (behind((12_400, 3.2), (8, 75.0)), "12,408 rows behind by 75 s"),
        (behind((7, None)), "7 rows behind"),
        (behind((None, 3.0)), ""),
        ({"commit": Commit(400.0)}, "not yet committed"),
        ({"commit": Commit(999.6, 0.1, "committed")}, "committed 0.4 s ago"),
        ({"commit": Commit(400.0, 0.1, "committed")}, "committed 10 min ago"),
        (
            {"commit": Commit(988.0, 0.1, "aborted", "timeout")},
            "last commit aborted (timeout), the one before 12 s ago",
        ),
        (
            {"commit": Commit(988.0, 0.1, "failed", "no space left")},
            "checkpoint failed, the one before 12 s ago",
        ),
    ],
)
def test_lag_and_commits_are_said_in_plain_words(more: dict, said: str) -> None:
    assert in_words(None, replace(EMPTY, **more)) == said


def test_the_pace_is_that_of_the_last_seconds_whatever_was_read_before() -> None:
    pace = Pace()
    assert pace.of(10_000_000, replace(EMPTY, seconds=0.0)) is None
    for tenth in range(1, 101):
        rows = 10_000_000 + (tenth * 100 if tenth <= 50 else 5_000 + (tenth - 50) * 2)
        found = pace.of(rows, replace(EMPTY, seconds=tenth / 10))
        if tenth == 50:
            assert found == pytest.approx(1_000)
    assert found == pytest.approx(20)
    assert pace.of(0, replace(EMPTY, seconds=11.0)) is None  # the history is over
