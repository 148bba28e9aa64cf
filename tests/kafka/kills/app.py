"""A run of muntin that is killed: `python -m kafka.kills.app '{...}'`.

The program is one that a user would write; the points are put around the calls of its client and of
its store from outside.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import muntin as mt
from kafka.kills.points import Points
from muntin.checkpoint import Directory
from muntin.clients.kafka.transaction import Transaction
from muntin.loop import authority

CALLS = (
    "init_transactions",
    "abort_transaction",
    "send_offsets_to_transaction",
    "commit_transaction",
)
STORE = ("write", "manifest", "torn manifest", "remove")
POINTS = tuple(f"{when} {what}" for what in (*CALLS, *STORE) for when in ("before", "after"))
SCHEMA = {"at": "timestamp[ms, UTC]", "key": "str", "v": "i64"}


class Store(Directory):
    """A directory with points, and without a lock, as if other machines shared it.

    So a worker that sleeps and wakes up meets its successor, as it would on two machines.
    """

    def __init__(self, path: str, points: Points) -> None:
        super().__init__(path)
        self.points = points

    def open(self) -> None:
        os.makedirs(self.path, exist_ok=True)

    def share(self) -> None:
        self.open()

    def part(self, name: str) -> Store:
        return Store(os.path.join(self.path, name), self.points)

    def write(self, name: str, data: bytes) -> None:
        with self.points.around("write"):
            super().write(name, data)

    def commit(self, name: str, data: bytes) -> None:
        if self.points.point == "before torn manifest":
            self.put(self._place(name) + ".tmp", data[: len(data) // 2])
        self.points.reached("before torn manifest")
        with self.points.around("manifest"):
            super().commit(name, data)

    def remove(self, name: str) -> None:
        with self.points.around("remove"):
            super().remove(name)


def mark_calls(points: Points) -> None:
    """Put points around the calls of the transactional producer."""
    real = Transaction._call

    def call(self: Transaction, name: str, *arguments: Any) -> Any:
        if name not in CALLS:
            return real(self, name, *arguments)
        with points.around(name):
            return real(self, name, *arguments)

    Transaction._call = call  # type: ignore[method-assign]


def leave_out_the_member() -> None:
    """Commit offsets as no member of the group: the brokers accept them from a zombie, too."""
    real = Transaction.commit
    Transaction.commit = lambda self, offsets, member=None: real(self, offsets)  # type: ignore


def main(told: dict[str, Any]) -> None:
    logging.basicConfig(level=logging.INFO)
    # a minute is long for a test
    authority._TIMEOUT_MIN_S = authority._SHARED_MIN_S = told["timeout_ms"] / 1000
    if "member" in told.get("without", ()):
        leave_out_the_member()
    points = Points(told.get("point"), told.get("nth", 1))
    mark_calls(points)
    rows = mt.stream(
        "rows", time="at", out_of_order="5s", max_future_skew=None, idle_after=None, schema=SCHEMA
    )
    windows = rows.tumbling("2s", by="key").agg(
        n=mt.count(), total=mt.sum("v"), low=mt.min("v"), high=mt.max("v")
    )
    bad: Any = "stop"
    if told.get("dead"):
        bad = mt.sinks.Kafka(told["dead"], servers=told["servers"])
    source = mt.sources.Kafka(
        told["source"],
        servers=told["servers"],
        group=told["group"],
        bad=bad,
        partitioned_by="key" if told.get("shared") else None,
        settings={k: str(v).format(**told) for k, v in told.get("settings", {}).items()},
    )
    sink = mt.sinks.Kafka(told["target"], servers=told["servers"], key="key")
    checkpoint = mt.Checkpoint(Store(told["store"], points), every=f"{told['every'] * 1000:.0f}ms")
    standby = told.get("standby", False)
    mt.run(
        source, windows, sinks=[sink], checkpoint=checkpoint, name=told["group"], standby=standby
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
