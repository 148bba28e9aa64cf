"""The counters of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from muntin.checkpoint import Restored
from muntin.checkpoint.manifest import Counts
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
    """

    read: Counter[str] = field(default_factory=Counter)
    gave: Counter[str] = field(default_factory=Counter)
    late: int = 0
    invalid: int = 0

    @classmethod
    def restored(
        cls, restored: Restored | None, inputs: Iterable[str], outputs: Iterable[str]
    ) -> Tally:
        """The counters of a checkpoint, for the inputs and outputs of now."""
        counts = restored.manifest.counts if restored else Counts()
        read = Counter({name: counts.read.get(name, 0) for name in inputs})
        gave = Counter({name: counts.gave.get(name, 0) for name in outputs})
        return cls(read, gave, counts.late, counts.invalid)

    def add(self, result: Result, reading: Reading) -> None:
        """Count what a step gave, and the records read with its rows that could not be decoded."""
        for name, rows in result.outputs.items():
            self.gave[name] += len(rows)
        self.late += len(result.late)
        self.invalid += len(result.invalid) + len(reading.undecodable)

    def counts(self) -> Counts:
        """The counters for a checkpoint."""
        return Counts(dict(self.read), dict(self.gave), self.late, self.invalid)
