"""What a run would guarantee is said in plain sentences, without a broker and without a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import muntin as mt
from muntin.commands.app import app

SCHEMA = {"at": "timestamp[us, UTC]", "card": "str", "shop": "str"}
STREAM = mt.stream("pay", time="at", out_of_order="1s", schema=SCHEMA)
BY_CARD = STREAM.tumbling("1m", by="card").agg(n=mt.count())
pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

NOWHERE = "127.0.0.1:1"


def source(**more) -> mt.Source:
    return mt.sources.Kafka("payments", servers=NOWHERE, group="fraud", **more)


def topic(name: str = "scored", servers: str = NOWHERE) -> mt.Sink:
    return mt.sinks.Kafka(name, servers=servers)


def said(text: str, word: str) -> str:
    found = [line for line in text.splitlines() if line.startswith(f"{word:<15}")]
    assert found, text
    return found[0][15:]


ONCE = "Kafka exactly once for readers of read_committed"
CASES = [
    (
        {"sinks": [topic()], "alerts": mt.sinks.Webhook("https://localhost:1/")},
        f"rows in {ONCE}; alerts in Webhook at least once with a stable id",
    ),
    (
        {"sinks": [topic()], "alerts": topic("alerts"), "late": topic("late")},
        f"rows and alerts and late rows in {ONCE}",
    ),
    (
        {"sinks": [topic(), topic("copy", "127.0.0.1:2")]},
        f"rows in {ONCE}; rows in Kafka at least once",
    ),
    ({"sinks": [mt.sinks.JsonLines("a.jsonl")]}, "rows in JsonLines exactly once"),
    ({"sinks": [mt.sinks.Console()]}, "rows in Console at least once"),
    ({}, "nothing"),
]


@pytest.mark.parametrize(("to", "words"), CASES)
def test_each_kind_of_row_has_its_guarantee(to: dict, words: str) -> None:
    assert said(mt.explain(source(), BY_CARD, checkpoint="state", **to), "writes") == words


def test_a_sink_for_bad_messages_is_named() -> None:
    bad = mt.sinks.Kafka("bad", servers=NOWHERE)
    text = mt.explain(source(bad=bad), BY_CARD, checkpoint="state")
    words = "undecodable records in Kafka exactly once for readers of read_committed"
    assert said(text, "writes") == words


def test_without_checkpoints_nothing_is_promised() -> None:
    text = mt.explain(source(), BY_CARD, sinks=topic())
    assert "writes all rows again" in said(text, "writes")
    assert said(text, "authority") == "none: the run keeps no state"


def test_the_authority_is_named() -> None:
    every = mt.Checkpoint("state", every="500ms")
    text = mt.explain(source(), BY_CARD, sinks=topic(), checkpoint=every)
    words = 'a transaction of Kafka with the id "fraud" commits rows, offsets and checkpoint '
    assert said(text, "authority") == words + "together; one every 500ms"
    text = mt.explain(source(), BY_CARD, sinks=mt.sinks.Console(), checkpoint=every)
    words = "the newest complete checkpoint in Directory('state') counts; one every 500ms"
    assert said(text, "authority") == words


def test_an_object_store_has_a_pointer() -> None:
    pytest.importorskip("obstore", reason="not installed: obstore")
    text = mt.explain(source(), BY_CARD, checkpoint=mt.Checkpoint("s3://bucket/fraud"))
    assert said(text, "authority").startswith("the checkpoint that the pointer in ")


def test_the_scope_is_that_of_the_source() -> None:
    text = mt.explain(source(partitioned_by="card"), BY_CARD, checkpoint="state")
    assert said(text, "scope").startswith("partition: ")
    assert "output rows" in text and "tumbling" in text
    text = mt.explain(source(partitioned_by="shop"), BY_CARD, checkpoint="state")
    assert said(text, "scope").startswith("global: ")


def test_what_cannot_start_is_an_error_without_a_broker() -> None:
    rows = [{"at": "2024-05-01T10:00:00Z", "card": "a", "shop": "b"}]
    with pytest.raises(mt.PlanError, match="needs a name of its own"):
        mt.explain(mt.sources.Rows(rows), BY_CARD, sinks=topic(), checkpoint="state")
    with pytest.raises(mt.PlanError, match='unknown option "sink"'):
        mt.explain(source(), BY_CARD, sink=topic())


PROGRAM = f"""
import muntin as mt

stream = mt.stream("pay", time="at", out_of_order="1s", schema={SCHEMA!r})
source = mt.sources.Kafka("payments", servers="{NOWHERE}", group="fraud")
sink = mt.sinks.Kafka("scored", servers="{NOWHERE}")

def main():
    print("rows", mt.run(source, stream, sinks=sink, checkpoint="state").rows)

"""


def check(place: Path, program: str, *options: str):
    file = place / "program.py"
    file.write_text(program)
    return CliRunner().invoke(app, ["check", *options, str(file)])


def test_check_says_what_a_run_guarantees_and_starts_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for program, options in (
        (PROGRAM + "main()\n", []),
        (PROGRAM + 'if __name__ == "__main__":\n    main()\n', ["--main"]),
    ):
        answer = check(tmp_path, program, *options)
        assert answer.exit_code == 0, answer.stderr
        assert "rows in Kafka exactly once for readers of read_committed" in answer.stdout
        assert "rows 0" in answer.stdout
        assert not (tmp_path / "state").exists()
    answer = check(tmp_path, PROGRAM.replace("stream =", "_s =").replace("stream,", "_s,"))
    assert answer.exit_code == 1
    assert "check --main" in answer.stderr


def test_a_run_that_could_not_start_is_a_fault_of_the_check(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    late = PROGRAM.replace('checkpoint="state"', 'checkpoint=mt.Checkpoint("state", every="1h")')
    answer = check(tmp_path, late + "main()\n")
    assert answer.exit_code == 1
    assert 'run "fraud": checkpoints every 1h are too far apart' in answer.stderr


def test_watchers_get_the_guarantee_of_a_run() -> None:
    scenes: list = []

    class Watch:
        def begin(self, scene) -> None:
            scenes.append(scene)

        def gave(self, result, undecodable) -> None: ...

        def moment(self, moment) -> None: ...

        def end(self, error) -> None: ...

    rows = [{"at": "2024-05-01T10:00:00Z", "card": "a", "shop": "b"}]
    kept: list = []
    mt.run(rows, BY_CARD, sinks=[mt.sinks.Callback(kept.append)], dashboard=Watch())
    assert scenes[0].guarantee.startswith("without checkpoints a restart starts from the beginning")
