"""Saved plans as their verbs were written, and how two of them differ."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import muntin as mt
from muntin.engine.operator import snapshot_contents
from muntin.pipeline.aggregates import KINDS
from muntin.pipeline.plan import compile, outputs_of
from muntin.pipeline.written import written
from plans import plans

WORDS = {"at": "timestamp[us, UTC]", "card": "str", "device": "str", "amount": "f64"}
TYPED = mt.stream("payments", time="at", out_of_order="0s", schema=WORDS)
LOOSE = mt.stream("payments", time="at", out_of_order="0s")
CLICKS = mt.stream("clicks", time="at", out_of_order="1m", schema=WORDS)
N = {"n": mt.count()}
SPENT = {"n": mt.count(), "spent": mt.sum("amount")}
NAMES = {
    **{name: getattr(mt, name) for name in ("stream", "union", *KINDS)},
    **{name: getattr(mt, name) for name in ("col", "lit", "when", "is_late", "arrival")},
    **{"epoch": mt.epoch, "Decimal": Decimal, "timedelta": timedelta, "datetime": datetime},
    **{"date": date, "timezone": timezone, "UTC": UTC},
    **{"nan": float("nan"), "inf": float("inf")},
}


def typed(name: str, words: dict[str, list[list[str]]], **options: Any) -> mt.Stream:
    return mt.stream(name, **options, schema=dict(words[name]))


def saved(pipeline: Any, rules: Any = ()) -> dict[str, Any]:
    return json.loads(compile(outputs_of(pipeline, rules)).json)


def text(plan: dict[str, Any], output: int = 0) -> str:
    return "".join(written(plan, plan["outputs"][output]["node"]))


def tree(plan: dict[str, Any], node: int) -> Any:
    """All that a node computes, with what it reads from in place of its number."""
    found = dict(plan["nodes"][node])
    if found["op"] == "input":
        spec = {k: v for k, v in plan["inputs"][found["input"]].items() if k != "schema"}
        return json.dumps({"op": "input", **spec}, sort_keys=True)
    above = found.pop("from")
    found.pop("names", None)
    reads = above if isinstance(above, list) else [above]
    found.setdefault("allow_gaps", False)
    if "offset" in found:
        cycle = found["size"] if found["op"] == "cumulative" else found.get("every", found["size"])
        if isinstance(cycle, dict):
            count = cycle.get("days", 0) * 86_400_000_000
            if "months" in cycle:
                found["offset_months"] = found.get("offset_months", 0) % cycle["months"]
        found["offset"] %= (cycle if isinstance(cycle, int) else count) or found["offset"] + 1
        found.setdefault("offset_months", 0)
    return [json.dumps(flat(found), sort_keys=True), *(tree(plan, each) for each in reads)]


def flat(value: Any) -> Any:
    """Nested `and` and `or` as one, since how they nest means nothing."""
    if isinstance(value, list):
        return [flat(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: flat(item) for name, item in value.items()}
    if (fn := found.get("fn")) in ("and", "or", "coalesce"):
        inner = [a["args"] if a.get("fn") == fn else [a] for a in found["args"]]
        found["args"] = [arg for args in inner for arg in args]
    return found


def refusal(before: Any, now: Any, rules: Any = ((), ())) -> str:
    """What is said of the snapshot of another pipeline."""
    snapshot = mt.operator(before, rules=rules[0]).snapshot()
    with pytest.raises(mt.SnapshotError) as caught:
        mt.operator(now, rules=rules[1], snapshot=snapshot)
    return str(caught.value)


@pytest.mark.parametrize(
    "pipeline",
    [
        TYPED.sliding("1h", by="card").agg(**N),
        TYPED.sliding(["60m", "1d"], by=["card", "device"], names="{size}:{name}").agg(
            n=mt.count()
        ),
        TYPED.sliding(["60m"], by="card", closed="both", null_key="group").agg(**N),
        TYPED.sliding("1m", include_current=False, emit="watermark").agg(**N),
        LOOSE.filter("amount > 0 and card is not null").tumbling("1w", by="card").agg(**N),
        TYPED.hopping("2w", "1w", by="card", emit="changed", allowed_lateness="1h").agg(**N),
        TYPED.tumbling("2w", week_start="sunday", by="card").agg(**N),
        TYPED.tumbling("24h", offset="1h").agg(**N),
        TYPED.tumbling(timedelta(days=1)).agg(**N),
        TYPED.tumbling("1y", offset="1q5d4h", time_zone="Europe/London").agg(**N),
        TYPED.hopping("1y", "1q", by="card", time_zone="Asia/Kolkata").agg(**N),
        TYPED.hopping("7d", "1d", by="card", time_zone=mt.col("card")).agg(**N),
        TYPED.cumulative("1d", "1h", by="card", emit="changed").agg(**N),
        TYPED.cumulative("1mo", "1d", time_zone="UTC").agg(**N),
        TYPED.sliding(None, by="card", expire_after="90d").agg(**N),
        TYPED.sliding(by="card", rows=5, include_current=False).agg(**N),
        TYPED.tumbling("1h", offset="15m", emit="each", allowed_lateness="1m").agg(**N),
        TYPED.hopping("1h", "2h", allow_gaps=True).agg(**N),
        TYPED.session("30m", by="card", gap_closed=False, allowed_lateness="1m").agg(**N),
        TYPED.silent("20m", by="card", known=["a", None], every="1h"),
        TYPED.silent("20m", by=["card", "device"], known=[("a", "b")]),
        TYPED.previous(by="card", last="amount"),
        TYPED.previous(by=[], ago="1d", last="amount", then="at"),
        TYPED.deduplicate("card", "1m30s"),
        TYPED.deduplicate(["card", "device"], "1h"),
        TYPED.select("at", "card", cents=mt.col("amount") * 100),
        TYPED.with_columns(verb="amount", arguments="card", unit=mt.lit("x")),
        mt.stream(time=mt.epoch("ms", "sent"), out_of_order="1m", max_future_skew=None).filter("x"),
        mt.stream("p", time="at", out_of_order="0s", idle_after="5s", max_future_skew="2d"),
    ],
    ids=repr,
)
def test_a_saved_pipeline_reads_as_it_was_written(pipeline: mt.Stream) -> None:
    # with declared columns an SQL text has become an expression
    assert text(saved(pipeline)) == repr(pipeline)


@given(st.data())
def test_what_is_written_makes_the_same_plan(data: st.DataObject) -> None:
    plan, _ = data.draw(plans(1_000_000, data.draw(st.booleans()), data.draw(st.booleans())))
    for output in plan["outputs"]:
        said = text({**plan, "outputs": [output]})
        if "  # " in said or '{"' in said:
            continue  # a plan that no verb makes: other names of columns, `each` without revisions
        words = {each["name"]: each["schema"] for each in plan["inputs"]}
        streams = {"stream": lambda name, words=words, **more: typed(name, words, **more)}
        try:
            pipeline = eval(said, NAMES | streams)
        except mt.PlanError as error:
            # an engine takes more than the verbs allow
            assert "union" in str(error) or "revisions" in str(error), error
            continue
        again = saved(pipeline)
        same = tree(again, again["outputs"][0]["node"]), tree(plan, output["node"])
        assert same[0] == same[1]


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (
            TYPED.sliding("1h", by="card").agg(**N),
            TYPED.sliding("2h", by="card").agg(**SPENT),
            [
                '- .sliding("1h", by="card").agg(n=count())',
                '+ .sliding("2h", by="card").agg(n=count(), spent=sum("amount"))',
            ],
        ),
        (
            TYPED.filter(mt.col("amount") > 0).tumbling("1m").agg(**N),
            TYPED.tumbling("1m").agg(**N),
            ['- .filter(col("amount") > 0)'],
        ),
        (
            TYPED.tumbling("1m").agg(**N),
            TYPED.tumbling("1m").agg(**N).filter(mt.col("n") > 5),
            ['+ .filter(col("n") > 5)'],
        ),
        (
            TYPED.tumbling("1m").agg(**N),
            TYPED.session("1m").agg(**N),
            ['- .tumbling("1m").agg(n=count())', '+ .session("1m").agg(n=count())'],
        ),
        (
            TYPED.silent("20m", by="card"),
            mt.stream(
                "payments", time="at", out_of_order="5s", schema=WORDS, idle_after="5s"
            ).silent("20m", by="card"),
            [
                '- stream("payments", time="at", out_of_order="0s")',
                '+ stream("payments", time="at", out_of_order="5s", idle_after="5s")',
            ],
        ),
        (
            LOOSE.filter("amount > 0").tumbling("1m").agg(**N),
            LOOSE.filter("amount > 1").tumbling("1m").agg(**N),
            ['- .filter("amount > 0")', '+ .filter("amount > 1")'],
        ),
        (
            mt.union(TYPED, CLICKS.filter(mt.col("amount") > 0)).tumbling("1m").agg(**N),
            mt.union(TYPED, CLICKS, tag="kind").tumbling("1m").agg(**N),
            ['-     .filter(col("amount") > 0)', "- )", '+     tag="kind")'],
        ),
    ],
    ids=["parameters", "removed", "added", "another verb", "input", "text", "union"],
)
def test_a_refusal_shows_both_as_they_were_written(before: Any, now: Any, lines: list[str]) -> None:
    said = refusal(before, now).splitlines()
    assert said[0] == "the snapshot is of another pipeline (- of the snapshot, + of now)"
    shown = [line.removeprefix("  ") for line in said[1:-1]]
    assert [line for line in shown if "clicks" not in line] == lines
    assert said[-1].startswith("hint: start without it, with the pipeline that made it, or with")


def test_each_output_has_its_own_changes() -> None:
    def outputs(*more: Any, size: str = "1m", least: float = 0.0) -> list[Any]:
        large = TYPED.filter(mt.col("amount") > least)
        return [
            mt.output("a", large.tumbling(size, by="card").agg(**N)),
            mt.output("b", large.silent("1h", by="card")),
            *more,
        ]

    third = mt.output("c", TYPED)
    said = refusal(outputs(third), outputs(size="2m")).splitlines()
    assert said[1:-1] == [
        '    output "a"',
        '  - .tumbling("1m", by="card").agg(n=count())',
        '  + .tumbling("2m", by="card").agg(n=count())',
        '  - output "c"',
        '  - stream("payments", time="at", out_of_order="0s")',
    ]
    said = refusal(outputs(), outputs(third, least=1.0)).splitlines()
    assert said[1:-1] == [
        '    output "a", "b"',
        '  - .filter(col("amount") > 0.0)',
        '  + .filter(col("amount") > 1.0)',
        '  + output "c"',
        '  + stream("payments", time="at", out_of_order="0s")',
    ]
    said = refusal(outputs(), outputs()[::-1]).splitlines()
    assert said[1:-1] == ['  - outputs "a", "b"', '  + outputs "b", "a"']


def test_a_rule_of_another_key_or_cooldown_is_shown() -> None:
    def rules(**options: Any) -> list[mt.Rule]:
        return [mt.rule("big", "amount > 5", **options), mt.rule("any", "amount > 0", by="card")]

    said = refusal(TYPED, TYPED, (rules(by="card", cooldown="1m"), rules(by=["card", "device"])))
    assert said.splitlines()[1:-1] == [
        '  - rule("big", by=["card"], cooldown="1m")',
        '  + rule("big", by=["card", "device"])',
    ]


def test_a_run_says_the_same_of_its_checkpoint(tmp_path: Path) -> None:
    rows = [{"at": datetime(2024, 5, 1, tzinfo=UTC), "card": "a", "device": "b", "amount": 1.0}]
    mt.run(rows, TYPED.tumbling("1m").agg(**N), checkpoint=tmp_path)
    with pytest.raises(mt.SnapshotError, match=r'(?s)- \.tumbling\("1m"\).*\+ \.tumbling\("2m"\)'):
        mt.run(rows, TYPED.tumbling("2m").agg(**N), checkpoint=tmp_path)


def test_a_plan_that_cannot_be_read_is_shown_as_it_is() -> None:
    plan = saved(TYPED.tumbling("1m").agg(**N))
    plan["nodes"][1]["size"] = -1
    assert text(plan).endswith('"revisions": true, "size": -1}')
    assert snapshot_contents(mt.operator(TYPED).snapshot())["manifest"]["plan"]["nodes"]
