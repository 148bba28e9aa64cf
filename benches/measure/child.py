"""A worker, seen from the run."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

from benches.peers.known import Known
from benches.workloads import Workload

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0  # seconds for one run


class Failed(Exception):
    """A run of a peer failed; the text says why."""


class Child:
    """The process of one peer."""

    def __init__(self, known: Known, log: Path) -> None:
        self.known = known
        paths = [str(ROOT)]
        if not known.own:
            paths.append(os.environ.get("PYTHONPATH", ""))
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [known.python, "-m", "benches.measure.worker", known.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            cwd=log.parent,
        )
        self.facts = self._answer()

    def run(self, workload: Workload, path: Path, keep: Path | None = None) -> dict[str, Any]:
        """One run over the events of a file.

        Raises:
            Failed: the peer raised, ended, or took too long; it is stopped then.
        """
        request = {
            "workload": workload.to_json(),
            "path": str(path.resolve()),
            "keep": None if keep is None else str(keep.resolve()),
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed("its process has ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], PATIENCE)
        if not ready:
            self.stop()
            raise Failed(f"stopped after {PATIENCE:.0f} s")
        line = pipe.readline()
        if not line:
            raise Failed(f"its process ended with code {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise Failed(found["error"])
        return found

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
