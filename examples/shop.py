"""Small invented data for the other examples: the same at each run."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

START = dt.datetime(2024, 5, 3, 9, tzinfo=dt.UTC)


def purchases(count: int = 300) -> list[dict[str, Any]]:
    """Purchases in three stores within half an hour; the harbour's till fails after ten minutes."""
    draw = random.Random(1)
    seconds = sorted(draw.uniform(0, 1800) for _ in range(count))
    stores = [draw.choice(["north", "south", "harbour"]) for _ in seconds]
    return [
        {
            "at": START + dt.timedelta(seconds=second),
            "store": store,
            "amount": round(draw.lognormvariate(3, 0.6), 2),
        }
        for second, store in zip(seconds, stores, strict=True)
        if store != "harbour" or not 600 < second < 900
    ]


def clicks(count: int = 600) -> list[dict[str, Any]]:
    """Clicks in the web shop, each with the store it was meant for."""
    draw = random.Random(2)
    seconds = sorted(draw.uniform(0, 1800) for _ in range(count))
    return [
        {
            "at": START + dt.timedelta(seconds=second),
            "store": draw.choice(["north", "south", "harbour"]),
            "page": draw.choice(["/", "/cart", "/offers"]),
        }
        for second in seconds
    ]


def payments(days: int = 3, cards: int = 40) -> list[dict[str, Any]]:
    """Card payments of some days. Some cards were stolen: `stolen` marks what the thief paid."""
    draw = random.Random(3)
    rows = []
    for day in range(days):
        midnight = START.replace(hour=0) + dt.timedelta(days=day)
        for _ in range(cards * 6):
            rows.append(
                {
                    "paid_at": midnight + dt.timedelta(seconds=draw.uniform(0, 86_400)),
                    "card": f"card-{draw.randrange(cards):03}",
                    "merchant": f"shop-{draw.randrange(12):02}",
                    "amount": round(draw.lognormvariate(3.2, 0.8), 2),
                    "stolen": False,
                }
            )
        thief = midnight + dt.timedelta(hours=2 + day)
        for i in range(9):
            rows.append(
                {
                    "paid_at": thief + dt.timedelta(seconds=5 * i),
                    "card": f"card-{7 * day:03}",
                    "merchant": f"shop-{i:02}",
                    "amount": 1.0 if i < 6 else 900.0,
                    "stolen": True,
                }
            )
    return sorted(rows, key=lambda row: row["paid_at"])
