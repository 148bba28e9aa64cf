"""Describes a checkpoint or a snapshot as plain values, for tables and for JSON."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from muntin.base.errors import SnapshotError, unknown, with_hint
from muntin.checkpoint import Directory, Keeper, Manifest
from muntin.engine.snapshots import snapshot_contents
from muntin.pipeline.written import written
from muntin.values.table import Table
from muntin.values.times import timestamp_text

_FATES = ("rows_in", "counted", "late", "invalid", "filtered", "in_gap", "fired")
_NEVER, _FOREVER = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Inside:
    """The content of a snapshot, verified.

    Attributes:
        manifest: the checkpoint's manifest; None for a single snapshot file.
        snapshot: the bytes of the engine's state.
        contents: the engine's description of it, and its chunks.
    """

    manifest: Manifest | None
    snapshot: bytes
    contents: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """Facts about the snapshot as a whole."""
        engine = self.contents["manifest"]
        facts: dict[str, Any] = {}
        if self.manifest is not None:
            facts = {
                "run": self.manifest.run,
                "checkpoint": self.manifest.number,
                "at": f"{dt.datetime.fromtimestamp(self.manifest.at, dt.UTC):%Y-%m-%d %H:%M:%S}Z",
                "ended": self.manifest.ended,
                "parts": [part.file for part in self.manifest.parts],
                "read": sum(self.manifest.counts.read.values()),
                "gave": sum(self.manifest.counts.gave.values()),
                "late": self.manifest.counts.late,
                "invalid": self.manifest.counts.invalid,
            }
        return facts | {
            "muntin": engine["muntin"],
            "steps": engine["epoch"],
            "bytes": len(self.snapshot),
            "seal": self.contents["seal"],
        }

    def inputs(self) -> list[dict[str, Any]]:
        """Each partition of each input: where a run resumes, and its watermark."""
        engine = self.contents["manifest"]
        rows = []
        for spec, marks in zip(engine["plan"]["inputs"], engine["watermarks"], strict=True):
            position = self.manifest.inputs.get(spec["name"]) if self.manifest else None
            for partition in marks["partitions"]:
                following = None if position is None else position.next.get(partition["id"], 0)
                rows.append(
                    {
                        "input": spec["name"],
                        "partition": partition["id"],
                        "next position": following,
                        "watermark": _moment(partition["watermark"]),
                        "idle": partition["idle"],
                        "reads": [] if position is None else position.identity,
                    }
                )
        return rows

    def operators(self) -> list[dict[str, Any]]:
        """Each verb: its rows by fate, and the size of its state."""
        engine = self.contents["manifest"]
        sizes: dict[str, list[int]] = defaultdict(list)
        for name, _, length in self.contents["chunks"]:
            sizes[name.partition("/")[0]].append(length)
        rows = []
        for i, (node, saved) in enumerate(
            zip(engine["plan"]["nodes"], engine["operators"], strict=False)
        ):
            own = sizes[saved["owner"]]
            state: dict[str, Any] = {"warming": saved["warming"]["rows"]}
            state |= {"chunks": len(own), "bytes": sum(own), "clock": _moment(saved["clock"])}
            counters = {word: saved["counters"][word] for word in _FATES}
            rows.append({"verb": f"{node['op']}#{i}", **counters, **state})
        return rows

    def pipelines(self) -> dict[str, list[str]]:
        """The verbs of each output as a user would type them."""
        plan = self.contents["manifest"]["plan"]
        return {output["name"]: written(plan, output["node"]) for output in plan["outputs"]}

    def rules(self) -> list[dict[str, Any]]:
        """Each rule, and how often it has fired."""
        engine = self.contents["manifest"]
        outputs = [output["name"] for output in engine["plan"]["outputs"]]
        return [
            {"output": outputs[rule["output"]], "rule": rule["name"], "fired": rule["fired"]}
            for rule in engine["rules"]
        ]

    def sinks(self) -> list[dict[str, Any]]:
        """Each durable sink, with the state that it returned."""
        states = self.manifest.sinks if self.manifest else {}
        return [{"sink": place, "state": state} for place, state in states.items()]

    def chunk(self, name: str) -> Table:
        """The rows of one chunk.

        Raises:
            SnapshotError: there is no such chunk.
        """
        places = {each: (at, length) for each, at, length in self.contents["chunks"]}
        if name not in places:
            raise SnapshotError(unknown("chunk", name, places))
        at, length = places[name]
        return Table([pa.ipc.open_stream(self.snapshot[at : at + length]).read_all()])

    def to_json(self) -> dict[str, Any]:
        """Everything but the rows of the chunks."""
        return {
            **self.facts(),
            "pipelines": self.pipelines(),
            "inputs": self.inputs(),
            "operators": self.operators(),
            "rules": self.rules(),
            "sinks": self.sinks(),
            "chunks": [[name, length] for name, _, length in self.contents["chunks"]],
        }


def look_into(path: Path) -> Inside:
    """Open a checkpoint's directory, at its newest good one, or a file with a snapshot.

    Raises:
        SnapshotError: there is no checkpoint, or it is damaged.
    """
    if path.is_dir():
        # without the lock: a run may be using it, and goes on writing and removing files
        restored = Keeper(Directory(path)).look()
        if restored is None:
            raise SnapshotError(with_hint(f'"{path}" holds no checkpoint', "name its directory"))
        return Inside(restored.manifest, restored.snapshot, snapshot_contents(restored.snapshot))
    try:
        snapshot = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f'"{path}" cannot be read: {error}') from error
    return Inside(None, snapshot, snapshot_contents(snapshot))


def _moment(us: int) -> str:
    if us == _NEVER:
        return "before any row"
    if us == _FOREVER:
        return "ended"
    return timestamp_text(us, 10**6, zoned=True)
