"""The id of an alert: the same for the same finding, another for any other."""

from __future__ import annotations

import pytest

from engine import Engine
from oracle import Feed
from small_plans import at, plan, sliding, source, tumbling

WORDS = [["at", "timestamp[us]"], ["k", "str"]]
ROWS = [at(1, k="a"), at(2, k="b"), at(3, k="a"), at(11, k="a")]


def rule(name: str = "seen", **options: object) -> dict:
    defaults = {"name": name, "by": ["k"], "severity": "warning", "cooldown": None, "version": 1}
    when = {"fn": "is_not_null", "args": [{"col": "k"}]}
    return defaults | {"when": when, "message": "{k}", "score": 0, "shadow": False} | options


def alerts_of(whole: dict, cuts: int = 1) -> list[dict]:
    engine, alerts = Engine(whole, {0: [0]}), []
    for start in range(0, len(ROWS), cuts):
        alerts += engine.step([Feed(0, ROWS[start : start + cuts])]).alerts
        engine = engine.restored()
    return alerts + engine.finish().alerts


def with_rules(node: dict, *rules: dict) -> dict:
    """The same output twice, under two names, with the same rules."""
    whole = plan(node, inputs=[source(schema=WORDS)], rules=list(rules))
    return whole | {"outputs": [whole["outputs"][0] | {"name": name} for name in ("one", "two")]}


@pytest.mark.parametrize("node", [tumbling(10, by=("k",)), sliding(10)], ids=["window", "row"])
def test_each_finding_has_an_id_of_its_own(node: dict) -> None:
    alerts = alerts_of(with_rules(node, rule("seen"), rule("noted")))
    findings = 2 * 2 * (3 if node["op"] == "tumbling" else len(ROWS))
    assert len(alerts) == findings
    assert len({alert["id"] for alert in alerts}) == findings
    assert all(len(alert["id"]) == 32 for alert in alerts)


@pytest.mark.parametrize("node", [tumbling(10, by=("k",)), sliding(10)], ids=["window", "row"])
def test_a_finding_made_again_has_the_same_id(node: dict) -> None:
    """However rows are cut, also behind a restore, and whatever else a rule says."""
    ids = [alert["id"] for alert in alerts_of(with_rules(node, rule()))]
    assert [alert["id"] for alert in alerts_of(with_rules(node, rule()), cuts=3)] == ids
    other = rule(version=2, severity="critical", message="else", score=9)
    assert [alert["id"] for alert in alerts_of(with_rules(node, other))] == ids
