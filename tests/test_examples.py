"""Every example runs, offline, and says what it should."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from typer.testing import CliRunner

from muntin.commands.app import app

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def _in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        *(
            "backtest",
            "fraud",
            "kafka_fraud",
            "own_rule",
            "retail_minutes",
            "service",
            "shop",
            "test_fraud",
        )
    }


def test_a_rule_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    import own_rule

    own_rule.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"info round_amount b: {sum}.00 is a round sum" for sum in (300, 200)]


def test_the_retailers_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    import retail_minutes
    import shop

    report = retail_minutes.main()
    assert report.sources == {"purchases": len(shop.purchases()), "clicks": 600}
    assert report.late == 0
    printed = capsys.readouterr().out
    assert "critical silence: harbour: nothing sold since" in printed
    assert "warning surge:" in printed


@pytest.mark.slow
def test_payments_are_scored_from_kafka_to_kafka(
    kafka_broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kafka_fraud

    broker = kafka_broker()
    monkeypatch.chdir(tmp_path)
    sent = kafka_fraud.produce(broker.servers)
    broker.produce("payments", [(b"card-000", b'{"paid_at": "soon"}')])
    for _ in range(2):  # the second run finds nothing new
        report = kafka_fraud.main(broker.servers, "state", once=True)
        assert report.rows == sent == len(broker.read("scored"))
    (bad,) = broker.read("payments-bad")
    assert b"soon" in bad.value or b"paid_at" in bad.value
    alerts = [json.loads(record.value) for record in broker.read("alerts")]
    thieves = {each["key"] for each in alerts if each["rule"] == "card_testing"}
    assert thieves == {
        json.dumps({"card": f"card-{n:03}"}, separators=(",", ":")) for n in (0, 7, 14)
    }


def test_each_thief_is_found_while_paying(capsys: pytest.CaptureFixture[str]) -> None:
    import fraud

    hit = [answer.row for answer in fraud.main() if "card_testing" in answer.hits]
    assert [row["card"] for row in hit if row] == ["card-000", "card-007", "card-014"]
    assert capsys.readouterr().out.count("card_testing") == 3


def test_history_gives_what_live_gave() -> None:
    import backtest
    import fraud

    judged = backtest.main()
    assert judged["card_testing"] == {"alerts_a_day": 1.0, "precision": 1.0, "recall": 1.0}
    live = [alert["rule"] for answer in fraud.main() for alert in answer.alerts]
    assert {rule: live.count(rule) / 3 for rule in judged} == {
        rule: figures["alerts_a_day"] for rule, figures in judged.items()
    }


def test_the_service_answers_each_payment() -> None:
    import fraud
    import service

    import muntin as mt

    server = service.serve(mt.operator(fraud.scored, rules=fraud.rules))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def post(body: bytes) -> dict[str, Any]:
        url = f"http://127.0.0.1:{server.server_port}/"
        with urlopen(Request(url, body), timeout=30) as reply:
            return dict(json.load(reply))

    try:
        payment = {"card": "c", "merchant": "m", "amount": 1.0}
        said = [
            post(json.dumps(payment | {"paid_at": f"2024-05-03T10:00:0{i}Z"}).encode())
            for i in range(5)
        ]
        assert [answer["hits"] for answer in said] == [[], [], [], [], ["card_testing"]]
        assert said[4]["alerts"] == ["c: 5 payments in a minute"]
        for bad in (b"{", b'{"paid_at": null}', b'{"amount": "much"}', b'{"crad": "c"}'):
            with pytest.raises(HTTPError, match="400"):
                post(bad)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_command_line_takes_a_program(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    answer = CliRunner().invoke(app, [command, str(EXAMPLES / "fraud.py")])
    assert answer.exit_code == 0, answer.output
    assert ("card_testing" if command == "run" else "scored\n") in answer.stdout


@pytest.mark.slow
def test_the_users_own_test_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_fraud.py"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
