"""Runs over a Kafka source that are killed at a marked moment, or at any: `python lives.py`.

A life for each line of JSON on standard input, in a process forked from here; says how each ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import confluent_kafka  # noqa: F401 (imported once, for all lives)

import muntin as mt
from killed import Killer, Marked, marked

SCHEMA = {"at": "timestamp[us, UTC]", "key": "str", "v": "i64"}


def live(told: dict[str, Any]) -> None:
    """Minute counts of a topic into a file and a database, until the process is killed."""
    out = Path(told["out"])
    killer = Killer(told.get("point"), told.get("nth", 1))
    if (after := told.get("after")) is not None:
        timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    events = mt.stream(time="at", out_of_order="5s", schema=SCHEMA)
    JsonLines, Sqlite = (marked(kind, killer) for kind in ("JsonLines", "Sqlite"))  # noqa: N806
    minutes = events.tumbling("1m", by="key").agg(n=mt.count(), total=mt.sum("v"))
    database = Sqlite(out / "out.db")
    mt.run(
        mt.sources.Kafka(
            told["topic"],
            servers=told["servers"],
            group=told["group"],
            settings={"fetch.wait.max.ms": 50},
        ),
        [
            mt.output("minutes", minutes, sinks=[JsonLines(out / "minutes.jsonl"), database]),
            mt.output("rows", events, sinks=[JsonLines(out / "rows.jsonl"), database]),
        ],
        late=[mt.sinks.JsonLines(out / "late.jsonl")],
        checkpoint=mt.Checkpoint(Marked(out / "state", killer), every="100ms"),
        once=told.get("once", False),
    )


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
