"""Fraud features for each payment, and rules on them. The pipeline knows no source.

`backtest.py` and `service.py` import it from here: live and history are the same by import.

Run it: python examples/fraud.py
"""

from __future__ import annotations

import shop

import muntin as mt

PAYMENTS = {
    "paid_at": "timestamp[us, UTC]",
    "card": "str",
    "merchant": "str",
    "amount": "f64",
}

scored = (
    mt.stream("payments", time="paid_at", out_of_order="1s", schema=PAYMENTS)
    .sliding(["1m", "1h", "24h"], by="card")
    .agg(n=mt.count(), spent=mt.sum("amount"))
    .sliding("1h", by="card")
    .agg(shops_1h=mt.count_distinct("merchant"))
    .sliding("10m", by="merchant")
    .agg(big_10m=mt.count(where="amount > 500"))
)

rules = [
    mt.rule(
        "card_testing",
        "n_1m >= 5 and spent_1m < 20",
        by="card",
        severity="critical",
        cooldown="10m",
        message="{card}: {n_1m} payments in a minute",
        score=80,
    ),
    mt.rule(
        "shop_hopping",
        "shops_1h >= 6",
        by="card",
        cooldown="1h",
        message="{card}: {shops_1h} shops in an hour",
        score=40,
    ),
    mt.rule(
        "large_after_small",
        "amount > 500 and spent_24h - amount < amount",
        by="card",
        cooldown="1h",
        message="{card}: {amount:.2f} at {merchant}",
        score=50,
        shadow=True,
    ),
]


def main() -> list[mt.Answer]:
    """Ask for each payment as it comes, and print those that a rule hit."""
    op = mt.operator(scored, rules=rules)
    answers = []
    for payment in shop.payments():
        payment.pop("stolen")
        answer = op.ask(payment)
        answers.append(answer)
        if answer.hits:
            print(f"{payment['paid_at']:%d %H:%M:%S} {answer.score:>4} {', '.join(answer.hits)}")
    return answers


if __name__ == "__main__":
    main()
