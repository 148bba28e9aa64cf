"""The counters of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from muntin.checkpoint import Restored
from muntin.checkpoint.manifest import Counts, History
from muntin.engine.result import Result
from muntin.loop.intake import Reading


@dataclass(slots=True)
class Tally:
    """What a run counts, over restarts from its checkpoint.

    Attributes:
        read: rows read, by input.
        gave: rows emitted, by output.
        late: records of late rows.
        invalid: records of invalid rows, including those that could not be decoded.
        dead: records that could not be decoded and went to the sink of their source, by input.
        history: what filled the state before the first of these rows.
    """

    read: Counter[str] = field(default_factory=Counter)
    gave: Counter[str] = field(default_factory=Counter)
    late: int = 0
    invalid: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    history: History = field(default_factory=History)

    @classmethod
    def restored(
        cls,
        restored: Restored | None,
        inputs: Iterable[str],
        outputs: Iterable[str],
        bad: Iterable[str] = (),
    ) -> Tally:
        """The counters of a checkpoint, for the inputs and outputs of now.

        `bad` are the inputs whose source has a sink of its own for what cannot be decoded.
        """
        counts = restored.manifest.counts if restored else Counts()
        read = Counter({name: counts.read.get(name, 0) for name in inputs})
        gave = Counter({name: counts.gave.get(name, 0) for name in outputs})
        dead = Counter({name: counts.dead.get(name, 0) for name in bad})
        history = restored.manifest.history if restored else History()
        return cls(read, gave, counts.late, counts.invalid, dead, history)

    def add(self, result: Result, reading: Reading) -> None:
        """Count what a step gave, and the records read with its rows that could not be decoded."""
        for name, rows in result.outputs.items():
            self.gave[name] += len(rows)
        self.late += len(result.late)
        self.invalid += len(result.invalid) + len(reading.undecodable)
        self.dead.update(name for name, _ in reading.undecodable if name in self.dead)

    def counts(self) -> Counts:
        """The counters for a checkpoint."""
        dead = dict(self.dead)
        return Counts(dict(self.read), dict(self.gave), self.late, self.invalid, dead)
