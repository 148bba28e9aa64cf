"""What of a masked column reaches the page: nothing, by whatever way it might have come."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from extremes import PLAIN, stamped
from muntin.monitor.dashboard.cells import columns
from muntin.monitor.dashboard.derived import derived
from muntin.monitor.dashboard.mask import HIDDEN, Mask
from muntin.monitor.dashboard.options import Dashboard
from muntin.pipeline.messages import filled
from muntin.pipeline.plan import compile
from muntin.sources import Undecodable
from muntin.values import show
from pages import FakeLoop, page, sale, ticks

FORMS = ["", ":,", ":.2f", ":,.2f", ":.0f", ":.1%", ":,.0%", ":d", ":,d", ":f", ":%"]
PASSED = mt.stream(time="at", out_of_order="0s").filter("at is not null")

NUMBERS = {
    "decimal": PLAIN["decimal"],
    "halves": pa.array([Decimal(t) for t in ("0.5", "1.5", "-2.5", "0.005", "99.995", "0.045")],
                       pa.decimal128(9, 3)),
    "int64": pa.array([2**63 - 1, -(2**63), 0, 999, 1000, -1000, None]),
    "f64": pa.array([0.5, 1.5, 2.5, -0.001, 1e22, 1234567.891, 0.1, float("nan"), float("-inf")]),
    "f32": pa.array([0.1, 16777216.0, 1e10, None], pa.float32()),
}  # fmt: skip


@pytest.mark.parametrize("kind", [*NUMBERS, *(k for k in PLAIN if not k.startswith("timestamp["))])
def test_a_message_is_filled_as_the_engine_fills_it(kind: str) -> None:
    column = (PLAIN | NUMBERS)[kind]
    rules = [
        mt.rule(f"r{i}", "at is not null", by=(), message=f"<{{x{form}}}>{{{{")
        for i, form in enumerate(FORMS)
    ]
    result = mt.operator(PASSED, rules=rules).push(stamped(column))
    kinds = {"x": result.rows.to_arrow().schema.field("x").type}
    assert len(result.alerts) == len(column) * len(FORMS)
    for alert in result.alerts:
        template = f"<{{x{FORMS[int(alert['rule'][1:])]}}}>{{{{"
        assert filled(template, json.loads(alert["values"]), kinds) == alert["message"], template


SECRET = 98_765
MESSAGES = [
    before + "{pin" + form + "}" + after
    for before, after in [("", ""), ("a ", "b"), ("a {store} ", " {store}"), ("{n}", "{n:,}"),
                          ("<", ">"), ("{{", "}}"), ("_", "_"), ("é", "é"), ("", "00")]
    for form in FORMS
]  # fmt: skip


def shown_of(pin: Any, *, mask: tuple[str, ...] = ("pin",), message: str) -> dict[str, Any]:
    rule = mt.rule("all", "n > 0", by="pin", message=message)
    pipeline = mt.stream(time="at", out_of_order="0s").sliding("1m", by="pin").agg(n=mt.count())
    at = [dt.datetime(2024, 5, 1, tzinfo=dt.UTC)]
    op = mt.operator(pipeline, rules=[rule])
    result = op.push(pa.table({"at": at, "pin": [pin], "store": ["a"]}))
    hiding = Mask(mask, b"key")
    hiding.see(op.plan)
    table = columns(result.alerts.to_arrow())
    schema = result.rows.to_arrow().schema
    kinds = {"rows": dict(zip(schema.names, schema.types, strict=True))}
    found = hiding.alerts(table, {("rows", "all"): message}, kinds)
    return {name: column[0] for name, column in found.items()} | {
        "row": hiding.columns(result.rows.to_arrow()),
        "hash": hiding.text("pin", show.plain_text(show.to_json(pa.array([pin]))[0])),
    }


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("pin", [SECRET, str(SECRET), Decimal(SECRET)], ids=["i64", "str", "dec"])
def test_no_message_shows_a_masked_value(message: str, pin: Any) -> None:
    alert = shown_of(pin, message=message)
    text = json.dumps({k: v for k, v in alert.items() if k != "hash"}, ensure_ascii=False)
    for form in FORMS:
        told = filled(f"{{x{form}}}", {"x": SECRET}, {})
        if len(told) >= 5:
            assert told not in text
    assert alert["hash"] in alert["message"]
    # equal values look equal wherever they stand
    assert json.loads(alert["key"]) == {"pin": alert["hash"]}
    assert json.loads(alert["values"])["pin"] == alert["hash"] == alert["row"]["pin"][0]


def test_the_id_does_not_tell_the_key() -> None:
    """It is a hash without a secret of what else is known, so keys could be tried against it."""
    assert shown_of(SECRET, mask=(), message="")["id"] != shown_of(SECRET, message="")["id"]


def test_what_names_no_masked_column_is_left_alone() -> None:
    alert = shown_of(1, message="{store} has {n} of 1")
    assert alert["message"] == "a has 1 of 1"
    assert json.loads(alert["values"])["store"] == "a"


def test_what_cannot_be_read_is_hidden() -> None:
    table = {
        "id": ["x", "x"], "key": ["no json", "[1]"], "values": ['{"pin":1}', "{"],
        "message": ["1", "1"], "rule": ["unknown", "known"], "output": ["o", "o"],
    }  # fmt: skip
    shown = Mask(["pin"]).alerts(table, {("o", "known"): "{pin}"}, {})
    assert shown["message"] == [HIDDEN] * 2
    assert shown["key"] == [HIDDEN] * 2
    assert shown["values"][1] == HIDDEN


def test_rules_of_one_name_on_two_outputs_are_two() -> None:
    table = {
        "id": ["x", "y"], "key": ["{}", "{}"], "values": ['{"pin":77777}'] * 2,
        "message": ["77777", "plain"], "rule": ["r", "r"], "output": ["a", "b"],
    }  # fmt: skip
    shown = Mask(["pin"]).alerts(table, {("a", "r"): "{pin}", ("b", "r"): "plain"}, {})
    assert "77777" not in json.dumps(shown)
    assert shown["message"][1] == "plain"


def test_what_is_made_of_a_masked_column_is_masked() -> None:
    schema = {"at": "timestamp[us, UTC]", "card": "str", "pin": "i64", "v": "f64"}
    stream = mt.stream(time="at", out_of_order="0s", schema=schema)
    pipeline = (
        stream.with_columns(copy="card", sum="pin + 1", long="pin > 3", v2="v * 2")
        .select("at", "v", "long", "v2", name="copy", number="sum", v3="case when long then v end")
        .sliding(["1m", "1h"], by="name")
        .agg(last=mt.last("name"), n=mt.count(), kinds=mt.count_distinct("name"),
             high=mt.max("number", where="v > 1"), spent=mt.sum("v", where="number > 3"))
    )  # fmt: skip
    plan = json.loads(compile([("o", pipeline, ())]).json)
    assert derived(plan, ["card", "pin"]) == {
        "card", "pin", "copy", "sum", "name", "number",
        "last", "last_1m", "last_1h", "high", "high_1m", "high_1h",
    }  # fmt: skip


def test_a_mask_reaches_into_structs_and_lists() -> None:
    table = pa.table({"x": [[{"pin": SECRET, "b": 1}, {"pin": None, "b": 2}]], "pin": [[SECRET]]})
    shown = Mask(["pin"]).columns(table)
    assert str(SECRET) not in json.dumps(shown)
    assert '"b":2' in str(shown["x"][0])


def test_a_path_shows_no_masked_folder() -> None:
    mask = Mask(["card"])
    assert "4111" not in mask.path("data/card=4111/day=2/x.parquet")
    assert mask.path("data/card=4111/day=2/x").endswith("/day=2/x")
    assert Mask([]).path("data/card=4111/x") == "data/card=4111/x"


def test_a_masked_column_is_not_drawn_and_its_rows_say_nothing() -> None:
    hidden = ("card", "amount")
    with page(Dashboard(":0", mask=hidden)) as served:
        loop = FakeLoop(served)
        rows = [sale(m, "a", 4_111_777, 60.25) for m in range(5)]
        loop.push([*rows, sale(0, "a", 4_111_777, 60.25)])
        torn = Undecodable(0, 9, "card=4111777/f", 9, '{"card": 4111777', "at 4111777")
        served.gave(loop.op.finish(), [("tills", torn)])
        for output in loop.op.outputs:
            for query in (f"?output={output}", f"?output={output}&measure=amount"):
                said = ticks(served.url, lambda s: "samples" in s and "shapes" in s, query)
                text = json.dumps(said)
                assert "4111777" not in text and "60.25" not in text
                for shape in said["shapes"].values():
                    assert not set(hidden) & set(shape["measures"])
        loop.end(ValueError("4111777"))
        said = ticks(served.url, lambda s: s.get("state", [""])[0] == "failed")
        assert said["state"] == ["failed", HIDDEN]


def test_all_forms_are_tried() -> None:
    assert len(MESSAGES) == len(FORMS) * 9
