"""Partition scope: a state for each partition gives what one state for all gives.

Random rows over four partitions go through one operator with one state, and through two operators
of partition scope between which the partitions move by their snapshots, each cut differently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt
from muntin import _core
from muntin.base.errors import ColumnError, PartitionError, PlanError, SchemaError, SnapshotError
from muntin.engine.operator import Operator, assembled, snapshot_contents
from muntin.engine.scope import PartitionedOperator, Partitioning, operator_for
from muntin.loop.quiet import QuietPartitions

COLUMNS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
S = 1_000_000
BY_KEY = Partitioning(("k",))
PARTITIONS = (0, 1, 2, 3)
KEYS = ["a", "b", "c", "d", "e", "f", None]

rows_in = mt.stream(time="at", out_of_order="3s", schema=COLUMNS)
totals = {"n": mt.count(), "total": mt.sum("v")}
high = mt.rule("high", "v > 5", by="k", cooldown="4s")

PIPELINES: dict[str, tuple[Any, list[mt.Rule]]] = {
    "tumbling": (rows_in.tumbling("5s", by="k").agg(**totals), []),
    "late": (rows_in.tumbling("5s", by="k", allowed_lateness="4s").agg(**totals), []),
    "hopping": (rows_in.hopping("6s", every="2s", by=["k", "v"]).agg(**totals), []),
    "session": (rows_in.session("2s", by="k").agg(**totals), []),
    "silent": (rows_in.silent("3s", by="k"), []),
    "sliding": (rows_in.sliding(["4s", "9s"], by="k").agg(**totals), [high]),
    "watermark": (rows_in.sliding("4s", by="k", emit="watermark").agg(**totals), []),
    "previous": (rows_in.previous(by="k", last="v").filter("v > 2"), []),
    "deduplicate": (rows_in.deduplicate(by="k", within="2s"), [high]),
    "chain": (
        rows_in.deduplicate(by=["k", "v"], within="1s")
        .sliding("4s", by="k")
        .agg(n=mt.count())
        .tumbling("5s", by="k")
        .agg(most=mt.max("n")),
        [],
    ),
}


def home(key: str | None) -> int:
    """The partition of a key."""
    return 3 if key is None else ord(key) % 3


@st.composite
def streams(draw: st.DrawFn, disorder: int) -> list[dict[str, Any]]:
    """Rows with their partitions; a row is at most `disorder` seconds behind the newest."""
    found, newest = [], 0
    for _ in range(draw(st.integers(1, 40))):
        newest += draw(st.integers(0, 4))
        at = newest - draw(st.integers(0, disorder))
        key = draw(st.sampled_from(KEYS))
        found.append({"at": at * S, "k": key, "v": draw(st.integers(0, 9)), "p": home(key)})
    return found


def push(op: Operator, rows: list[dict[str, Any]]) -> mt.Result:
    """One step with these rows."""
    columns = [
        pa.array([row["at"] for row in rows], pa.timestamp("us", "UTC")),
        pa.array([row["k"] for row in rows], pa.string()),
        pa.array([row["v"] for row in rows], pa.int64()),
    ]
    batch = pa.record_batch(columns, names=["at", "k", "v"])
    return op.step([mt.Feed(None, batch, pa.array([row["p"] for row in rows], pa.int64()))])


def everything(results: list[mt.Result]) -> dict[str, Counter[str]]:
    """All rows of results by what they are, in no order; of a window's revisions the last."""

    def counted(tables: Any) -> Counter[str]:
        return Counter(repr(row) for table in tables for row in table.to_dicts())

    rows = [row for each in results for row in each.rows.to_dicts()]
    if rows and "revision" in rows[0]:
        # how often a window is revised depends on when it first fires
        last = {(row["k"], row["window_start"]): {**row, "revision": None} for row in rows}
        rows = list(last.values())
    return {
        "rows": Counter(map(repr, rows)),
        "alerts": counted(each.alerts for each in results),
        "late": counted(each.late for each in results),
        "invalid": counted(each.invalid for each in results),
    }


class Group:
    """Two operators of partition scope that share the partitions."""

    def __init__(self, build: Callable[..., Operator]) -> None:
        here = build(partitions=PARTITIONS)
        there = build(partitions=())
        assert isinstance(here, PartitionedOperator) and isinstance(there, PartitionedOperator)
        self.members = [here, there]

    def owner(self, partition: int) -> int:
        """Which of the two has a partition."""
        return next(i for i in (0, 1) if partition in self.members[i].partitions["input"])

    def move(self, partition: int, whole: bool) -> None:
        """Move a partition to the other one, by a snapshot of it or of all partitions there."""
        at = self.owner(partition)
        snapshot = self.members[at].snapshot(None if whole else partition)
        self.members[at].close(partition)
        self.members[1 - at].open(partition=partition, snapshot=snapshot)

    def push(self, rows: list[dict[str, Any]]) -> list[mt.Result]:
        """A step of each one that has partitions of the rows."""
        shares = [[row for row in rows if self.owner(row["p"]) == i] for i in (0, 1)]
        return [push(self.members[i], share) for i, share in enumerate(shares) if share]


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=25)
@given(data=st.data())
def test_results_are_those_of_one_state_wherever_partitions_move(
    name: str, data: st.DataObject
) -> None:
    pipeline, rules = PIPELINES[name]
    # sessions with rows behind their own watermark depend on how partitions interleave
    stream = data.draw(streams(2 if name in ("session", "silent") else 9))
    if name == "silent":
        # time passes in each partition by its own rows: at the end in all of them
        end = max(row["at"] for row in stream) + 9 * S
        stream += [{"at": end, "k": key, "v": 0, "p": home(key)} for key in ("a", "b", "c", None)]
    threads = data.draw(st.integers(1, 2))
    one = mt.operator(pipeline, rules=rules, partitions=PARTITIONS)
    group = Group(
        lambda partitions: operator_for(
            pipeline, rules=rules, partitions=partitions, partitioning=BY_KEY, threads=threads
        )
    )
    wanted, got = [], []
    ahead = stream
    while ahead:
        cut = data.draw(st.integers(1, len(ahead)))
        wanted.append(push(one, ahead[:cut]))
        ahead = ahead[cut:]
    ahead = stream
    while ahead:
        if data.draw(st.booleans()):
            group.move(data.draw(st.sampled_from(PARTITIONS)), data.draw(st.booleans()))
        cut = data.draw(st.integers(1, len(ahead)))
        got += group.push(ahead[:cut])
        ahead = ahead[cut:]
    wanted.append(one.finish())
    got += [member.finish() for member in group.members]
    assert everything(got) == everything(wanted)


@settings(max_examples=25)
@given(data=st.data())
def test_a_chain_of_changes_is_the_whole_snapshot(data: st.DataObject) -> None:
    """Also if partitions come and go between two of its parts."""
    pipeline, rules = PIPELINES["sliding"]
    op = operator_for(pipeline, rules=rules, partitions=(0, 1, 2, 3), partitioning=BY_KEY)
    assert isinstance(op, PartitionedOperator)
    parts: list[bytes] = []
    epoch, known = 0, []
    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(0, 2))):
            rows = data.draw(streams(9))
            push(op, [row for row in rows if row["p"] in op.partitions["input"]])
        partition = data.draw(st.sampled_from(PARTITIONS))
        if partition not in op.partitions["input"]:
            op.open(partition=partition)
        elif data.draw(st.booleans()):
            snapshot = op.snapshot(partition)
            op.close(partition)
            if data.draw(st.booleans()):
                op.open(partition=partition, snapshot=snapshot)
        part = op.changes(epoch, known)
        parts.append(part)
        inside = snapshot_contents(part)
        epoch = inside["manifest"]["epoch"]
        known = inside["manifest"]["kept"] + [name for name, _, _ in inside["chunks"]]
    again = operator_for(
        pipeline,
        rules=rules,
        partitions=(),
        partitioning=BY_KEY,
        snapshot=assembled(parts),
    )
    assert again.partitions == op.partitions
    assert_same_stats(again.stats, op.stats)
    after = [row for row in data.draw(streams(9)) if row["p"] in op.partitions["input"]]
    assert everything([push(again, after)]) == everything([push(op, after)])


def assert_same_stats(one: dict[str, Any], two: dict[str, Any]) -> None:
    """The same counters, apart from those of time, memory and restarts."""
    ignored = ("spent", "restored", "bytes")

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kept(each) for name, each in value.items() if name not in ignored}
        return [kept(each) for each in value] if isinstance(value, list) else value

    assert kept(one) == kept(two)


def test_counters_are_sums_and_the_watermark_is_the_least() -> None:
    op = operator_for(PIPELINES["tumbling"][0], partitions=(0, 1), partitioning=BY_KEY)
    one = mt.operator(PIPELINES["tumbling"][0], partitions=(0, 1))
    for op_ in (op, one):
        push(op_, [{"at": 9 * S, "k": "a", "v": 1, "p": 0}])
        assert op_.watermark is None
        push(op_, [{"at": 7 * S, "k": "b", "v": 1, "p": 1}, {"at": S, "k": "b", "v": 1, "p": 7}])
        assert (op_.watermark, op_.newest_watermark("input")) == (4 * S, 6 * S)
    words = ("rows_in", "counted", "late", "invalid", "filtered", "in_gap", "keys")
    for got, wanted in zip(op.stats["operators"], one.stats["operators"], strict=True):
        assert {word: got[word] for word in words} == {word: wanted[word] for word in words}
    assert op.stats["inputs"] == one.stats["inputs"]
    assert (op.schemas, op.outputs, op.plan) == (one.schemas, one.outputs, one.plan)
    assert op.upsert_keys == one.upsert_keys


def test_columns_that_are_not_declared_are_those_of_the_first_rows() -> None:
    loose = mt.stream(time="at", out_of_order="0s").tumbling("5s", by="k").agg(n=mt.count())
    op = operator_for(loose, partitions=(0, 1), partitioning=BY_KEY)
    assert op.schema is None
    with pytest.raises(SchemaError):
        op.push(pa.table({"at": pa.array(["x"])}), partition=1)
    push(op, [{"at": 0, "k": "a", "v": 1, "p": 1}])
    assert op.schema is not None and list(op.schema) == ["k", "window_start", "window_end", "n"]
    op.open(partition=2)
    push(op, [{"at": 0, "k": "c", "v": 1, "p": 2}])
    with pytest.raises(SchemaError, match="not in the batch"):
        op.push(pa.table({"k": ["a"]}), partition=0)


def test_a_key_in_two_partitions_is_refused_with_both() -> None:
    op = operator_for(PIPELINES["sliding"][0], partitions=(0, 1), partitioning=BY_KEY)
    push(op, [{"at": 0, "k": "a", "v": 1, "p": 0}])
    with pytest.raises(PartitionError, match=r'k="a" came from partition 0 .* from partition 1'):
        push(op, [{"at": 0, "k": "a", "v": 1, "p": 1}])
    # no verb groups null here, so it is not a key
    push(op, [{"at": 0, "k": None, "v": 1, "p": 0}, {"at": 0, "k": None, "v": 1, "p": 1}])
    grouped = operator_for(PIPELINES["tumbling"][0], partitions=(0, 1), partitioning=BY_KEY)
    with pytest.raises(PartitionError, match="k=null came from partition 0"):
        push(grouped, [{"at": 0, "k": None, "v": 1, "p": p} for p in (0, 1)])


def test_a_record_that_its_key_does_not_lead_to_is_refused() -> None:
    keys = [b"card-%d" % i for i in range(20)]
    for partitioner in ("murmur2", "crc32", "fnv1a"):
        homes = _core.partition_of(partitioner, keys, 5)
        op = operator_for(
            rows_in.sliding("1s", by="k").agg(n=mt.count()),
            partitions=range(5),
            partitioning=Partitioning(("k",), partitioner, 5),
        )

        def batch(keys: list[bytes]) -> pa.Table:
            at = pa.array([0] * len(keys), pa.timestamp("us", "UTC"))
            texts = [key.decode() for key in keys]
            return pa.table({"at": at, "k": texts, "v": [1] * len(keys), "_key": keys})

        op.step([mt.Feed(None, batch(keys), pa.array(homes))])
        wrong = (homes[3] + 1) % 5
        said = f'record key "card-3" is in partition {wrong}, .* leads to {homes[3]} of 5'
        with pytest.raises(PartitionError, match=said):
            op.step([mt.Feed(None, batch(keys[3:4]), wrong)])
        with pytest.raises(SchemaError, match="_key"):
            push(op, [{"at": 0, "k": "a", "v": 1, "p": 0}])


def test_the_source_decides_the_scope() -> None:
    assert isinstance(operator_for(rows_in, partitioning=BY_KEY), PartitionedOperator)
    by_value = operator_for(PIPELINES["tumbling"][0], partitioning=Partitioning(("v",)))
    assert str(by_value.scope) == 'global: the key "k" of tumbling#1 lacks "v"'
    assert not isinstance(by_value, PartitionedOperator)
    assert operator_for(rows_in).scope.word == "global"
    by_rule = operator_for(
        rows_in, rules=[mt.rule("r", "v > 1", by="v", cooldown="1s")], partitioning=BY_KEY
    )
    assert str(by_rule.scope) == 'global: the key "v" of rule "r" lacks "k"'
    with pytest.raises(ColumnError, match='did you mean "at"'):
        operator_for(rows_in, partitioning=Partitioning(("att",)))


@pytest.mark.parametrize(
    ("wrong", "kind", "part"),
    [
        (lambda op: op.open(partition=0), PartitionError, "is open already"),
        (lambda op: op.open(partition=9, snapshot=op.snapshot(0)), SnapshotError, "no partition 9"),
        (lambda op: op.open(partition=9, snapshot=b"x"), SnapshotError, "not a snapshot"),
        (lambda op: op.close(9), PartitionError, "partition 9 is not open; open are 0"),
        (lambda op: op.idle(partition=9), PartitionError, "partition 9 is not open"),
        (lambda op: op.advance(0, partition=9), PartitionError, "partition 9 is not open"),
        (lambda op: op.snapshot(9), PartitionError, "partition 9 is not open"),
        (lambda op: op.ask({"at": 0}), PlanError, "each partition has a state of its own"),
        (lambda op: op.peek({"at": 0}), PlanError, "each partition has a state of its own"),
        (lambda op: Partitioning(("k",), "md5", 3), PlanError, "md5"),
        (lambda op: Partitioning(("k",), "crc32"), PlanError, "without count"),
    ],
)
def test_errors(wrong: Callable[[Any], Any], kind: type[Exception], part: str) -> None:
    op = operator_for(rows_in, partitions=(0,), partitioning=BY_KEY)
    with pytest.raises(kind, match=part):
        wrong(op)
    push(op, [{"at": 0, "k": "a", "v": 1, "p": 0}])


def test_a_snapshot_of_another_scope_is_refused() -> None:
    pipeline = PIPELINES["tumbling"][0]
    one, each = mt.operator(pipeline), operator_for(pipeline, partitioning=BY_KEY)
    with pytest.raises(SnapshotError, match="one state for all partitions"):
        operator_for(pipeline, partitioning=BY_KEY, snapshot=one.snapshot())
    with pytest.raises(SnapshotError, match="a state for each partition"):
        mt.operator(pipeline, snapshot=each.snapshot())
    other = rows_in.tumbling("7s", by="k").agg(n=mt.count())
    with pytest.raises(mt.PipelineChanged, match="5s"):
        operator_for(other, partitioning=BY_KEY, snapshot=each.snapshot())
    keeps = operator_for(other, partitioning=BY_KEY, snapshot=each.snapshot(), on_change="keep")
    assert keeps.restored is not None and keeps.restored["new"] == ["tumbling#1"]


def test_a_rule_that_fails_gives_the_step_of_all_partitions() -> None:
    def broken(batch: Any) -> Any:
        raise ValueError("no")

    rules = [mt.rule("broken", by="k")(broken)]
    op = operator_for(rows_in, rules=rules, partitions=(0, 1), partitioning=BY_KEY, threads=2)
    with pytest.raises(mt.RuleError, match="ValueError: no") as failed:
        push(op, [{"at": 0, "k": "a", "v": 1, "p": 0}, {"at": 0, "k": "b", "v": 1, "p": 1}])
    assert len(failed.value.result.rows) == 2
    assert op.stats["failed"] == {"broken": 2}


def test_a_quiet_partition_passes_its_own_time() -> None:
    """Beside a busy one, which would close its windows if they shared a watermark."""
    stream = mt.stream(time="at", out_of_order="0s", idle_after="10s", schema=COLUMNS)
    counts = stream.tumbling("5s", by="k").agg(n=mt.count())
    op = operator_for(counts, partitions=(0, 1), partitioning=BY_KEY)
    now = [0.0]
    quiet = QuietPartitions(op, lambda: now[0])
    push(op, [{"at": S, "k": "a", "v": 1, "p": 0}, {"at": S, "k": "b", "v": 1, "p": 1}])
    fired = []
    for second in range(20):
        now[0] = float(second)
        quiet.has_rows("input", 1)
        fired += [
            row["k"] for result in quiet.has_none("input", 0) for row in result.rows.to_dicts()
        ]
    assert fired == ["a"]
