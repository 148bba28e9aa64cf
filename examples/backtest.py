"""Would these rules have caught last month's cases, and at how many alerts a day?

The pipeline is the live one, by import; the history is a Parquet file.

Run it: python examples/backtest.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import fraud
import pyarrow as pa
import pyarrow.parquet as pq
import shop

import muntin as mt


def write_history(path: Path) -> set[str]:
    """Write the payments to a file; gives the cards that were stolen."""
    rows = shop.payments()
    pq.write_table(pa.Table.from_pylist(rows), path)
    return {row["card"] for row in rows if row["stolen"]}


def judge(alerts: list[dict[str, Any]], stolen: set[str], days: int) -> dict[str, dict[str, float]]:
    """For each rule: alerts a day, and how many of the stolen cards it found."""
    found: dict[str, list[str]] = {}
    for alert in alerts:
        found.setdefault(alert["rule"], []).append(json.loads(alert["key"])["card"])
    return {
        rule: {
            "alerts_a_day": len(cards) / days,
            "precision": sum(card in stolen for card in cards) / len(cards),
            "recall": len(stolen & set(cards)) / len(stolen),
        }
        for rule, cards in found.items()
    }


def main() -> dict[str, dict[str, float]]:
    """Replay the history through the live pipeline and print a line for each rule."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payments.parquet"
        stolen = write_history(path)
        alerts: list[dict[str, Any]] = []
        keep = mt.sinks.Callback(
            lambda rows: alerts.extend(rows.to_dicts()),
            when="shadow is not null",  # shadow rules, too
        )
        mt.run(
            mt.sources.Parquet(path, columns=list(fraud.PAYMENTS)),
            fraud.scored,
            rules=fraud.rules,
            alerts=[keep],
        )
    judged = judge(alerts, stolen, days=3)
    for rule, figures in judged.items():
        print(rule, ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return judged


if __name__ == "__main__":
    main()
