"""A rule that is a Python function: it sees the rows of a batch and answers for each of them.

Run it: python examples/own_rule.py
"""

from __future__ import annotations

import fraud
import numpy as np

import muntin as mt


@mt.rule(
    "round_amount",
    by="card",
    cooldown="1m",
    severity="info",
    message="{card}: {amount:,.2f} is a round sum",
    on_error="skip",
)
def round_amount(batch: mt.Table) -> object:
    """True for whole hundreds.

    `batch` is a table: `batch["amount"]` is an Arrow column, and any Arrow library takes it. The
    answer may be of Arrow, NumPy, Polars, pandas or a list: one boolean for each row.
    """
    amount = np.asarray(batch["amount"])
    return (amount > 0) & (amount % 100 == 0)


def main() -> mt.Result:
    """Payments of two cards, one of them in round sums."""
    payments = [
        {"paid_at": f"2024-05-03T10:0{minute}:00Z", "card": card, "merchant": "m", "amount": amount}
        for minute, (card, amount) in enumerate([("a", 19.99), ("b", 300.0), ("b", 200.0)])
    ]
    result = mt.collect(fraud.scored, payments, rules=[round_amount])
    for alert in result.alerts:
        print(alert["severity"], alert["rule"], alert["message"])
    return result


if __name__ == "__main__":
    main()
