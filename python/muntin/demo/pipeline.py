"""The demo's pipelines and rules. They know nothing of where the lines come from."""

from __future__ import annotations

import muntin as mt
from muntin.demo.data import SCHEMA

OUT_OF_ORDER = "1m"
SESSION_GAP = "30m"
SILENT_AFTER = "7d"
USUAL_OVER = "90d"

lines = mt.stream("lines", time="sold", out_of_order=OUT_OF_ORDER, schema=SCHEMA)

per_minute = lines.tumbling("1m", by="store").agg(lines=mt.count(), revenue=mt.sum("cents"))

quarter_hours = lines.hopping("15m", "1m", by="store").agg(
    lines=mt.count(), revenue=mt.sum("cents")
)

households = lines.sliding(["10m", "1h"], by="household").agg(
    spent=mt.sum("cents"),
    stores=mt.count_distinct("store"),
    baskets=mt.count_distinct("basket"),
)

sessions = lines.session(SESSION_GAP, by="household").agg(
    lines=mt.count(), revenue=mt.sum("cents"), stores=mt.count_distinct("store")
)

baskets = (
    lines.session("1m", by=["household", "basket"])
    .agg(lines=mt.count(), total=mt.sum("cents"))
    .sliding(USUAL_OVER, by="household", include_current=False, emit="watermark")
    .agg(before=mt.count(), spent_before=mt.sum("total"))
)

quiet_stores = lines.silent(SILENT_AFTER, by="store")

HOUSEHOLD_RULES = (
    mt.rule(
        "two_stores",
        "stores_10m >= 2",
        by="household",
        severity="critical",
        cooldown="10m",
        message="household {household}: {stores_10m} stores within 10 minutes",
        score=60,
    ),
    mt.rule(
        "many_baskets",
        "baskets_1h >= 4",
        by="household",
        cooldown="1h",
        message="household {household}: {baskets_1h} baskets within an hour",
        score=30,
    ),
)

BASKET_RULES = (
    mt.rule(
        "far_beyond_usual",
        "before >= 10 and total > 10000 and total * before > 10 * spent_before",
        by="household",
        message="household {household}: a basket of {total} cents, {before} before it came to "
        "{spent_before} in 90 days",
        score=40,
    ),
)

STORE_RULES = (
    mt.rule(
        "silent_store",
        "last_event_time is not null",
        by="store",
        severity="info",
        message="store {store}: no sale since {last_event_time}",
    ),
)

OUTPUTS = {
    "per_minute": (per_minute, ()),
    "quarter_hours": (quarter_hours, ()),
    "households": (households, HOUSEHOLD_RULES),
    "sessions": (sessions, ()),
    "baskets": (baskets, BASKET_RULES),
    "quiet_stores": (quiet_stores, STORE_RULES),
}
"""Each output's pipeline and rules."""
