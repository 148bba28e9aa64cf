"""Short runs of `python -m tests.kafka.kill`: nothing lost, nothing double, whatever is killed.

And controls: with a rule of the protocol left out, the same verifier finds the damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

from kafka.broker import Broker, Proxy, missing
from kafka.kill import PROTOCOLS, Chaos, Outcome, Plan

pytestmark = pytest.mark.slow

RAW = Plan(kind="raw", seconds=8, workers=1, patience=40, weights={"wait": 1})


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if reason := missing():
        pytest.skip(reason)
    proxy = Proxy()
    broker = Broker(tmp_path_factory.mktemp("broker"), proxy)
    yield broker
    broker.close()
    proxy.close()


@pytest.fixture
def run(broker: Broker, tmp_path: Path) -> Callable[[Plan], Outcome]:
    return lambda plan: Chaos(plan, broker, tmp_path / "chaos").run()


def test_a_run_is_killed_and_its_connections_are_cut(run) -> None:
    weights = {"kill": 3, "stop": 1, "zombie": 1, "cut": 2, "silence": 1, "broker_kill": 1}
    plan = Plan(kind="run", seconds=20, workers=1, weights=weights, poison=100, patience=60)
    outcome = run(plan)
    assert outcome.verdict.exact and outcome.verdict.poison > 20, outcome


def test_copies_that_stand_by_take_over_when_the_owner_is_killed(run) -> None:
    weights = {"kill": 3, "stop": 1, "zombie": 1}
    plan = Plan(kind="run", seconds=25, workers=2, weights=weights, poison=100, patience=60)
    outcome = run(replace(plan, told={"standby": True}, pause=(2.0, 5.0)))
    assert outcome.verdict.exact, outcome


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_copies_of_a_run_share_the_partitions_and_are_killed(run, protocol: str) -> None:
    weights = {"kill": 5, "stop": 1, "cut": 1}
    plan = Plan(kind="run", seconds=20, workers=2, weights=weights, patience=90, shared=True)
    outcome = run(replace(plan, settings=PROTOCOLS[protocol]))
    assert outcome.verdict.exact, outcome


def test_workers_of_the_protocol_share_the_partitions_and_are_killed(run) -> None:
    weights = {"kill": 6, "stop": 1, "zombie": 1, "cut": 1}
    outcome = run(replace(RAW, seconds=15, workers=2, weights=weights))
    assert outcome.verdict.exact, outcome


def test_injected_aborts_lose_nothing(run) -> None:
    outcome = run(replace(RAW, told={"aborts": 0.3}))
    assert outcome.verdict.exact, outcome


@pytest.mark.parametrize(
    ("rule", "points", "aborts", "damage"),
    [
        ("transaction", ("after commit",), 0.0, "double"),
        ("names", ("after snapshot",), 0.0, "missing"),
        ("reload", (), 0.3, "missing"),
    ],
)
def test_the_verifier_finds_damage(run, rule: str, points, aborts: float, damage: str) -> None:
    told = {"without": [rule], "aborts": aborts}
    armed = 1.0 if points else 0.0
    plan = replace(RAW, told=told, points=points or None, armed=armed, patience=6)
    outcome = run(plan)
    assert getattr(outcome.verdict, damage), outcome
