"""Streams: the plan they build, their equality, and the errors on the line where they arise."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from muntin.base.errors import (
    ColumnError,
    DurationError,
    ExpressionError,
    MuntinError,
    PlanError,
    SchemaError,
)
from muntin.expr.build import Expr, col, lit
from muntin.expr.functions import epoch
from muntin.pipeline.aggregates import KINDS, Agg, count, max, sum
from muntin.pipeline.plan import CompiledPlan, compile, output, outputs_of
from muntin.pipeline.rules import Rule, rule
from muntin.pipeline.start import stream, union
from muntin.pipeline.stream import Stream

WORDS = {"at": "timestamp[us, UTC]", "card": "str", "shop": "str", "amount": "f64"}
pay = stream("pay", time="at", out_of_order="1s", schema=WORDS)
loose = stream(time="at", out_of_order="1s")


def typed(word: str) -> Stream:
    return stream(
        f"a {word}", time="at", out_of_order="0s", schema={"at": "timestamp[us]", "v": word}
    )


def plan_of(pipeline: Any, *rules: Rule) -> dict[str, Any]:
    return dict(json.loads(compile(outputs_of(pipeline, rules)).json))


def last(pipeline: Stream) -> dict[str, Any]:
    return dict(plan_of(pipeline)["nodes"][-1])


def test_explain_says_that_silence_waits_for_rows() -> None:
    waits = 'silent("1m", by="card") waits for rows'
    assert waits in pay.silent("1m", by="card").explain()
    idle = stream("pay", time="paid_at", out_of_order="0s", idle_after="30s")
    assert "waits for rows" not in idle.silent("1m", by="card").explain()


def test_input() -> None:
    made = stream("s", time=epoch("ms", "t"), out_of_order=timedelta(seconds=1), idle_after="1m")
    assert plan_of(made)["inputs"] == [
        {
            "name": "s",
            "time": {"fn": "epoch_ms", "args": [{"col": "t"}]},
            "out_of_order": 1_000_000,
            "idle_after": 60_000_000,
            "max_future_skew": 86_400_000_000,
            "schema": None,
        }
    ]
    assert plan_of(loose)["inputs"][0]["name"] == "input"
    assert plan_of(pay)["inputs"][0]["schema"] == [list(pair) for pair in WORDS.items()]


def test_out_of_order_explains_itself() -> None:
    with pytest.raises(PlanError, match="'0s' for sorted data, else how far behind"):
        stream(time="at")  # type: ignore[call-overload]


def test_sliding_columns_go_aggregate_by_aggregate() -> None:
    made = loose.sliding(["1m", timedelta(minutes=90)], by="card").agg(n=count(), s=sum("amount"))
    node = last(made)
    assert [c["name"] for c in node["columns"]] == ["n_1m", "n_1h30m", "s_1m", "s_1h30m"]
    assert [(c["aggregate"], c["size"]) for c in node["columns"]] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert node["sizes"] == [60_000_000, 5_400_000_000]
    one = last(loose.sliding("24h", by="card").agg(n=count()))
    listed = last(loose.sliding(["24h"], by="card").agg(n=count()))
    named = last(loose.sliding(["24h"], by="card", names="{size}/{name}").agg(n=count()))
    assert [n["columns"][0]["name"] for n in (one, listed, named)] == ["n", "n_24h", "24h/n"]


def test_columns_that_come_out() -> None:
    assert pay.sliding("1m", by="card").agg(n=count()).node.columns == (*WORDS, "n")
    windows = pay.tumbling("1m", by=["card", "shop"], allowed_lateness="1m")
    bounds = ("window_start", "window_end")
    assert windows.agg(n=count()).node.columns == ("card", "shop", *bounds, "n", "revision")
    assert pay.session("1m").agg(n=count()).node.columns == (*bounds, "last_event_time", "n")
    assert pay.silent("1m", by="card").node.columns == ("card", *bounds, "last_event_time")
    assert pay.with_columns(amount="amount * 2", z=1).node.columns == (*WORDS, "z")
    assert pay.select("card", z=1).node.columns == ("card", "z")


@pytest.mark.parametrize(
    ("size", "offset", "expected"),
    [
        ("1w", "0s", 4 * 86_400_000_000),
        ("1w", "3d", 0),
        ("7d", "0s", 0),
        ("1d", "0s", 0),
        ("1h", "-15m", 45 * 60_000_000),
        ("1h", "75m", 15 * 60_000_000),
    ],
)
def test_offset_is_canonical_and_weeks_start_on_monday(
    size: str, offset: str, expected: int
) -> None:
    assert last(loose.tumbling(size, offset=offset).agg(n=count()))["offset"] == expected


def test_equal_prefixes_are_one_node() -> None:
    big, small = pay.filter("amount > 500"), pay.filter(col("amount") > 500)
    assert big == small and hash(big) == hash(small) and {big: 1}[small] == 1
    plan = plan_of(
        {"a": big.tumbling("1m").agg(n=count()), "b": small.tumbling("60s").agg(n=count())}
    )
    assert [n["op"] for n in plan["nodes"]] == ["input", "filter", "tumbling"]
    assert [o["node"] for o in plan["outputs"]] == [2, 2]
    assert pay.filter("amount > 501") != big and pay != loose


OTHER = {"at": "timestamp[us, UTC]", "card": "str"}


def test_plans_are_topological_and_deterministic() -> None:
    other = stream("other", time="at", out_of_order="1s", schema=OTHER)
    both = union(pay.filter("amount > 1"), other, tag="kind")
    made = both.sliding("1h", by="card").agg(n=count()).filter("n > 3")
    plan = plan_of(made)
    for i, node in enumerate(plan["nodes"]):
        above = node.get("from", [])
        assert all(j < i for j in (above if isinstance(above, list) else [above]))
    assert both.node.columns == (*WORDS, "kind")
    assert plan["nodes"][3] == {
        "op": "union",
        "from": [1, 2],
        "tag": "kind",
        "names": ["pay", "other"],
    }
    assert compile(outputs_of(made)).json == compile(outputs_of(made)).json


def test_repr_reads_back() -> None:
    made = (
        loose.with_columns(z="amount * 2")
        .filter(col("z") > 1)
        .sliding(["1m", "1h"], by=["card", "shop"], closed="both")
        .agg(n=count(where="amount > 5"), m=max(col("z")))
        .hopping("1h", "5m", by="card", allowed_lateness="1m", revisions=False)
        .agg(n=count("shop"))
        .silent("1d", by="card", known=["a", None])
    )
    names = {"stream": stream, "count": count, "max": max, "col": col}
    assert eval(repr(made), names) == made


def test_explain_tells_scope_and_nodes() -> None:
    text = pay.filter("amount > 1").tumbling("1m", by="card").agg(n=count()).explain()
    for part in ('input "pay"', "<- 0", "scope", "global", "replay stable"):
        assert part in text


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (None, 'global: no source declares partitioned_by= (it could be "card")'),
        ("card", 'partition: the key of sliding#1 contains "card", unchanged from the source'),
        (["amount"], 'global: the key "card" of sliding#1 lacks "amount"'),
    ],
)
def test_explain_tells_the_scope_for_a_partitioned_source(columns: object, text: str) -> None:
    pipeline = pay.sliding("1m", by="card").agg(n=count())
    lines = pipeline.explain(partitioned_by=columns).splitlines()  # type: ignore[arg-type]
    assert f"scope          {text}" in lines
    stable = next(line for line in lines if line.startswith("replay stable"))
    assert ("yes" in stable) == text.startswith("partition")


S, C, D, P, X = SchemaError, ColumnError, DurationError, PlanError, ExpressionError
one = loose.tumbling("1m", by="card")


@pytest.mark.parametrize(
    ("wrong", "kind", "part"),
    [
        (lambda: pay.filter("amout > 1"), C, 'did you mean "amount"'),
        (lambda: pay.filter('card = "x"'), C, "single quotes"),
        (lambda: pay.filter("a && b"), X, "and is written and"),
        (lambda: pay.filter(True), P, "not a condition"),
        (lambda: pay.filter("sum(amount) > 1"), X, "aggregate"),
        (lambda: pay.select("cart"), C, 'did you mean "card"'),
        (lambda: pay.select("card", card=1), C, "two columns"),
        (lambda: pay.with_columns(), P, "no column"),
        (lambda: pay.tumbling("1m", by="crd"), C, 'did you mean "card"'),
        (lambda: pay.tumbling("1m", by=["card", "card"]), C, "twice"),
        (lambda: pay.tumbling("1m", by=col("card")), P, "with_columns"),
        (lambda: pay.tumbling(), P, "size is missing"),
        (lambda: pay.tumbling("0s"), D, "is zero"),
        (lambda: pay.tumbling("1mo2d"), D, "mixes months"),
        (lambda: pay.tumbling("0mo"), D, "is zero"),
        (lambda: pay.tumbling("99999y"), D, "longer than the calendar"),
        (lambda: pay.session("1mo"), D, 'write days, as in "30d"'),
        (lambda: pay.sliding("1mo"), D, "hopping and cumulative windows take months"),
        (lambda: pay.tumbling("1d", time_zone="europe/berlin"), P, 'mean "Europe/Berlin"'),
        (lambda: pay.tumbling("1d", time_zone=5), P, "time_zone=5 is not a time zone"),
        (lambda: pay.tumbling("1d", time_zone=col("card")), P, "is not in by="),
        (lambda: pay.tumbling("1h", time_zone="Europe/Berlin"), P, "is elapsed time"),
        (lambda: pay.tumbling("1d", week_start="sunday"), P, "is for sizes in weeks"),
        (lambda: pay.tumbling("1w", week_start="funday"), P, "week_start"),
        (lambda: pay.tumbling("1d", offset="1mo"), P, "does not"),
        (lambda: pay.hopping("1mo", "1d"), P, "count both in days, or both in months"),
        (lambda: pay.hopping("1y", "5y"), P, "allow_gaps"),
        (lambda: pay.cumulative("1d"), P, "step is missing"),
        (lambda: pay.cumulative("1d", "7h"), P, "not a whole number of steps"),
        (lambda: pay.cumulative("1h", "1d"), P, "not a whole number of steps"),
        (lambda: pay.cumulative("1d", "1s"), P, "86,400 windows"),
        (lambda: pay.tumbling(rows=3), P, "rows= is not there yet"),
        (lambda: pay.tumbling("1m", fill="null"), P, "fill= is not there yet"),
        (lambda: pay.tumbling("1m", emit="changed"), P, "hopping and cumulative have it"),
        (lambda: pay.tumbling("1m", emit="eech"), P, "one of final, each"),
        (lambda: pay.tumbling("1m", emit="each", revisions=False), P, "revisions"),
        (lambda: pay.hopping("1m"), P, "every is missing"),
        (lambda: pay.hopping("1m", "2m"), P, "allow_gaps"),
        (lambda: pay.hopping("1d", "1s"), P, "86,400 windows"),
        (lambda: pay.session("1m", gap_max="2m"), P, "gap_max= is not there yet"),
        (lambda: pay.sliding(None, emit="watermark"), P, "not there yet for size=None"),
        (lambda: pay.sliding(rows=0), P, "at least 1, got 0"),
        (lambda: pay.sliding([]), P, "no size"),
        (lambda: pay.sliding("1m", rows=3), P, "rows= beside a size"),
        (lambda: pay.sliding("1m", expire_after="1d"), P, "expire_after= beside a size"),
        (lambda: pay.sliding("1m", closed="lef"), P, "one of right"),
        (lambda: pay.sliding("1m", emit="watermark", allowed_lateness="1s"), P, "no place"),
        (lambda: pay.sliding(["1m", "1h"], names="{name}").agg(n=count()), C, "two columns"),
        (lambda: pay.sliding(["1m"], names="{nam}").agg(n=count()), P, "names="),
        (lambda: pay.sliding("1m").agg(amount=count()), C, 'called "amount"'),
        (lambda: one.agg(), P, "no aggregate"),
        (lambda: one.agg(n=count), P, "mt.count"),
        (lambda: one.agg(n="amount"), P, "mt.sum"),
        (lambda: one.agg(card=count()), C, 'called "card"'),
        (lambda: one.agg(window_end=count()), C, 'called "window_end"'),
        (lambda: loose.tumbling("1m", emit="each").agg(revision=count()), C, "revision"),
        (lambda: pay.sliding("1m").agg(n=sum("amont")), C, 'did you mean "amount"'),
        (lambda: pay.silent("1m", by=["card", "shop"], known=["a"]), P, "a value for each"),
        (lambda: pay.silent("1m", by="card", known=[1.5]), P, "not there yet"),
        (lambda: pay.silent("1m", by="card", every="0s"), D, "silent: every"),
        (lambda: pay.explain(keys=3), P, "not there yet"),
        (lambda: pay.explain(partitioned_by="cart"), C, 'did you mean "card"'),
        (lambda: pay.explain(partitioned_by=[]), P, "no column"),
        (lambda: pay.explain(partitioned_by=["card", "card"]), P, "comes twice"),
        (lambda: pay.explain(partitioned_by=3), P, "is not a list"),
        (lambda: pay.explain(partitioned_by=[3]), P, "3 is not a column"),
        (lambda: union(pay), P, "two are the least"),
        (lambda: union(typed("u64"), typed("i64")), S, "is u64 in one stream and i64 in another"),
        (lambda: union(typed("i8"), typed("f64"), typed("str")), S, "i8 in one stream and str"),
        (lambda: union(pay, loose), P, "each need one"),
        (lambda: union(pay, pay.filter("amount > 1"), tag="card"), C, "already"),
        (lambda: stream("x", time="at", out_of_order="10"), D, "not a duration"),
        (lambda: stream("x", time="at", out_of_order="1s", schema={"at": "int64"}), S, '"i64"'),
        (lambda: stream("x", time="when", out_of_order="1s", schema=WORDS), C, "when"),
        (lambda: stream("x", time="at", out_of_order="1s", schema=[1]), S, "not a schema"),
        (lambda: compile([]), P, "needs an output"),
        (lambda: plan_of(one), P, "by .agg"),
        (lambda: compile([("a", pay, ()), ("a", pay, ())]), P, "twice"),
        (
            lambda: plan_of({"a": pay, "b": stream("pay", time="at", out_of_order="2s")}),
            P,
            "two different",
        ),
        (lambda: outputs_of({"a": pay, "b": pay}, [rule("r", "amount > 1")]), P, "whose they are"),
    ],
)
def test_errors(wrong: Callable[[], object], kind: type[MuntinError], part: str) -> None:
    with pytest.raises(kind) as error:
        wrong()
    assert part in str(error.value)


@pytest.mark.parametrize(
    "options",
    [{"allowed_lateness": "1m"}, {"emit": "each"}, {"emit_every": "10s"}],
)
def test_no_window_behind_revisions(options: dict[str, Any]) -> None:
    fired = loose.tumbling("1m", by="card", **options).agg(n=count()).filter("n > 1")
    for wrong in (
        lambda: fired.tumbling("1h"),
        lambda: fired.hopping("1h", "1m"),
        lambda: fired.session("1h"),
        lambda: fired.sliding("1h"),
        lambda: fired.silent("1h", by="card"),
    ):
        with pytest.raises(PlanError, match="it cannot follow windows that emit revisions"):
            wrong()


def test_a_window_behind_a_late_window_without_revisions() -> None:
    once = loose.tumbling("1m", by="card", allowed_lateness="1m", revisions=False).agg(n=count())
    assert last(once.tumbling("1h", by="card").agg(n=sum("n")))["op"] == "tumbling"


def test_kinds_have_a_function_each() -> None:
    import muntin

    names = vars(muntin)
    for name, kind in KINDS.items():
        columns = ['"x"'] * (kind.most - len(kind.keywords))
        more = [f'{keyword}="y"' for keyword in kind.keywords]
        text = f"{name}({', '.join([*columns, *kind.parameters, *more])})"
        made = eval(text, names)
        assert isinstance(made, Agg) and made.kind == name
        assert kind.least <= len(made.args) <= kind.most
        assert made == eval(text, names) and hash(made) == hash(eval(text, names))
        assert made == eval(repr(made), names), text
    assert (
        sum(col("x")) != sum("x")
        and repr(sum("x", where=col("y") > 1)) == 'sum("x", where=col("y") > 1)'
    )


def test_a_rule_in_a_plan() -> None:
    made = rule("r", "n > 1", by="card", cooldown="10m", message="{card}: {n:,}", score=3)
    plan = plan_of(one.agg(n=count()), made)
    assert plan["outputs"][0]["rules"] == [
        {
            "name": "r",
            "when": {"fn": "gt", "args": [{"col": "n"}, {"lit": 1, "type": "i64"}]},
            "by": ["card"],
            "severity": "warning",
            "cooldown": 600_000_000,
            "message": "{card}: {n:,}",
            "score": 3,
            "version": 1,
            "shadow": False,
        }
    ]
    again = rule("r", col("n") > 1, by=["card"], cooldown=timedelta(minutes=10))
    assert made != again and again == rule("r", col("n") > 1, by="card", cooldown="10m")


def test_a_decorated_rule_is_a_mask() -> None:
    @rule("f", by=())
    def f(batch: Any) -> object:
        return batch

    plan: CompiledPlan = compile([("a", pay, [rule("r", "amount > 1"), f])])
    rules = json.loads(plan.json)["outputs"][0]["rules"]
    assert rules[1]["when"] == {"mask": 0} and plan.masks == (f,)


def test_the_key_of_a_rule() -> None:
    def by(pipeline: Stream) -> object:
        return plan_of(pipeline, rule("r", lit(True)))["outputs"][0]["rules"][0]["by"]

    per_card = pay.sliding("1m", by="card").agg(n=count())
    assert by(pay) == []
    assert by(per_card) == ["card"]
    assert by(per_card.sliding("1h", by="card").agg(m=count())) == ["card"]
    assert by(per_card.tumbling("1m", by="shop").agg(m=count())) == ["shop"]
    with pytest.raises(PlanError, match=r"needs by=: the pipeline has the keys"):
        by(per_card.sliding("1h", by="shop").agg(m=count()))
    with pytest.raises(ColumnError, match="its key"):
        by(per_card.select("n"))


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        (lambda: rule("", "n > 1"), "needs a name"),
        (lambda: rule("r", "n >"), "syntax"),
        (lambda: rule("r", "sum(n) > 1"), "aggregate"),
        (lambda: rule("r", "n", severity="warn"), "info, warning or critical"),
        (lambda: rule("r", "n", cooldown="0s"), "is zero"),
        (lambda: rule("r", "n", evidence=2), "evidence=2 is not there yet"),
        (lambda: rule("r", "n", version=0), "version=0"),
        (lambda: rule("r", "n", message="{n"), "{{"),
        (lambda: rule("r", "n", message="{}"), "names no column"),
        (lambda: rule("r", "n", message="{n!r}"), "formats are"),
        (lambda: rule("r", "n", message="{n:>8}"), "formats are"),
        (lambda: rule("r", "n", message="{n:{w}}"), "formats are"),
        (lambda: rule("r", lambda b: b), "decorated"),
        (lambda: plan_of(pay, rule("r", "n > 1")), 'unknown column "n"'),
        (lambda: plan_of(pay, rule("r", "amount > 1", message="{amout}")), '"amount"'),
        (lambda: plan_of(pay, rule("r", "amount > 1", by="crd")), '"card"'),
        (lambda: plan_of(pay, *[rule("r", "amount > 1")] * 2), "twice"),
        (lambda: output("", pay), "needs a name"),
        (lambda: output("a", pay, rules=["r"]), "not a rule"),
    ],
)
def test_rule_errors(wrong: Callable[[], object], part: str) -> None:
    with pytest.raises(PlanError) as error:
        wrong()
    assert part in str(error.value)


def test_an_expression_is_no_key_of_a_dict_by_accident() -> None:
    assert isinstance(col("a") == col("a"), Expr)


def test_types_are_checked_where_the_verb_is_written() -> None:
    pytest.importorskip("muntin._core")
    for wrong in (lambda: pay.filter("amount + 1"), lambda: pay.filter("amount.x > 1")):
        with pytest.raises(MuntinError):
            wrong()
    with pytest.raises(MuntinError):
        pay.tumbling("1m").agg(s=sum("card"))
    with pytest.raises(MuntinError, match="epoch"):
        stream("x", time="at", out_of_order="1s", schema={"at": "i64"})
    made = pay.tumbling("1m", by="card").agg(n=count(), s=sum("amount"))
    zoned = "timestamp[us, UTC]"
    assert made.schema == {
        "card": "str",
        "window_start": zoned,
        "window_end": zoned,
        "n": "i64",
        "s": "f64",
    }
