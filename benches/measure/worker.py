"""The process of one peer: reads requests as JSON lines, writes an answer to each.

{"workload": {...}, "path": "events.arrow", "keep": "output.arrow" or null}
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import pyarrow as pa

from benches.compare import canonical, totals
from benches.measure import memory
from benches.peers import Clock, Peer, load
from benches.workloads import Workload


class Output:
    """What a peer emits: kept, or only its totals."""

    def __init__(self, workload: Workload, keep: str | None) -> None:
        self.workload, self.keep = workload, keep
        self.tables: list[pa.Table] = []
        self.totals: dict[str, float] = {}

    def __call__(self, table: pa.Table) -> None:
        if self.keep is not None:
            self.tables.append(canonical(self.workload, table))
        for name, value in totals(self.workload, table).items():
            self.totals[name] = self.totals.get(name, 0) + value

    def close(self) -> None:
        """Write what is kept."""
        if self.keep is not None:
            table = canonical(self.workload, pa.concat_tables(self.tables))
            with pa.ipc.new_file(self.keep, table.schema) as file:
                file.write_table(table)


def answer(peer: Peer, table: pa.Table, request: dict[str, Any]) -> dict[str, Any]:
    """Run a workload once."""
    workload = Workload.from_json(request["workload"])
    output, clock = Output(workload, request["keep"]), Clock()
    memory.reset()
    before = memory.now()
    peer.run(workload, table, clock, output)
    peak = max(memory.peak() - before, 0) + memory.children()
    output.close()
    state = getattr(peer, "state", None)
    return {
        "cpu": clock.cpu,
        "wall": clock.wall,
        "peak": peak,
        "totals": output.totals,
        "state": None if state is None else state[-1],
    }


def main(name: str) -> None:
    from benches.data.files import read

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer

    def say(words: dict[str, Any]) -> None:
        print(json.dumps(words), file=answers, flush=True)

    try:
        peer = load(name)
        facts = {"version": peer.version(), "settings": peer.settings, "beyond": peer.beyond}
        say({**facts, "starts": peer.starts})
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        return
    loaded: tuple[str, pa.Table | None] = ("", None)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            refusal = peer.refuses(Workload.from_json(request["workload"]))
            if refusal is not None:
                say({"refuses": refusal})
                continue
            if loaded[0] != request["path"]:
                loaded = (request["path"], None)
                loaded = (request["path"], read(Path(request["path"])))
            say(answer(peer, loaded[1], request))
        except Exception as error:
            traceback.print_exc()
            say({"error": f"{type(error).__name__}: {error}"[:500]})


if __name__ == "__main__":
    main(sys.argv[1])
