"""What a run says of itself to Prometheus: each number is right, and the docs list each."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

import muntin as mt
from muntin.base.errors import CommitLost
from muntin.checkpoint.authority import TakenOver
from muntin.clients.kafka.transaction import TransactionLost
from muntin.loop.quiet import QuietPartitions
from muntin.monitor.counters import Counters
from muntin.sources import Lag
from pages import FakeLoop, eventually, page, sale

LIST = Path(__file__).parent.parent / "docs" / "metrics.md"
LISTED = re.compile(r"^\| `(muntin_\w+)` \| (\w+) \| ([\w, ]*)\| \S", re.M)
LAGS = {
    "tills": [
        Lag("payments", 0, 1_200, 1_700_000_000_000_000, "reading"),
        Lag("payments", 1, 0, None, "waiting"),
        Lag("payments", 2, 0, 1_700_000_000_000_000, "idle"),
        Lag("payments", 3, None, None, "lost"),
        Lag("payments", 4, None, None),
    ]
}


def happened() -> dict:
    """What a moment says of commits, as counters make it."""
    counters = Counters()
    counters.began(time.time() - 90)
    counters.committed(0.02)
    counters.aborted("timeout")
    counters.aborted("fenced")
    counters.failed("disk full")
    counters.rebalanced()
    return {
        "commit": counters.commit, "commits": counters.commits, "aborts": counters.aborts,
        "failures": counters.failures, "fenced": counters.fenced,
        "rebalances": counters.rebalances,
    }  # fmt: skip


def scraped(loop: FakeLoop, served) -> str:
    loop.push([sale(0, "a"), sale(2, "a")])
    return eventually(lambda: httpx.get(f"{served.url}metrics").text, lambda t: "source_rows" in t)


def families(text: str) -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each family, by the name of its samples."""
    found = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M):
        samples = re.findall(rf"^{name}(?:{{(.*)}})? ", text, re.M)
        found[name] = (kind, set(re.findall(r'(\w+)="', samples[0])) if samples else set())
    return found


def test_the_docs_list_each_metric() -> None:
    with page() as served:
        loop = FakeLoop(served, lags=LAGS, dead={"tills": 2}, restored=True, **happened())
        given = families(scraped(loop, served))
    listed = {
        name: (kind, set(filter(None, re.split(r"[, ]+", labels))))
        for name, kind, labels in LISTED.findall(LIST.read_text())
    }
    assert listed == given


def test_lag_is_given_by_partition_and_states_are_counted() -> None:
    with page() as served:
        text = scraped(FakeLoop(served, lags=LAGS), served)
    of = 'input="tills",partition="{}",topic="payments"'
    assert f"muntin_source_lag_rows{{{of.format(0)}}} 1200.0" in text
    assert f"muntin_source_lag_rows{{{of.format(1)}}} 0.0" in text
    assert 'partition="3"' not in text
    seconds = re.findall(r'lag_seconds\{.*partition="(\d)".*\} (\S+)', text)
    behind = time.time() - 1_700_000_000
    assert {n: float(s) for n, s in seconds} == pytest.approx(
        {"0": behind, "1": 0.0, "2": 0.0}, abs=30
    )
    states = dict(re.findall(r'source_partitions\{input="tills",state="(\w+)"\} (\S+)', text))
    assert states == {
        "reading": "1.0", "waiting": "1.0", "idle": "1.0", "paused": "0.0", "lost": "1.0",
    }  # fmt: skip


def test_commits_are_counted_by_how_they_end() -> None:
    with page() as served:
        text = scraped(FakeLoop(served, every=0.5, **happened()), served)
    for line in (
        "muntin_commits_total 1.0",
        'muntin_commit_aborts_total{cause="timeout"} 1.0',
        'muntin_commit_aborts_total{cause="fenced"} 1.0',
        'muntin_commit_aborts_total{cause="refused"} 0.0',
        "muntin_commit_failures_total 1.0",
        "muntin_fenced_total 1.0",
        "muntin_rebalances_total 1.0",
        "muntin_commit_seconds 0.02",
        "muntin_commit_interval_seconds 0.5",
    ):
        assert line in text
    age = float(re.findall(r"^muntin_commit_age_seconds (\S+)", text, re.M)[0])
    assert 0 <= age < 30  # not the 90 of the restored one


def test_a_run_without_checkpoints_says_nothing_of_commits() -> None:
    with page() as served:
        text = scraped(FakeLoop(served), served)
    assert "muntin_commit" not in text
    assert "muntin_restore" not in text
    assert "muntin_source_lag_rows{" not in text


def test_results_date_from_the_checkpoint_that_a_run_resumes_from() -> None:
    counters = Counters(wall=lambda: 1_000.0)
    counters.began(400.0)
    assert counters.commit is not None
    assert (counters.commit.at, counters.commit.outcome) == (400.0, "none")
    counters.aborted("refused")
    counters.began(400.0)  # the loop begins again
    assert (counters.commit.at, counters.commit.outcome) == (400.0, "aborted")
    counters.committed(0.1)
    assert (counters.commit.at, counters.commit.outcome) == (1_000.0, "committed")


class Script:
    """A source whose rows come one by one, and that knows how far it is behind."""

    bounded = False
    total = None
    partitioned_by = None

    def __init__(self, polled: list) -> None:
        self._polled = polled

    def reads(self):
        return ()

    def partitions(self):
        return (0, 1)

    def identity(self):
        return ("script",)

    def open(self, schema, positions, mark=None):
        return self

    def poll(self):
        return self._polled.pop(0) if self._polled else None

    def lag(self):
        return {0: Lag("t", 0, 5, None), 1: Lag("t", 1, 0, None)}

    def close(self) -> None:
        pass


class Watch:
    """Keeps all moments."""

    def __init__(self) -> None:
        self.moments: list = []

    def begin(self, scene) -> None:
        self.scene = scene

    def gave(self, result, undecodable) -> None:
        pass

    def moment(self, moment) -> None:
        self.moments.append(moment)

    def end(self, error) -> None:
        pass


STREAM = mt.stream(
    time="at", out_of_order="0s", idle_after="1ms", schema={"at": "timestamp[us, UTC]"}
)


def test_a_run_says_what_each_partition_does() -> None:
    watch = Watch()
    mt.run(Script([mt.sources.Quiet((0, 1))]), STREAM, dashboard=watch)
    assert [lag.state for lag in watch.moments[-1].lags["input"]] == ["reading", "waiting"]


def test_idle_and_lost_partitions_are_told_apart() -> None:
    now = [0.0]
    op = mt.operator(STREAM, partitions=(0, 1))
    quiet = QuietPartitions(op, lambda: now[0])
    quiet.has_none("input", 0)
    quiet.is_lost("input", 1)
    assert (quiet.state("input", 0), quiet.state("input", 1)) == (None, "lost")
    now[0] = 1.0
    quiet.has_none("input", 0)
    assert quiet.state("input", 0) == "idle"
    quiet.has_none("input", 1)
    assert quiet.state("input", 1) is None
    quiet.has_rows("input", 0)
    assert quiet.state("input", 0) is None


def test_a_restored_run_says_how_long_that_took(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"at": "2024-05-01T10:00:00Z"}\n')

    def once():
        watch = Watch()
        sales = STREAM.tumbling("1m").agg(n=mt.count())
        report = mt.run(
            mt.sources.JsonLines(source), sales, once=True, dashboard=watch,
            checkpoint=mt.Checkpoint(tmp_path / "state", every="50ms"),
        )  # fmt: skip
        return watch, report

    first, report = once()
    assert report.rows == 1
    assert report.restore is None
    assert first.scene.every == 0.05
    assert first.moments[-1].commit.outcome == "committed"
    assert first.moments[-1].commits >= 1
    again, report = once()
    assert report.restore == again.moments[-1].restore
    assert report.restore.number >= 1
    assert report.restore.bytes > 0
    assert "resumed   from checkpoint" in repr(report)


def test_a_lost_commit_has_a_cause() -> None:
    assert CommitLost("nobody knows").cause == "refused"
    assert TransactionLost("no answer", "timeout").cause == "timeout"
    assert not issubclass(TakenOver, CommitLost)


def alert_rules() -> str:
    page = (LIST.parent / "operations.md").read_text()
    return page.partition("```yaml\n")[2].partition("```")[0]


def test_alerts_use_metrics_that_are_listed_and_each_is_explained() -> None:
    rules = alert_rules()
    listed = {name for name, *_ in LISTED.findall(LIST.read_text())}
    used = set(re.findall(r"\bmuntin_\w+", rules))
    assert len(used) > 10
    assert used <= listed
    named = re.findall(r"alert: (\w+)", rules)
    page = (LIST.parent / "operations.md").read_text()
    assert [re.search(rf"^\| {name} \|", page, re.M) is not None for name in named] == [
        True for _ in named
    ]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
def test_prometheus_takes_the_alert_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(alert_rules())
    checked = subprocess.run(
        ["promtool", "check", "rules", "rules.yaml"], cwd=tmp_path, text=True, capture_output=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "12 rules found" in checked.stdout
