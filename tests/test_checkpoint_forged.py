"""Manifests and sink states that were forged, with right checksums, or made by another version."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.checkpoint.manifest import decode
from muntin.sinks import Csv, JsonLines, Parquet, Sqlite, Webhook
from muntin.testing import check_sink
from runs import EVENTS, Cut, CutShort, rows_at
from test_sinks_durable import KINDS

SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count())
TABLE = rows_at(*range(0, 100, 7))

ODD: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    2**31,
    2**62,
    2**63 - 1,
    2**63,
    2**64,
    1.5,
    1e300,
    "",
    "x",
    "../../etc/passwd",
    "state-00000001.muntin",
    [],
    [0],
    {},
    {"": ""},
    {"number": 1},
]


def sealed(line: bytes) -> bytes:
    return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"


def run(place: Path, polls: float) -> None:
    sinks: list[mt.Sink] = [
        JsonLines(place / "rows.jsonl"),
        Csv(place / "rows.csv"),
        Parquet(place / "parts"),
        Sqlite(place / "rows.db"),
        Webhook("http://127.0.0.1:9/", allow_http=True, allow_private=True, drain="0s", attempts=1),
    ]
    mt.run(CutShort(TABLE, polls), SCORED, sinks=sinks,
           checkpoint=mt.Checkpoint(place / "state", every="0s"))  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("base")
    with pytest.raises(Cut):
        run(place, 3)
    return place


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [each for key in value for each in places(value[key], (*path, key))]
    if isinstance(value, list):
        return found + [each for i in range(len(value)) for each in places(value[i], (*path, i))]
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    if new is ...:
        del value[path[-1]]
    else:
        value[path[-1]] = new


def mutated(rng: random.Random, manifest: Any) -> Any:
    for _ in range(rng.choice([1, 1, 2])):
        path = rng.choice(places(manifest))
        new = rng.choice([..., *ODD])
        put(manifest, path, new)
        if not manifest:
            break
    return manifest


@pytest.mark.slow
def test_a_forged_manifest_is_refused_or_harmless(base: Path, tmp_path: Path) -> None:
    """Every failure has a name: no bare error of Python, of Arrow or of SQLite."""
    rng = random.Random(7)
    (name,) = sorted((base / "state").glob("checkpoint-*"))[-1:]
    good = json.loads(name.read_bytes().split(b"\n")[0])
    outcomes: dict[str, int] = {}
    for i in range(150):
        place = tmp_path / str(i)
        shutil.copytree(base, place)
        for other in (place / "state").glob("checkpoint-*"):
            other.unlink()
        forged = mutated(rng, json.loads(json.dumps(good)))
        (place / "state" / name.name).write_bytes(sealed(json.dumps(forged).encode()))
        try:
            run(place, 99)
        except mt.MuntinError as error:
            kind = type(error).__name__
        else:
            kind = "none"
        outcomes[kind] = outcomes.get(kind, 0) + 1
        shutil.rmtree(place)
    assert outcomes["SnapshotError"] > 10
    assert outcomes["SinkError"] > 10


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b'{"format": 1}',
        b'{"format": [1]}',
        b'{"format": 99}',
        b"[" * 100_000,
        b'{"format":1,"sinks":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"format": 1e999}',
    ],
    ids=lambda line: line[:20].decode(errors="replace"),
)
def test_bytes_that_are_no_manifest_are_refused(line: bytes) -> None:
    for data in (sealed(line), line):
        with pytest.raises(mt.SnapshotError, match=r'"checkpoint-00000001\.json"'):
            decode("checkpoint-00000001.json", data)


def test_a_manifest_without_state_files_is_refused(base: Path) -> None:
    (path,) = sorted((base / "state").glob("checkpoint-*"))[-1:]
    manifest = json.loads(path.read_bytes().split(b"\n")[0]) | {"parts": []}
    with pytest.raises(mt.SnapshotError, match=f'"{path.name}" names no state file'):
        decode(path.name, sealed(json.dumps(manifest).encode()))


def test_random_bytes_in_a_manifest_are_refused(base: Path) -> None:
    rng = random.Random(3)
    (name,) = sorted((base / "state").glob("checkpoint-*"))[-1:]
    line = name.read_bytes().split(b"\n")[0]
    refused = 0
    for _ in range(3000):
        data = bytearray(line)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(data))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randrange(9)]
            else:
                data[at:at] = data[rng.randrange(len(data)) :][: rng.randrange(9)]
        try:
            decode(name.name, sealed(bytes(data)))
        except mt.SnapshotError:
            refused += 1
    assert refused > 1000


STATES = {
    "jsonl": {"number": 1, "length": 0, "staged": 0},
    "csv": {"number": 1, "length": 0, "staged": 0},
    "parquet": {"mark": "a", "parts": 0, "staged": []},
    "sqlite": {"number": 1, "tables": {}},
    "webhook": {"waiting": []},
}


def sink_of(kind: str, path: Path) -> Any:
    if kind == "webhook":
        return Webhook("https://example.com/", drain="0s")
    return KINDS[kind][0](path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STATES)
def test_every_forged_state_of_a_sink_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    good = STATES[kind]
    cases: list[Any] = [{}, {"more": 1, **good}, [], None, 7, "x"]
    cases += [{**good, name: odd} for name in good for odd in (*ODD, [{}], [{"id": 1}])]
    for i, state in enumerate(cases):
        if state is None:
            continue
        sink = sink_of(kind, tmp_path / str(i))
        sink.open("rows", ())
        try:
            sink.restore(state)
        except mt.SinkError as error:
            assert "example.com" in str(error) if kind == "webhook" else str(i) in str(error)
        else:
            assert state not in cases[:6]
        sink.close()


@pytest.mark.parametrize("kind", STATES)
def test_states_of_the_first_version_are_taken(kind: str, tmp_path: Path) -> None:
    sink = sink_of(kind, tmp_path / "rows")
    sink.open("rows", ())
    sink.restore(STATES[kind])
    sink.close()


def old_form(kind: str, state: dict[str, Any]) -> dict[str, Any]:
    """A state as the first version would have written it."""
    if kind == "parquet":
        sizes = [part["size"] for part in state["staged"]]
        return {"mark": state["mark"], "parts": state["parts"], "staged": sizes}
    return {name: state[name] for name in STATES[kind]}


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "sqlite"])
def test_a_run_of_the_first_version_goes_on(kind: str, published: bool, tmp_path: Path) -> None:
    path = tmp_path / "rows"

    def opened(state: Any) -> Any:
        sink = sink_of(kind, path)
        sink.open("rows", ())
        sink.restore(state)
        return sink

    def stage(sink: Any, *values: int) -> None:
        sink.stage("rows", mt.Table([pa.table({"v": values})]))

    first = opened(None)
    stage(first, 1, 2)
    first.prepare()
    first.publish()
    stage(first, 3)
    state = json.loads(json.dumps(first.prepare()))
    if published:
        first.publish()
    first.close()
    if kind == "sqlite":
        with sqlite3.connect(path) as db:
            db.execute("ALTER TABLE _muntin_tables DROP COLUMN mark")
        db.close()
    second = opened(old_form(kind, state))
    stage(second, 4)
    second.prepare()
    second.publish()
    second.close()
    assert [int(row["v"]) for row in KINDS[kind][1](path)] == [1, 2, 3, 4]


def test_a_sink_that_forgets_what_a_failed_checkpoint_had_is_found() -> None:
    class Forgets:
        """`prepare` gives only what was staged since the one before."""

        when: Any = None
        shown: list[dict[str, Any]] = []  # noqa: RUF012

        def __init__(self) -> None:
            self.staged: list[Any] = []
            self.ready: list[Any] = []

        def open(self, output: str, key: Any) -> None: ...
        def close(self) -> None: ...

        def restore(self, state: Any) -> None:
            del self.shown[0 if state is None else state["shown"] :]
            self.shown += [] if state is None else state["next"]

        def stage(self, output: str, rows: mt.Table) -> None:
            self.staged += rows.to_dicts()

        def prepare(self) -> dict[str, Any]:
            self.ready, self.staged = self.staged, []
            return {"shown": len(self.shown), "next": self.ready}

        def publish(self) -> None:
            self.shown += self.ready + self.staged
            self.ready, self.staged = [], []

    with pytest.raises(AssertionError, match="prepare \\(the checkpoint fails\\)"):
        check_sink(Forgets, lambda: Forgets.shown, clear=Forgets.shown.clear)
