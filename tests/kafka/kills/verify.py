"""What must be in the output topic, computed from the input topic in plain Python.

Nothing here comes from muntin: the two topics are all that it knows.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kafka.broker import Kafka, Record

Key = tuple[str, int]  # a key and the start of a window in ms
Values = tuple[int, int, int, int]  # count, sum, smallest, largest

SIZE = 2_000  # ms
POISON = b'{"poison": '  # what a message begins with that cannot be decoded
END = "end"  # begins the keys of rows that only let time pass; their own window stays open


@dataclass
class Verdict:
    """How the output differs from what is due."""

    records: int
    due: int
    missing: list[Key] = field(default_factory=list)
    double: list[Key] = field(default_factory=list)
    wrong: list[tuple[Key, Values, Values]] = field(default_factory=list)  # key, got, due
    extra: list[Key] = field(default_factory=list)
    poison: int = 0
    letters: list[str] = field(default_factory=list)  # what is wrong with the dead letters

    @property
    def exact(self) -> bool:
        return not (self.missing or self.double or self.wrong or self.extra or self.letters)

    def __str__(self) -> str:
        parts = ["missing", "double", "wrong", "extra", "letters"]
        damage = [f"{len(getattr(self, part))} {part}" for part in parts if getattr(self, part)]
        poison = f" and {self.poison} dead letters" if self.poison else ""
        said = ", ".join(damage) or "EXACT"
        return f"{self.records} records -> {self.due} windows{poison}: {said}"


def ms_of(text: str) -> int:
    """Milliseconds since 1970 of a time as it is written in JSON."""
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def windows_due(records: Iterable[Record]) -> dict[Key, Values]:
    """The windows of all rows, each by its key and start."""
    windows: dict[Key, list[int]] = {}
    for record in records:
        if (record.value or b"").startswith(POISON):
            continue
        row = json.loads(record.value or b"")
        if row["key"].startswith(END):
            continue
        at = ms_of(row["at"])
        windows.setdefault((row["key"], at - at % SIZE), []).append(row["v"])
    return {key: (len(vs), sum(vs), min(vs), max(vs)) for key, vs in windows.items()}


def windows_found(records: Iterable[Record]) -> tuple[dict[Key, Values], Counter[Key]]:
    """The windows that a reader finds, the first of each, and how often each is there."""
    found: dict[Key, Values] = {}
    counts: Counter[Key] = Counter()
    for record in records:
        row = json.loads(record.value or b"")
        key = (row["key"], ms_of(row["window_start"]))
        counts[key] += 1
        found.setdefault(key, (row["n"], row["total"], row["low"], row["high"]))
    return found, counts


def wrong_letters(records: Iterable[Record], letters: Iterable[Record]) -> list[str]:
    """How dead letters differ from the messages that could not be decoded."""
    poison = ((each.partition, each.offset, each.value or b"") for each in records)
    due = Counter(each for each in poison if each[2].startswith(POISON))
    rows = [json.loads(record.value or b"") for record in letters]
    found = Counter((r["partition"], r["offset"], base64.b64decode(r["payload"])) for r in rows)
    missing, more = due - found, found - due
    return [f"missing {each}" for each in missing] + [f"double or extra {each}" for each in more]


def verify(kafka: Kafka, source: str, target: str, dead: str | None = None) -> Verdict:
    """Compare the topics; those of results as readers of committed records see them."""
    records = kafka.read(source, isolation="read_uncommitted")
    due = windows_due(records)
    found, counts = windows_found(kafka.read(target))
    return Verdict(
        records=len(records),
        due=len(due),
        missing=sorted(due.keys() - found.keys()),
        double=sorted(key for key, count in counts.items() if count > 1),
        wrong=sorted((k, found[k], due[k]) for k in due.keys() & found if found[k] != due[k]),
        extra=sorted(found.keys() - due.keys()),
        poison=sum((each.value or b"").startswith(POISON) for each in records),
        letters=[] if dead is None else wrong_letters(records, kafka.read(dead)),
    )
