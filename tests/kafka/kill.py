"""Kill workers, brokers and connections for as long as you like; then look at the topics.

`python -m tests.kafka.kill --minutes 30` prints what was done and the verdict, and fails unless
each result is in the output topic exactly once. The same seed makes the same decisions, though not
at the same moments.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from kafka.broker import Broker, Proxy
from kafka.kills import app, raw
from kafka.kills.crowd import Crowd, Kind
from kafka.kills.feed import Feed
from kafka.kills.verify import Verdict, verify, windows_due, windows_found

KINDS = {
    "run": Kind("kafka.kills.app", app.POINTS),  # a program with mt.run
    "raw": Kind("kafka.kills.raw", raw.POINTS),  # the tests' own, with rules to leave out
}
TIMEOUT_MS = 5_000  # of transactions
PROTOCOLS: dict[str, dict[str, str]] = {
    "cooperative": {},
    "eager": {"partition.assignment.strategy": "range"},
    "static": {"group.instance.id": "{id}"},
    "kip848": {"group.protocol": "consumer"},
}


@dataclass
class Plan:
    """What to run, and what to do to it."""

    seconds: float = 20.0
    workers: int = 2
    partitions: int = 4
    rate: int = 400
    seed: int = 1
    kind: str = "raw"
    weights: dict[str, int] = field(default_factory=lambda: {"kill": 6, "stop": 1, "zombie": 1})
    armed: float = 0.6  # the share of workers that are killed at a point
    points: tuple[str, ...] | None = None  # only at these
    told: dict[str, Any] = field(default_factory=dict)  # more for the worker
    shared: bool = False  # of kind run: workers share the partitions
    settings: dict[str, Any] = field(default_factory=dict)  # of the group, for librdkafka
    pause: tuple[float, float] = (0.5, 2.0)  # seconds between two events
    poison: int = 0  # rows for each message that cannot be decoded
    patience: float = 120.0  # seconds for the last results to come


@dataclass
class Outcome:
    """What was done, and how it ended."""

    verdict: Verdict
    counts: Counter[str]
    errors: Counter[str]
    seconds: float

    def __str__(self) -> str:
        lines = [f"{self.verdict} in {self.seconds:.0f} s"]
        lines += [f"  {count:5} {what}" for what, count in self.counts.items()]
        lines += [f"  {count:5} ended itself: {what}" for what, count in self.errors.items()]
        return "\n".join(lines)


class Chaos:
    """One run: a feed, workers, and what happens to them."""

    def __init__(self, plan: Plan, broker: Broker, place: Path) -> None:
        self.plan, self.broker = plan, broker
        self.rng = random.Random(plan.seed)
        self.source = broker.topic(plan.partitions)
        self.target = broker.topic(2)
        self.counts: Counter[str] = Counter()
        self.dead = broker.topic(1) if plan.poison else None
        (place / "store").mkdir(parents=True)
        proxy = broker.proxy
        told = {
            "servers": f"127.0.0.1:{proxy.port}" if proxy else broker.servers,
            "source": self.source,
            "target": self.target,
            "target_partitions": 2,
            "group": broker.name("group"),
            "store": str(place / "store"),
            "every": 0.3,
            "dead": self.dead,
            "timeout_ms": TIMEOUT_MS,
            "shared": plan.shared,
            "settings": plan.settings,
            **plan.told,
        }
        logs = place / "logs"
        logs.mkdir()
        self.feed = Feed(broker, self.source, plan.partitions, plan.rate, plan.seed, plan.poison)
        kind = KINDS[plan.kind]
        if plan.points is not None:
            kind = replace(kind, points=plan.points)
        self.crowd = Crowd(kind, plan.workers, told, logs, self.rng, plan.armed)
        self.later: list[tuple[float, Callable[[], None]]] = []

    def run(self) -> Outcome:
        began = time.monotonic()
        try:
            while time.monotonic() - began < self.plan.seconds:
                self.live(self.rng.uniform(*self.plan.pause))
                event = self.rng.choices(*zip(*self.plan.weights.items(), strict=True))[0]
                getattr(self, event)()
            self.calm()
            self.feed.stop()
            self.wait_for_the_last()
        finally:
            self.crowd.end()
        verdict = verify(self.broker, self.source, self.target, self.dead)
        counts = self.counts + self.crowd.counts
        counts["workers started"] = self.crowd.started
        return Outcome(verdict, counts, self.crowd.errors, time.monotonic() - began)

    def live(self, seconds: float) -> None:
        """Let time pass; workers that have ended are started again."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            due = [each for each in self.later if each[0] <= now]
            self.later = [each for each in self.later if each[0] > now]
            for _, action in due:
                action()
            self.crowd.tend()
            time.sleep(0.05)

    def calm(self) -> None:
        """Undo what is still to be undone."""
        for _, action in self.later:
            action()
        self.later = []
        if self.broker.proxy is not None:
            self.broker.proxy.heal()
        self.crowd.bury()
        self.crowd.disarm()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.later.append((time.monotonic() + seconds, action))

    def wait_for_the_last(self) -> None:
        """Until all that is due is there, or patience ends; the verdict comes later."""
        due = windows_due(self.broker.read(self.source, isolation="read_uncommitted")).keys()
        end = time.monotonic() + self.plan.patience
        while time.monotonic() < end:
            self.live(2)
            if windows_found(self.broker.read(self.target))[0].keys() >= due:
                return

    # what happens

    def wait(self) -> None:
        """Nothing but kills at points."""

    def kill(self) -> None:
        self.crowd.kill()

    def stop(self) -> None:
        """SIGSTOP for less or more than sessions and transactions last."""
        worker = self.crowd.any()
        if worker.alive:
            worker.signal(signal.SIGSTOP)
            self.counts["stop"] += 1
            seconds = self.rng.choice([0.5, 4.0, TIMEOUT_MS / 1000 + 3])
            self.after(seconds, lambda: worker.alive and worker.signal(signal.SIGCONT))

    def zombie(self) -> None:
        """A worker sleeps, another takes its place and transactional id, and it comes back."""
        zombie = self.crowd.replace_stopped()
        self.after(
            self.rng.choice([2.0, 4.0, TIMEOUT_MS / 1000 + 3]),
            lambda: zombie.alive and zombie.signal(signal.SIGCONT),
        )
        self.after(TIMEOUT_MS / 1000 + 6, zombie.kill)

    def broker_kill(self) -> None:
        self._down("broker killed", self.rng.uniform(0, 2))

    def outage(self) -> None:
        """Longer than a transaction may last: rule 11."""
        self._down("outage", TIMEOUT_MS / 1000 + self.rng.uniform(0.5, 2))

    def _down(self, what: str, seconds: float) -> None:
        self.broker.kill()
        self.live(seconds)
        self.broker.start()
        self.counts[what] += 1

    def cut(self) -> None:
        assert self.broker.proxy is not None
        self.broker.proxy.cut()
        self.counts["connections cut"] += 1

    def delay(self) -> None:
        proxy = self.broker.proxy
        assert proxy is not None
        proxy.delay = self.rng.choice([0.05, 0.3, 1.0])
        self.counts["connections slow"] += 1
        self.after(3, proxy.heal)

    def silence(self) -> None:
        """Nobody answers; then all at once, or the connections are reset."""
        proxy = self.broker.proxy
        assert proxy is not None
        proxy.silence()
        self.counts["connections silent"] += 1
        cut = self.rng.random() < 0.5

        def end() -> None:
            if cut:
                proxy.cut()
            proxy.heal()

        self.after(self.rng.choice([1.0, 4.0, TIMEOUT_MS / 1000 + 2]), end)


ALL = {
    "kill": 10,
    "stop": 2,
    "zombie": 2,
    "broker_kill": 1,
    "outage": 1,
    "cut": 3,
    "delay": 1,
    "silence": 1,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--workers", type=int, help="1 by default; several share the partitions")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="cooperative")
    parser.add_argument("--rate", type=int, default=400, help="rows a second")
    parser.add_argument("--seed", type=int, default=random.randrange(1000))
    parser.add_argument(
        "--kind", choices=KINDS, help="run: a program with mt.run; raw: the tests' own"
    )
    parser.set_defaults(kind="run")
    parser.add_argument("--events", default=",".join(ALL), help="which of them may happen")
    parser.add_argument("--poison", type=int, default=10_000, help="one message in so many is bad")
    parser.add_argument("--standby", action="store_true", help="copies stand by (kind run)")
    parser.add_argument("--without", default="", help="a rule that is left out")
    parser.add_argument("--aborts", type=float, default=0.0, help="share of commits (kind raw)")
    parser.add_argument("--keep", type=Path, help="a directory for the logs of the workers")
    asked = parser.parse_args()
    shared = asked.kind == "run" and (asked.workers or 1) > 1 and not asked.standby
    plan = Plan(
        seconds=asked.minutes * 60,
        workers=asked.workers or (1 if asked.kind == "run" and not asked.standby else 2),
        rate=asked.rate,
        seed=asked.seed,
        kind=asked.kind,
        weights={each: ALL[each] for each in asked.events.split(",")},
        poison=asked.poison if asked.kind == "run" else 0,
        shared=shared,
        settings=PROTOCOLS[asked.protocol] if shared else {},
        told={
            "without": list(filter(None, asked.without.split(","))),
            "aborts": asked.aborts,
            "standby": asked.standby,
        },
    )
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = asked.keep or Path(temporary)
        proxy = Proxy()
        broker = Broker(
            Path(temporary) / "broker",
            proxy,
            **{"transaction.abort.timed.out.transaction.cleanup.interval.ms": 100},
        )
        try:
            outcome = Chaos(plan, broker, place).run()
        finally:
            broker.close()
            proxy.close()
    print(outcome)
    return 0 if outcome.verdict.exact else 1


if __name__ == "__main__":
    sys.exit(main())
