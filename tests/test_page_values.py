"""The page shows whatever a column holds, and its stream does not break off."""

from __future__ import annotations

import json

import httpx
import pyarrow as pa
import pytest

import muntin as mt
from extremes import EVERY, PLAIN, YEAR_10000, of_bits, stamped
from pages import FakeLoop, page, ticks

KEYS = [k for k in PLAIN if (k not in ("f32", "f64", "null", "duration", "struct", "time")
        and not k.startswith(("list", "timestamp["))) or k in ("timestamp[ns, Europe/Berlin]",
        "timestamp[s, None]", "timestamp[us, UTC]")]  # fmt: skip
FAR = of_bits([YEAR_10000 * 10**6, -(10**18), 2**62], pa.timestamp("us", "UTC"))


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_value_are_shown_and_chosen(kind: str) -> None:
    stream = mt.stream("rows", time="at", out_of_order="0s", max_future_skew=None)
    counted = stream.sliding("1m", by="x", null_key="group").agg(n=mt.count())
    rule = mt.rule("all", "n > 0", message="{x}")
    with page() as served:
        loop = FakeLoop(served, [mt.output("only", counted, rules=[rule])])
        served.gave(loop.op.push(stamped(EVERY[kind])), [])
        said = ticks(served.url, lambda s: {"series", "top", "alerts"} <= s.keys(), "?output=only")
        keys = said["selection"]["keys"]
        assert keys and said["series"]["k"]
        query = str(httpx.QueryParams({"output": "only", "key": json.dumps(keys[-1])}))
        again = ticks(served.url, lambda s: "series" in s, f"?{query}")
        assert again["selection"]["keys"] == [keys[-1]] and again["series"]["k"]


def test_times_of_any_year_are_drawn() -> None:
    stream = mt.stream("rows", time="at", out_of_order="0s", max_future_skew=None)
    with page() as served:
        loop = FakeLoop(served, [mt.output("only", stream.sliding("1m", by="k").agg(n=mt.count()))])
        table = pa.table({"at": FAR, "k": ["a"] * 3, "b": [b"\xff"] * 3, "late": FAR})
        served.gave(loop.op.push(table), [])
        said = ticks(served.url, lambda s: {"series", "top", "samples"} <= s.keys(), "?output=only")
        assert said["series"]["x"][0] == YEAR_10000
        assert said["top"]["latest"]["at"][0] == "+10000-01-01T00:00:00Z"
        assert said["top"]["latest"]["b"][0] == "/w=="
        assert httpx.get(f"{served.url}metrics").status_code == 200
