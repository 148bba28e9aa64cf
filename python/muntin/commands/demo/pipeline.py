"""The demo's pipelines and rules, independent of where the events come from."""

from __future__ import annotations

import muntin as mt
from muntin.commands.demo.data import SCHEMA

OUT_OF_ORDER = "8s"
SESSION_GAP = "30m"
SILENT_AFTER = "7d"
USUAL_OVER = "90d"

TIME = "timestamp[us, UTC]"
VIEWS = {"viewed": TIME, "household": "i64", "store": "i64", "page": "i64", "arrived": TIME}
DEVICES = {"sent": TIME, "store": "i64", "till": "i64", "kind": "str", "arrived": TIME}

purchases = mt.stream(
    "purchases", time="sold", out_of_order=OUT_OF_ORDER, schema=SCHEMA | {"arrived": TIME}
)
views = mt.stream("simulated_views", time="viewed", out_of_order=OUT_OF_ORDER, schema=VIEWS)
devices = mt.stream("simulated_devices", time="sent", out_of_order=OUT_OF_ORDER, schema=DEVICES)

activity = mt.union(
    purchases.select("store", "household", "cents", kind=mt.lit("purchase")),
    views.select("store", "household", kind=mt.lit("simulated_view")),
    devices.select("store", "kind"),
)

per_minute = activity.tumbling("1m", by=["store", "kind"]).agg(
    events=mt.count(), revenue=mt.sum("cents")
)

quarter_hours = purchases.hopping("15m", "1m", by="store").agg(
    lines=mt.count(), revenue=mt.sum("cents")
)

# households that bought, for each that looked: the same store, the same day in UTC
conversion = (
    activity.tumbling("1d", by="store")
    .agg(
        visitors=mt.count_distinct("household", where="kind = 'simulated_view'"),
        buyers=mt.count_distinct("household", where="kind = 'purchase'"),
    )
    .with_columns(conversion="buyers / visitors")
)

households = purchases.sliding(["10m", "1h"], by="household").agg(
    spent=mt.sum("cents"),
    stores=mt.count_distinct("store"),
    baskets=mt.count_distinct("basket"),
)

baskets = (
    purchases.session("1m", by=["household", "basket"])
    .agg(lines=mt.count(), total=mt.sum("cents"))
    .sliding(USUAL_OVER, by="household", include_current=False, emit="watermark")
    .agg(before=mt.count(), spent_before=mt.sum("total"))
)

click_sessions = views.session(SESSION_GAP, by="household").agg(
    views=mt.count(), pages=mt.count_distinct("page"), stores=mt.count_distinct("store")
)

till_errors = (
    devices.filter("kind = 'simulated_error'")
    .tumbling("5m", by=["store", "till"])
    .agg(errors=mt.count())
)

silent_stores = devices.silent(SILENT_AFTER, by="store")

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

CLICK_RULES = (
    mt.rule(
        "bot",
        "views >= 300",
        by="household",
        severity="critical",
        message="household {household}: {views} simulated page views of {pages} pages in a session",
        score=80,
    ),
)

TILL_RULES = (
    mt.rule(
        "device_errors",
        "errors >= 5",
        by=["store", "till"],
        severity="critical",
        cooldown="1h",
        message="store {store}, till {till}: {errors} simulated device errors in 5 minutes",
    ),
)

STORE_RULES = (
    mt.rule(
        "silent_store",
        "last_event_time is not null",
        by="store",
        severity="info",
        message="store {store}: no simulated device event since {last_event_time}",
    ),
)

# outputs that use simulated events say so in their names, kinds or messages
OUTPUTS = {
    "per_minute": (per_minute, ()),
    "quarter_hours": (quarter_hours, ()),
    "simulated_conversion": (conversion, ()),
    "households": (households, HOUSEHOLD_RULES),
    "baskets": (baskets, BASKET_RULES),
    "simulated_sessions": (click_sessions, CLICK_RULES),
    "simulated_errors": (till_errors, TILL_RULES),
    "simulated_silence": (silent_stores, STORE_RULES),
}
"""Each output's pipeline and rules."""
