"""Worker processes that are killed, stopped and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 8.0  # seconds until a worker that is to be killed at a point is killed anyway
TESTS = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kind:
    """A kind of worker: the module that is its program, and the points where it can be killed."""

    module: str
    points: tuple[str, ...]


class Worker:
    """A process; what it says goes to a file."""

    def __init__(self, kind: Kind, told: dict[str, Any], log: Path) -> None:
        self.log = log
        self.began = time.monotonic()
        self.point: str | None = told.get("point")
        self.killed_here = False
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", kind.module, json.dumps(told)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, which a stopped process does not outlive either."""
        if self.alive:
            self.killed_here = True
            self.process.kill()
        self.process.wait(20)


class Crowd:
    """Some places, each with a worker that is started again when it ends."""

    def __init__(
        self,
        kind: Kind,
        size: int,
        told: dict[str, Any],
        logs: Path,
        rng: random.Random,
        armed: float = 0.4,
    ) -> None:
        """Of the workers, a share of `armed` is killed at a point of its own."""
        self.kind, self.told, self.logs, self.rng, self.armed = kind, told, logs, rng, armed
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.started = 0
        self.workers: list[Worker] = [self.start(place) for place in range(size)]
        self.zombies: list[Worker] = []

    def start(self, place: int) -> Worker:
        told = {**self.told, "id": f"{self.told['group']}-{place}", "place": place}
        told["seed"] = self.rng.random()
        if self.rng.random() < self.armed:
            told |= {"point": self.rng.choice(self.kind.points), "nth": self.rng.randrange(1, 4)}
        self.started += 1
        return Worker(self.kind, told, self.logs / f"worker-{self.started:04}.log")

    def tend(self) -> None:
        """Start again what has ended."""
        for place, worker in enumerate(self.workers):
            if not worker.alive:
                self._note(worker)
                self.workers[place] = self.start(place)

    def any(self) -> Worker:
        return self.rng.choice(self.workers)

    def kill(self) -> None:
        """Kill a worker at whatever it does now; one that waits for its point has some time."""
        old = time.monotonic() - PATIENCE
        found = [w for w in self.workers if w.alive and (w.point is None or w.began < old)]
        if found:
            self.rng.choice(found).kill()

    def replace_stopped(self) -> Worker:
        """Stop a worker and start another in its place; the stopped one is a zombie from now on."""
        place = self.rng.randrange(len(self.workers))
        zombie = self.workers[place]
        if zombie.alive:
            zombie.signal(signal.SIGSTOP)
        self.zombies.append(zombie)
        self.workers[place] = self.start(place)
        self.counts["zombie"] += 1
        return zombie

    def disarm(self) -> None:
        """Start no worker from now on that will be killed at a point."""
        self.armed = 0.0

    def bury(self) -> None:
        """End zombies."""
        for zombie in self.zombies:
            if zombie.alive:
                zombie.kill()
            else:
                self._note(zombie)
        self.zombies = []

    def end(self) -> None:
        """Kill all."""
        self.bury()
        for worker in self.workers:
            if worker.alive:
                worker.kill()
            elif not worker.killed_here:
                self._note(worker)

    def _note(self, worker: Worker) -> None:
        code = worker.process.returncode
        if worker.killed_here:
            self.counts["kill at random"] += 1
        elif code == -signal.SIGKILL:
            self.counts["kill at a point"] += 1
            self.counts[f"  {worker.point}"] += 1
        else:
            lines = worker.log.read_text(errors="replace").strip().splitlines() or [""]
            self.errors[f"exit {code}: {lines[-1][:200]}"] += 1
