"""The demo's pipelines and rules, independent of where the events come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import muntin as mt
from muntin.commands.demo.data import SCHEMA

OUT_OF_ORDER = "8s"
SESSION_GAP = "30m"
SILENT_AFTER = "7d"
USUAL_OVER = "90d"

TIME = "timestamp[us, UTC]"
VIEWS = {"viewed": TIME, "household": "i64", "store": "i64", "page": "i64", "arrived": TIME}
DEVICES = {"sent": TIME, "store": "i64", "till": "i64", "kind": "str", "arrived": TIME}

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


@dataclass(frozen=True, slots=True)
class Inputs:
    """The three streams of events."""

    purchases: mt.Stream
    views: mt.Stream
    devices: mt.Stream


Output: TypeAlias = tuple[mt.Stream, tuple[mt.Rule, ...]]
"""A pipeline and its rules."""


def inputs(idle_after: str | None = None) -> Inputs:
    """The streams; live ones need `idle_after`, or a partition without rows stops the clock."""
    more: Any = {"out_of_order": OUT_OF_ORDER, "idle_after": idle_after}
    schema = SCHEMA | {"arrived": TIME}
    return Inputs(
        mt.stream("purchases", time="sold", schema=schema, **more),
        mt.stream("simulated_views", time="viewed", schema=VIEWS, **more),
        mt.stream("simulated_devices", time="sent", schema=DEVICES, **more),
    )


def outputs(of: Inputs) -> dict[str, Output]:
    """Each output's pipeline and rules. Those that use simulated events say so in their names,
    kinds or messages."""
    activity = mt.union(
        of.purchases.select("store", "household", "cents", kind=mt.lit("purchase")),
        of.views.select("store", "household", kind=mt.lit("simulated_view")),
        of.devices.select("store", "kind"),
    )
    per_minute = activity.tumbling("1m", by=["store", "kind"]).agg(
        events=mt.count(), revenue=mt.sum("cents")
    )
    quarter_hours = of.purchases.hopping("15m", "1m", by="store").agg(
        lines=mt.count(), revenue=mt.sum("cents")
    )
    click_sessions = of.views.session(SESSION_GAP, by="household").agg(
        views=mt.count(), pages=mt.count_distinct("page"), stores=mt.count_distinct("store")
    )
    till_errors = (
        of.devices.filter("kind = 'simulated_error'")
        .tumbling("5m", by=["store", "till"])
        .agg(errors=mt.count())
    )
    return {
        "per_minute": (per_minute, ()),
        "quarter_hours": (quarter_hours, ()),
        "simulated_conversion": (_conversion(activity), ()),
        "households": (_households(of.purchases), HOUSEHOLD_RULES),
        "baskets": (_baskets(of.purchases), BASKET_RULES),
        "simulated_sessions": (click_sessions, CLICK_RULES),
        "simulated_errors": (till_errors, TILL_RULES),
        "simulated_silence": (of.devices.silent(SILENT_AFTER, by="store"), STORE_RULES),
    }


def _conversion(activity: mt.Stream) -> mt.Stream:
    """Households that bought, for each that looked: the same store, the same day in UTC."""
    return (
        activity.tumbling("1d", by="store")
        .agg(
            visitors=mt.count_distinct("household", where="kind = 'simulated_view'"),
            buyers=mt.count_distinct("household", where="kind = 'purchase'"),
        )
        .with_columns(conversion="buyers / visitors")
    )


def _households(purchases: mt.Stream) -> mt.Stream:
    return purchases.sliding(["10m", "1h"], by="household").agg(
        spent=mt.sum("cents"),
        stores=mt.count_distinct("store"),
        baskets=mt.count_distinct("basket"),
    )


def _baskets(purchases: mt.Stream) -> mt.Stream:
    return (
        purchases.session("1m", by=["household", "basket"])
        .agg(lines=mt.count(), total=mt.sum("cents"))
        .sliding(USUAL_OVER, by="household", include_current=False, emit="watermark")
        .agg(before=mt.count(), spent_before=mt.sum("total"))
    )


OUTPUTS = outputs(inputs())
"""Each output's pipeline and rules, for events that end."""
