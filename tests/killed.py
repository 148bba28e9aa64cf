"""Runs that kill their own process at a named moment, or at any: `python killed.py`.

However often that happens, the outputs end up as those of an undisturbed run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import muntin as mt
from muntin.checkpoint import Directory

SCHEMA = {"at": "timestamp[us, UTC]", "store": "str", "amount": "i64"}

STORE_POINTS = ("before write", "inside write", "after write", "before rename", "after rename")
SINK_CLASSES = ("JsonLines", "Csv", "Parquet", "Sqlite")
_MOMENTS = ("before prepare", "after prepare", "before publish", "after publish")
SINK_POINTS = tuple(
    tuple(
        f"{when} {verb} {kind}" for verb in ("prepare", "publish") for when in ("before", "after")
    )
    for kind in SINK_CLASSES
)


class Killer:
    """Ends the process, as a power cut would, when a point is reached for the n-th time."""

    def __init__(self, point: str | None, nth: int) -> None:
        self.point, self.nth, self.seen = point, nth, Counter[str]()

    def reached(self, point: str) -> None:
        self.seen[point] += 1
        if point == self.point and self.seen[point] == self.nth:
            os.kill(os.getpid(), signal.SIGKILL)


class Marked(Directory):
    """A checkpoint's directory with points to be killed at."""

    def __init__(self, path: Path, killer: Killer) -> None:
        super().__init__(path)
        self.killer = killer

    def put(self, place: str, data: bytes) -> None:
        self.killer.reached("before write")
        if self.killer.point == "inside write":
            with open(place, "wb") as file:
                file.write(data[: len(data) // 2])
            self.killer.reached("inside write")
            os.remove(place)  # it was another time that was meant
        super().put(place, data)
        self.killer.reached("after write")

    def rename(self, before: str, after: str) -> None:
        self.killer.reached("before rename")
        super().rename(before, after)
        self.killer.reached("after rename")


def marked(kind: str, killer: Killer) -> type:
    """A class of sinks with points to be killed at."""
    base: Any = getattr(mt.sinks, kind)

    class Sink(base):
        def prepare(self) -> Any:
            killer.reached(f"before prepare {kind}")
            state = super().prepare()
            killer.reached(f"after prepare {kind}")
            return state

        def publish(self) -> None:
            killer.reached(f"before publish {kind}")
            super().publish()
            killer.reached(f"after publish {kind}")

    Sink.__name__ = kind
    return Sink


def run(inputs: Path, out: Path, killer: Killer, *, changed: bool) -> mt.Report:
    """Two inputs in, minute counts, features and alerts out, a checkpoint after every step.

    With `changed` there is one more output, and it stands before the others.
    """
    JsonLines, Csv, Parquet, Sqlite = (marked(kind, killer) for kind in SINK_CLASSES)  # noqa: N806
    sales, returns = (
        mt.stream(name, time="at", out_of_order="20s", schema=SCHEMA)
        for name in ("sales", "returns")
    )
    both = mt.union(sales, returns, tag="kind")
    minutes = both.tumbling("1m", by=["store", "kind"]).agg(n=mt.count(), sum=mt.sum("amount"))
    scored = sales.sliding(["1m", "1h"], by="store").agg(n=mt.count(), spent=mt.sum("amount"))
    busy = mt.rule("busy", "n_1m > 6", by="store", cooldown="5m", message="{store}: {n_1m}")
    database = Sqlite(out / "out.db")
    threes = both.tumbling("3m", by="store").agg(n=mt.count())
    more = [mt.output("threes", threes, sinks=[JsonLines(out / "threes.jsonl"), database])]
    return mt.run(
        {
            name: mt.sources.JsonLines(inputs / f"{name}-*.jsonl", batch_rows=40)
            for name in ("sales", "returns")
        },
        [
            *(more if changed else []),
            mt.output(
                "minutes",
                minutes,
                sinks=[JsonLines(out / "minutes.jsonl"), Parquet(out / "minutes"), database],
            ),
            mt.output(
                "scored",
                scored,
                rules=[busy],
                sinks=[Csv(out / "scored.csv"), Parquet(out / "scored"), database],
            ),
        ],
        alerts=[JsonLines(out / "alerts.jsonl")],
        late=[JsonLines(out / "late.jsonl")],
        checkpoint=mt.Checkpoint(Marked(out / "state", killer), every="0s", on_change="warm"),
    )


def live(told: dict[str, Any]) -> None:
    """One life: until the run ends, or it is killed."""
    out = Path(told["out"])
    out.mkdir(parents=True, exist_ok=True)
    if (after := told.get("after")) is not None:
        timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    killer = Killer(told.get("point"), told.get("nth", 1))
    run(Path(told["inputs"]), out, killer, changed=told.get("changed", False))


def main() -> None:
    """A life for each line of JSON, in a process of its own; says how each ended.

    The processes are forked from here, where everything is imported and nothing has run.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
