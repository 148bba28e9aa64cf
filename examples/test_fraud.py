"""How a user tests a pipeline: rows in, rows out, no server and no clock.

Run it: pytest examples/test_fraud.py
"""

from __future__ import annotations

from typing import Any

import fraud

import muntin as mt


def payment(second: int, card: str = "a", amount: float = 2.0) -> dict[str, Any]:
    return {
        "paid_at": f"2024-05-03T10:00:{second:02}Z",
        "card": card,
        "merchant": "m",
        "amount": amount,
    }


def test_features_count_the_cards_own_payments() -> None:
    rows = [payment(0), payment(1, card="b"), payment(2), payment(3)]
    result = mt.collect(fraud.scored, rows)
    assert [row["n_1m"] for row in result.rows.to_dicts()] == [1, 1, 2, 3]


def test_a_tested_card_alerts_once() -> None:
    result = mt.collect(fraud.scored, [payment(i) for i in range(8)], rules=fraud.rules)
    alerts = result.alerts.to_dicts()
    assert [alert["rule"] for alert in alerts] == ["card_testing"]
    assert alerts[0]["message"] == "a: 5 payments in a minute"


def test_a_large_payment_is_only_recorded() -> None:
    op = mt.operator(fraud.scored, rules=fraud.rules)
    answer = op.ask(payment(0, amount=900.0))
    assert answer.hits == ()
    assert [alert["rule"] for alert in answer.alerts] == ["large_after_small"]
