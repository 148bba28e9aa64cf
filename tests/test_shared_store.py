"""A store that several processes share: who may open it, and what each may remove."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

import muntin as mt
from muntin.checkpoint.directory import Directory
from muntin.checkpoint.manifest import manifest_name
from muntin.checkpoint.partitions import check_shared
from muntin.loop.authority import why_alone
from muntin.loop.routes import Destinations
from muntin.pipeline.scope import Scope

BY_KEY = Scope("partition", "the key has the columns", False)


@pytest.mark.skipif(sys.platform == "win32", reason="no shared locks there")
def test_those_who_share_a_directory_lock_out_a_run_that_works_alone(tmp_path: Path) -> None:
    first, second, alone = (Directory(tmp_path) for _ in range(3))
    first.share()
    second.share()
    with pytest.raises(mt.SnapshotError, match="in use by another run"):
        alone.open()
    first.close()
    second.close()
    alone.open()
    with pytest.raises(mt.SnapshotError, match="in use by another run"):
        first.share()
    alone.close()


def test_a_part_keeps_what_others_may_still_be_writing(tmp_path: Path) -> None:
    part = Directory(tmp_path).part("partitions/payments-0")
    part.open()
    part.write("a", b"1")
    with pytest.raises(FileExistsError):
        part.write("a", b"2")
    new, old = (tmp_path / "partitions" / "payments-0" / name for name in ("new.tmp", "old.tmp"))
    for each in (new, old):
        each.write_bytes(b"")
    os.utime(old, (time.time() - 7200,) * 2)
    part.open()
    assert (part.names(), new.exists(), old.exists()) == (["a"], True, False)


def test_checkpoints_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    alone, shared = Directory(tmp_path / "alone"), Directory(tmp_path / "shared")
    for store in (alone, shared):
        store.open()
        check_shared(store, shared=True)
        check_shared(store, shared=False)
    alone.commit(manifest_name(1), b"")
    shared.part("partitions/payments-0").open()
    with pytest.raises(mt.SnapshotError, match="of a run that works alone, and this run shares"):
        check_shared(alone, shared=True)
    with pytest.raises(mt.SnapshotError, match="shared by copies of a run, and this run works"):
        check_shared(shared, shared=False)


def test_a_run_says_why_it_works_alone(tmp_path: Path) -> None:
    here = mt.sinks.Kafka("scored", servers="localhost:9092")
    there = mt.sinks.Kafka("scored", servers="elsewhere:9092")
    file = mt.sinks.JsonLines(tmp_path / "out.jsonl")
    state = mt.Checkpoint(tmp_path / "state")

    def why(*sinks: mt.sinks.Sink, topics: str = "payments", scope=BY_KEY, checkpoint=state):
        source = mt.sources.Kafka(
            topics, servers="localhost:9092", group="fraud", partitioned_by="card"
        )
        to = Destinations({"rows": sinks}, (), (), ())
        return why_alone(scope, {"input": source}, to, checkpoint)

    assert why(here) is None
    assert why(here, checkpoint=None) == "there is no checkpoint="
    assert why() == "nothing is written to Kafka"
    assert str(why(here, file)).startswith("rows/rows/1/JsonLines does not write to the cluster")
    assert str(why(there)).startswith("rows/rows/0/Kafka does not write to the cluster")
    assert "regular expression" in str(why(here, topics="^pay"))
    scope = Scope("global", "tumbling#1 has no key", True)
    assert why(here, scope=scope) == "one state covers all partitions (tumbling#1 has no key)"
