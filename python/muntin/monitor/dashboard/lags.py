"""How far each partition is behind, as the page gets it: a column for each fact, not an object."""

from __future__ import annotations

from typing import Any

from muntin.monitor.moment import Moment


def lags_json(moment: Moment) -> list[dict[str, Any]]:
    """For each input with a source that knows its lag, its topics and the columns of partitions."""
    found = []
    for name, unsorted in moment.lags.items():
        lags = sorted(unsorted, key=lambda lag: (lag.topic, lag.partition))
        topics = sorted({lag.topic for lag in lags})
        numbers = {topic: number for number, topic in enumerate(topics)}
        found.append(
            {
                "input": name,
                "topics": topics,
                "topic": [numbers[lag.topic] for lag in lags],
                "partition": [lag.partition for lag in lags],
                "rows": [lag.rows for lag in lags],
                "seconds": [lag.seconds(moment.at) for lag in lags],
                "state": [lag.state for lag in lags],
            }
        )
    return found
