"""The id of an alert: the same for the same finding, another for any other."""

from __future__ import annotations

import pytest

from engine import Engine
from oracle import Feed
from small_plans import at, plan, session, sliding, source, tumbling

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


TRUE = {"lit": True, "type": "bool"}
BY_KEY = tumbling(10, by=("k",))
LATE = tumbling(10, by=("k",), allowed_lateness=100_000_000)
RENAMED = {"op": "select", "from": 1, "columns": [["key", {"col": "k"}], ["n", {"col": "n"}]]}
DROPPED = {"op": "select", "from": 1, "columns": [["window_end", {"col": "window_end"}]]}
MASKED = {"op": "with_columns", "from": 1, "columns": [["k", {"lit": "x", "type": "str"}]]}
TWICE = {"op": "union", "from": [1, 2], "tag": None, "names": []}
TAGGED = TWICE | {"tag": "of", "names": ["one", "two"]}
EVERY_ROW = {"op": "filter", "from": 0, "where": TRUE}
SHARED = {
    "windows": [BY_KEY],
    "windows that a late key enters": [LATE],
    "sessions": [session(3, by=["k"])],
    "silences": [{"op": "silent", "from": 0, "by": ["k"], "after": 2_000_000, "every": 1_000_000}],
    "a key with another name": [BY_KEY, RENAMED],
    "a key that was dropped": [BY_KEY, DROPPED],
    "a key that was replaced": [BY_KEY, MASKED],
    "windows twice": [BY_KEY, BY_KEY, TWICE],
    "windows twice with a tag": [BY_KEY, BY_KEY, TAGGED],
    "rows twice": [EVERY_ROW, EVERY_ROW, TWICE],
    "rows behind windows": [
        BY_KEY,
        sliding(10, source=1, columns=[{"name": "m", "aggregate": 0, "size": 0}]),
    ],
}


WITHOUT_K = {"a key with another name", "a key that was dropped"}
IDS = [(name, by) for name in SHARED for by in ([], ["k"]) if not (by and name in WITHOUT_K)]


@pytest.mark.parametrize(("name", "by"), IDS)
def test_no_two_alerts_share_an_id(name: str, by: list[str]) -> None:
    """Also where a rule's key does not tell the rows apart that it fires for."""
    rules = [rule("seen", by=by, when=TRUE, message="")]
    whole = plan(*SHARED[name], inputs=[source(schema=WORDS, out_of_order=2_000_000)], rules=rules)
    rows = [*ROWS, at(12, k="b"), at(12, k=None), at(8, k="c"), at(25, k="a")]
    ids: list[list[str]] = []
    for cut in (1, 3, len(rows)):
        engine, found = Engine(whole, {0: [0]}), []
        for start in range(0, len(rows), cut):
            found += engine.step([Feed(0, rows[start : start + cut])]).alerts
            engine = engine.restored()
        ids.append([alert["id"] for alert in found + engine.finish().alerts])
    assert len(set(ids[0])) == len(ids[0]) > 4
    assert ids[1] == ids[2] == ids[0]


def test_the_id_of_a_window_holds_no_more_than_its_key() -> None:
    """It is the same whatever the row holds beside, and whether another row fires."""
    ids = []
    for when in (TRUE, {"fn": "eq", "args": [{"col": "k"}, {"lit": "b", "type": "str"}]}):
        whole = plan(BY_KEY, inputs=[source(schema=WORDS)], rules=[rule(by=[], when=when)])
        engine = Engine(whole, {0: [0]})
        alerts = engine.step([Feed(0, ROWS)]).alerts
        ids.append(
            [alert["id"] for alert in alerts if '"b"' in str(alert["values"]).replace("'", '"')]
        )
    assert len(ids[0]) == 1
    assert ids[0] == ids[1]
