"""A stand-in for the loop: feeds a page with what an operator gives."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

import muntin as mt
from muntin import serve
from muntin.checkpoint.saved import Saved
from muntin.monitor.counters import Restore
from muntin.monitor.moment import Moment, Scene

SCHEMA = {"at": "timestamp[us, UTC]", "store": "str", "card": "i64", "amount": "f64"}


def sales() -> mt.Stream:
    return mt.stream("tills", time="at", out_of_order="0s", schema=SCHEMA)


def per_minute() -> mt.Stream:
    return sales().tumbling("1m", by="store").agg(orders=mt.count(), revenue=mt.sum("amount"))


def outputs() -> list[mt.Output]:
    rush = mt.rule("rush", "orders >= 3", by="store", message="{store}: {orders} orders")
    cards = sales().sliding("1h", by="card").agg(spent=mt.sum("amount"))
    big = mt.rule(
        "big", "spent > 100", by="card", severity="critical", message="card {card} spent {spent}"
    )
    return [
        mt.output("per_minute", per_minute(), rules=[rush]),
        mt.output("cards", cards, rules=[big]),
    ]


def sale(minute: int, store: str, card: int = 4111, amount: float = 2.5) -> dict[str, Any]:
    hour, minute = divmod(minute, 60)
    return {"at": f"2024-05-01T{10 + hour:02}:{minute:02}:30Z", "store": store, "card": card,
            "amount": amount}  # fmt: skip


class FakeLoop:
    """Drives an operator and tells a watcher of it."""

    def __init__(
        self,
        watcher: Any,
        made: Sequence[mt.Output] | None = None,
        *,
        every: float | None = 0.5,
        restored: bool = False,
        **more: Any,
    ) -> None:
        """`more` are further fields of each moment."""
        self.watcher = watcher
        self.every = every
        self.more = {**more, "restore": Restore(2, 1.5, 3_000_000) if restored else None}
        self.op = mt.operator(made or outputs())
        self.read = 0
        self.gave: Counter[str] = Counter()
        self.late = self.invalid = 0
        self.start = time.time()
        self.watcher.begin(self.scene())

    def scene(self) -> Scene:
        plan: Mapping[str, Any] = self.op.plan
        said = [f".{node['op']}()" for node in plan["nodes"]]
        sinks = dict.fromkeys(self.op.outputs, ("Console()",))
        sources = {"tills": 'JsonLines("tills.jsonl")'}
        facts = self.op.facts
        return Scene("test run", plan, facts, said, sources, sinks, ["Console()"],
                     self.start, None, self.every)  # fmt: skip

    def push(self, rows: Any) -> None:
        self.deliver(self.op.push(rows))
        self.read += len(rows)
        self.tell()

    def deliver(self, result: mt.Result, undecodable: Sequence[Any] = ()) -> None:
        for name, table in result.outputs.items():
            self.gave[name] += len(table)
        self.late += len(result.late)
        self.invalid += len(result.invalid) + len(undecodable)
        self.watcher.gave(result, undecodable)

    def tell(self) -> None:
        stats = self.op.stats
        now = time.time()
        clock = 1_714_557_600_000_000
        self.watcher.moment(
            Moment(
                now, now - self.start, {"tills": self.read}, dict(self.gave),
                dict(stats["alerts"]), self.late, self.invalid, stats["operators"],
                {"tills": clock}, {"tills": clock + 30_000_000},
                {"source": 0.1, "engine": 0.2, "sink": 0.3, "checkpoint": 0.0},
                Saved(3, now, 0.01, 0.02, 2_000_000, 1_000), {"Console()": 2}, {"Console()": 0},
                **self.more,
            )
        )  # fmt: skip

    def end(self, error: BaseException | None = None) -> None:
        if error is None:
            self.deliver(self.op.finish())
        self.tell()
        self.watcher.end(error)


@contextmanager
def page(where: Any = 0):
    served = serve(where)
    try:
        yield served
    finally:
        served.close()


def eventually(get, good, tries: int = 400):
    """The first value of `get()` for which `good` holds; the last one if there is none."""
    for _ in range(tries):
        value = get()
        if good(value):
            return value
        time.sleep(0.025)
    raise AssertionError(f"still {value!r}")


def ticks(url: str, enough, query: str = "") -> dict:
    """All that the events of a stream say until there is enough."""
    said: dict = {}
    with httpx.stream("GET", f"{url}events{query}", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                said |= json.loads(line.removeprefix("data: "))
                if enough(said):
                    return said
    raise AssertionError(f"the stream ended with {said}")
