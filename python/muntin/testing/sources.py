"""`check_source` checks a source's contract: positions, ends, idleness, exact resuming."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec
import pyarrow as pa

from muntin.sources import Added, Delivery, Quiet, Reader, Source, Undecodable
from muntin.sources.base import Words, opened
from muntin.values.table import table_of

Records = dict[int, list[tuple[int, object]]]
"""For each partition its records in order: a position and a row, or what could not be decoded."""


def check_source(
    make: Callable[[], Source],
    *,
    schema: Words | None = None,
    polls: int = 10_000,
    quiets: int = 3,
) -> int:
    """Check that a source keeps its contract.

    It checks the members of the protocol; that positions rise in each partition and say where to
    resume; that a run which resumes after any poll gets all remaining rows and none twice, with
    the source's mark, if it has marks, and without; that `Quiet` names partitions that exist;
    that an end stays an end; that a reader can be closed at any time. The source is opened once or
    twice for each of its polls, so give it few rows, in more than one batch.

    Args:
        make: makes the source, over the same rows each time.
        schema: the stream's columns, as the loop would give them to `open`.
        polls: a source that has neither ended nor become quiet after this many polls fails.
        quiets: a source without an end is finished after this many quiet polls in a row.

    Returns:
        How many records there were, undecodable ones included.

    Raises:
        AssertionError: it breaks the contract; the message says where.

    A source of numbers in two partitions, which can resume at any position:

    >>> class Numbers:
    ...     bounded = True
    ...     def __init__(self, total): self.total = total
    ...     def partitions(self): return (0, 1)
    ...     def identity(self): return (f"numbers below {self.total}",)
    ...     def open(self, schema, positions): return NumbersReader(self.total, positions)
    >>> class NumbersReader:
    ...     def __init__(self, total, positions):
    ...         self.total, self.next = total, {0: 0, 1: 0} | dict(positions)
    ...     def poll(self):
    ...         partition = min(self.next, key=self.next.get)
    ...         at = self.next[partition]
    ...         if 2 * at + partition >= self.total:
    ...             return None
    ...         self.next[partition] = at + 1
    ...         row = pa.table({"n": [2 * at + partition]})
    ...         return Delivery(row, {partition: at + 1}, partition, at)
    ...     def close(self): pass
    >>> check_source(lambda: Numbers(6))
    6
    """
    source = make()
    _check_members(source, make())
    checker = _Checker(source, schema, polls, quiets)
    whole = checker.read({})
    if source.bounded and source.total is not None:
        came = sum(map(len, whole.records.values()))
        _require(came == source.total, f"total is {source.total}, got {came} rows")
    for after, (positions, mark) in enumerate(whole.resumes):
        expected = _after(whole.records, positions)
        for known in [None] if mark is None else [None, mark]:
            rest = _Checker(make(), schema, polls, quiets).read(positions, known)
            _same(after, positions, expected, rest.records)
    for after in (0, 1):
        reader = make().open(schema, {})
        for _ in range(after):
            reader.poll()
        reader.close()
    return sum(map(len, whole.records.values()))


@dataclass
class _Reading:
    """What came, and the positions after each poll that brought something."""

    records: Records = field(default_factory=lambda: defaultdict(list))
    positions: dict[int, int] = field(default_factory=dict)
    resumes: list[tuple[Mapping[int, int], Any]] = field(default_factory=list)


class _Checker:
    def __init__(self, source: Source, schema: Words | None, polls: int, quiets: int) -> None:
        self._source = source
        self._partitions = set(source.partitions())
        self._schema = schema
        self._polls = polls
        self._quiets = quiets

    def read(self, positions: Mapping[int, int], mark: Any = None) -> _Reading:
        """Everything from the positions on."""
        reading = _Reading(positions=dict(positions), resumes=[(dict(positions), mark)])
        reader = opened(self._source, self._schema, positions, mark)
        _require(isinstance(reader, Reader), f"open() must return a Reader, got {reader!r}")
        quiet = 0
        with closing(reader):
            for _ in range(self._polls):
                match reader.poll():
                    case Delivery() as delivery:
                        self._take(delivery, reading)
                        quiet = 0
                    case Quiet(partitions):
                        self._check_known(partitions, "Quiet")
                        quiet += 1
                        if not self._source.bounded and quiet == self._quiets:
                            return reading
                    case Added(partitions):
                        _require(not self._source.bounded, "Added, but bounded is True")
                        self._partitions |= set(partitions)
                    case None:
                        _require(self._source.bounded, "poll() gave None, but bounded is False")
                        _require(reader.poll() is None, "poll() must give None again at the end")
                        return reading
                    case other:
                        _fail(f"poll() must return a Delivery, Quiet, Added or None, got {other!r}")
        raise AssertionError(f"no end after {self._polls} polls; is it bounded?")

    def _take(self, delivery: Delivery, reading: _Reading) -> None:
        table = table_of(delivery.batch)
        rows = len(table)
        partitions = _each(delivery.partition, rows, "partition", step=0)
        _require(delivery.position is not None or not rows, "a Delivery of rows needs position=")
        positions = _each(delivery.position, rows, "position", step=1)
        if delivery.arrival is not None:
            _each(delivery.arrival, rows, "arrival", step=0)
        bad = [(each.partition, each.position, each) for each in delivery.undecodable]
        came: list[tuple[int, int, Any]] = [
            *zip(partitions, positions, table.to_pylist(), strict=True),
            *bad,
        ]
        what = "a row, an undecodable record or a position"
        _require(bool(came or delivery.resume), f"a Delivery must have {what}")
        _rising(list(zip(partitions, positions, strict=True)), "rows")
        _rising([(partition, position) for partition, position, _ in bad], "undecodable records")
        self._check_known({partition for partition, _, _ in came}, "a row")
        self._check_known(delivery.resume, "resume")
        for partition, position, record in sorted(came, key=lambda each: each[:2]):
            floor = reading.positions.get(partition, 0)
            place = f"position {position} of partition {partition}"
            _require(position >= floor, f"{place} comes after resume was {floor}")
            end = delivery.resume.get(partition)
            _require(end is not None, f"resume lacks partition {partition}")
            _require(position < (end or 0), f"resume is {end}, although {place} was delivered")
            reading.records[partition].append((position, record))
        reading.positions.update(delivery.resume)
        mark = reading.resumes[-1][1]
        if delivery.mark is not None:
            mark = msgspec.json.decode(msgspec.json.encode(delivery.mark))
        reading.resumes.append((dict(reading.positions), mark))

    def _check_known(self, partitions: Any, what: str) -> None:
        strange = set(partitions) - self._partitions
        _require(not strange, f"{what} names {strange}, but partitions() gives {self._partitions}")


def _check_members(source: Source, twin: Source) -> None:
    for name in ("bounded", "total", "partitions", "identity", "open"):
        _require(hasattr(source, name), f"a source must have {name}")
    _require(isinstance(source.bounded, bool), f"bounded must be a bool, got {source.bounded!r}")
    total = source.total
    _require(total is None or isinstance(total, int), f"total must be an int, got {total!r}")
    partitions = list(source.partitions())
    _require(len(partitions) > 0, "partitions() must return at least one partition")
    _require(len(set(partitions)) == len(partitions), f"partitions must differ: {partitions}")
    _require(all(isinstance(p, int) for p in partitions), f"partitions must be ints: {partitions}")
    names = list(source.identity())
    _require(len(names) > 0, "identity() must name what is read")
    _require(all(isinstance(name, str) for name in names), f"identity() must give texts: {names}")
    again = list(twin.identity())
    _require(names == again, f"identity() of the same source changed from {names} to {again}")


def _each(value: Any, rows: int, what: str, *, step: int) -> list[int]:
    if value is None:
        return []
    if isinstance(value, int):
        return [value + step * i for i in range(rows)]
    found: list[int] = pa.array(value).to_pylist()
    _require(len(found) == rows, f"{what} has {len(found)} values for {rows} rows")
    return found


def _rising(places: list[tuple[int, int]], what: str) -> None:
    last: dict[int, int] = {}
    for partition, position in places:
        before = last.get(partition, -1)
        said = f"positions of {what} must rise in partition {partition}: {before}, then {position}"
        _require(position > before, said)
        last[partition] = position


def _after(records: Records, positions: Mapping[int, int]) -> Records:
    left = {
        partition: [each for each in found if each[0] >= positions.get(partition, 0)]
        for partition, found in records.items()
    }
    return {partition: found for partition, found in left.items() if found}


def _same(after: int, positions: Mapping[int, int], expected: Records, got: Records) -> None:
    for partition in sorted({*expected, *got}):
        pair = (_plain(expected.get(partition, [])), _plain(got.get(partition, [])))
        if pair[0] == pair[1]:
            continue
        at = next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), None)
        at = min(map(len, pair)) if at is None else at
        wanted, found = (each[at] if at < len(each) else "nothing" for each in pair)
        _fail(
            f"opened at {dict(positions)}, after {after} deliveries: partition {partition} "
            f"gives {found} where the whole run gave {wanted}"
        )


def _plain(records: list[tuple[int, object]]) -> list[str]:
    # NaN is equal to NaN as text
    return [
        f"{at}: {each.text!r} ({each.file}:{each.line})"
        if isinstance(each, Undecodable)
        else f"{at}: {each!r}"
        for at, each in records
    ]


def _require(holds: bool, message: str) -> None:
    if not holds:
        _fail(message)


def _fail(message: str) -> NoReturn:
    raise AssertionError(message)
