"""Checkpoints in an object store: a server that speaks S3, with conditional writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import muntin as mt
from muntin.checkpoint import CommitLost, Keeper, TakenOver, Where
from muntin.checkpoint.manifest import Counts
from muntin.checkpoint.objects import Objects

pytest.importorskip("obstore", reason="not installed: obstore")
server = pytest.importorskip("moto.server", reason="not installed: moto[s3], flask, flask-cors")

START = datetime(2024, 5, 1)
ROWS = [{"at": START + timedelta(seconds=n), "n": n} for n in range(600)]
EVENTS = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "n": "i64"})
MINUTES = EVENTS.tumbling("1m").agg(n=mt.count())


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of a server with one bucket."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    _, port = running.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_REGION": "us-east-1",
                "AWS_ALLOW_HTTP": "true",
            }.items():
                patch.setenv(name, value)
            import httpx

            httpx.put(f"http://127.0.0.1:{port}/muntin").raise_for_status()
            yield "s3://muntin"
    finally:
        running.stop()


@pytest.fixture
def prefix(bucket: str, tmp_path: Path) -> str:
    return f"{bucket}/{tmp_path.name}"


def run(url: str, out: Path, rows=ROWS, **more) -> mt.Report:
    sink = mt.sinks.JsonLines(out, mode="append")
    return mt.run(rows, MINUTES, sinks=sink, checkpoint=mt.Checkpoint(url, every="0s"), **more)


def test_a_run_resumes_from_an_object_store(prefix: str, tmp_path: Path) -> None:
    run(prefix, tmp_path / "out", ROWS[:290], once=True)
    run(prefix, tmp_path / "out", ROWS, once=True)
    run(prefix, tmp_path / "out", ROWS)
    found = [json.loads(line)["n"] for line in (tmp_path / "out").open()]
    assert found == [60] * 10


def opened(url: str) -> Objects:
    store = Objects(url)
    store.open()
    return store


def commit(keeper: Keeper, op: mt.Operator) -> int:
    return keeper.commit(op, Where("test", {}, Counts(), False), dict).number


def test_of_two_runs_the_later_one_is_the_owner(prefix: str) -> None:
    op = mt.operator(MINUTES)
    first = Keeper(opened(prefix))
    assert first.recover() is None
    assert commit(first, op) == 1
    second = Keeper(opened(prefix))
    assert second.recover() is not None
    with pytest.raises(TakenOver, match="another run has taken over"):
        commit(first, op)
    with pytest.raises(FileExistsError):  # the name has been used; the run tries again
        commit(second, op)
    assert commit(second, op) == 3


def test_what_is_in_doubt_is_asked_again(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer was replaced, or not, and the answer got lost: the pointer itself says which."""
    op = mt.operator(MINUTES)
    real: Callable = Objects.replace_pointer

    def before(self, data, version):
        raise OSError("no answer")

    def after(self, data, version):
        real(self, data, version)
        raise OSError("no answer")

    for lost, newest in ((before, 0), (after, 1)):
        keeper = Keeper(opened(f"{prefix}/{newest}"))
        keeper.recover()
        with monkeypatch.context() as patch:
            patch.setattr(Objects, "replace_pointer", lost)
            with pytest.raises(CommitLost):
                commit(keeper, op)
        found = Keeper(opened(f"{prefix}/{newest}")).recover()
        assert (found.manifest.number if found else 0) == newest


def test_a_repeated_request_is_no_other_run(prefix: str) -> None:
    store = opened(prefix)
    store.write("a", b"1")
    store.write("a", b"1")
    with pytest.raises(FileExistsError):
        store.write("a", b"2")
    version = store.replace_pointer(b"1", None)
    assert store.replace_pointer(b"1", None) == version
    with pytest.raises(FileExistsError):
        store.replace_pointer(b"2", None)
    assert store.names() == ["a"] and store.sizes() == {"a": 1}
    store.remove("a")
    store.remove("a")
    assert store.names() == []


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    with pytest.raises(mt.SnapshotError, match="cannot be used"):
        mt.run([{"at": START, "n": 1}], EVENTS, checkpoint=mt.Checkpoint("s3://missing/a"))


def test_rows_survive_in_arrow(prefix: str) -> None:
    """Rows that a sink without a state has not shown are in the store, too."""
    seen: list[mt.Table] = []
    sink = mt.sinks.Callback(seen.append)
    table = pa.Table.from_pylist(ROWS)
    mt.run(mt.sources.Arrow(table), MINUTES, sinks=sink, checkpoint=prefix)
    assert sum(len(each) for each in seen) == 10
