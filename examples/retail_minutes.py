"""A retailer's minute counts: purchases and web clicks per store, watched by two rules.

Run it: python examples/retail_minutes.py
"""

from __future__ import annotations

import pyarrow as pa
import shop

import muntin as mt

purchases = mt.stream(
    "purchases",
    time="at",
    out_of_order="10s",
    schema={"at": "timestamp[us, UTC]", "store": "str", "amount": "f64"},
)
clicks = mt.stream(
    "clicks",
    time="at",
    out_of_order="10s",
    schema={"at": "timestamp[us, UTC]", "store": "str", "page": "str"},
)

per_minute = (
    mt.union(purchases, clicks, tag="kind")
    .tumbling("1m", by=["store", "kind"])
    .agg(n=mt.count(), revenue=mt.sum("amount"))
)
quiet = purchases.silent("3m", by="store")

surge = mt.rule(
    "surge",
    "kind = 'clicks' and n >= 14",
    by="store",
    cooldown="10m",
    message="{store}: {n} clicks in a minute",
)
silence = mt.rule(
    "silence",
    "window_end is not null",
    by="store",
    severity="critical",
    message="{store}: nothing sold since {last_event_time}",
)


def main() -> mt.Report:
    """Count the two logs, print the first minutes and the alerts."""
    logs = {
        "purchases": mt.sources.Arrow(pa.Table.from_pylist(shop.purchases())),
        "clicks": mt.sources.Arrow(pa.Table.from_pylist(shop.clicks())),
    }
    report = mt.run(
        logs,
        [
            mt.output("per_minute", per_minute, rules=[surge], sinks=[mt.sinks.Console(limit=10)]),
            mt.output("quiet", quiet, rules=[silence]),
        ],
        name="retail",
        alerts=[mt.sinks.Console()],
    )
    print(report)
    return report


if __name__ == "__main__":
    main()
