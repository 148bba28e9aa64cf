"""`check_sink` checks a sink's contract, through a whole run and through crashes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from muntin.sinks import Durable, Sink
from muntin.values.table import Table

Read: TypeAlias = Callable[[], Sequence[dict[str, Any]]]
"""Returns what a reader of the sink sees, in any order: at least `k` and `v` of each row."""

_OUTPUT = "rows"
_CHECKPOINTS = 4
_STEPS = 2
_STEP_ROWS = 3


def check_sink(
    make: Callable[[], Sink],
    read: Read,
    *,
    clear: Callable[[], object] = lambda: None,
    key: Sequence[str] = (),
    repeats: bool = False,
) -> None:
    """Take a sink through runs, and raise `AssertionError` where it breaks the protocol.

    The rows have the columns `k` (text) and `v` (an integer). A run without checkpoints comes
    first. For a `Durable` sink runs with checkpoints follow, one for every two calls between
    which the process may die, and one for each with the checkpoint before the newest: after
    each, every row must be there once. The same follows with checkpoints that fail once or twice
    after the sink has prepared, with and without more rows between: `prepare` is called again,
    and gives a state for everything staged since the last `publish`. A sink that died is left as
    it is, unclosed, and another one made.

    Args:
        make: returns a new sink, each time for the same place.
        read: returns what that place holds: dicts with at least `k` and `v`. A number may be
            text.
        clear: empties the place; called before every run.
        key: the key columns the sink is opened with: `("k",)`, or none.
        repeats: the sink promises each row at least once, not exactly once: it may repeat rows
            that were visible when the process died.

    Raises:
        AssertionError: a row is missing or there twice; the message lists the calls before.

    >>> class Kept:
    ...     when, rows, staged = None, [], []
    ...     def open(self, output, key): pass
    ...     def stage(self, output, rows): self.staged = self.staged + rows.to_dicts()
    ...     def publish(self): self.rows += self.staged; self.staged = []
    ...     def close(self): pass
    >>> check_sink(Kept, lambda: Kept.rows, clear=Kept.rows.clear)
    """
    place = _Place(make, read, clear, tuple(key), repeats)
    assert isinstance(make(), Sink), (
        "a sink must have all members of mt.Sink: when, open, stage, publish, close"
    )
    _without_checkpoints(place)
    if not isinstance(make(), Durable):
        return
    for fails in (0, 1, 2):
        calls = len(_Life(place, fails=fails).calls)
        for died_after in range(calls + 1):
            for back in (0, 1):
                _with_a_death(place, died_after, back, fails)


class _Place:
    def __init__(
        self, make: Callable[[], Sink], read: Read, clear: Any, key: tuple[str, ...], repeats: bool
    ) -> None:
        self.make = make
        self.clear = clear
        self.key = key
        self._read = read
        self._repeats = repeats

    def expect(
        self,
        rows: Sequence[tuple[str, int]],
        calls: Sequence[str],
        shown: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Compare; `shown` are rows that a run before this one had published or prepared."""
        wanted = Counter(dict(rows).items() if self.key else rows)
        seen = Counter((str(row["k"]), int(row["v"])) for row in self._read())
        if self._repeats:
            seen = Counter(dict.fromkeys(seen, 1))
            wanted = Counter(dict.fromkeys(wanted, 1))
            allowed = wanted | Counter(dict.fromkeys(shown, 1))
        else:
            allowed = wanted
        missing, extra = wanted - seen, seen - allowed
        assert not missing and not extra, (
            f"after {', '.join(calls)}: missing {dict(missing)}, too many {dict(extra)}"
        )


def _without_checkpoints(place: _Place) -> None:
    place.clear()
    sink, calls, rows = place.make(), ["open"], []
    sink.open(_OUTPUT, place.key)
    for step in range(_STEPS):
        rows += _rows(step)
        sink.stage(_OUTPUT, _table(_rows(step)))
        sink.publish()
        calls += ["stage", "publish"]
    sink.publish()
    sink.stage(_OUTPUT, _table(_rows(_STEPS)))
    sink.close()
    place.expect(rows, [*calls, "publish", "stage", "close"])


class _Life:
    """The calls of a run that begins at a checkpoint, and the states that it commits."""

    def __init__(
        self, place: _Place, start: int = 0, state: str | None = None, fails: int = 0
    ) -> None:
        self.place = place
        self.state = state
        self.committed: list[str | None] = [state]
        self.sink: Any = place.make()
        self.calls: list[tuple[str, Callable[[], object]]] = [
            ("open", lambda: self.sink.open(_OUTPUT, place.key)),
            ("restore", self._restore),
        ]
        for checkpoint in range(start, _CHECKPOINTS):
            # the third checkpoint has no rows
            steps = range(_STEPS) if checkpoint != 2 else range(0)
            for step in steps:
                self.calls.append(("stage", self._stage(checkpoint * _STEPS + step)))
                # the first fails before all rows are there, the second when they are
                if step < fails:
                    self.calls.append(("prepare (the checkpoint fails)", self._prepare_in_vain))
            self.calls += [
                ("prepare", self._prepare),
                ("commit", self._commit),
                ("publish", lambda: self.sink.publish()),
            ]
        self.calls.append(("close", lambda: self.sink.close()))

    def run(self, count: int) -> list[str]:
        for _, call in self.calls[:count]:
            call()
        return [name for name, _ in self.calls[:count]]

    def _restore(self) -> None:
        self.sink.restore(None if self.state is None else json.loads(self.state))

    def _stage(self, step: int) -> Callable[[], None]:
        return lambda: self.sink.stage(_OUTPUT, _table(_rows(step)))

    def _prepare(self) -> None:
        self.state = json.dumps(self.sink.prepare())

    def _prepare_in_vain(self) -> None:
        json.dumps(self.sink.prepare())

    def _commit(self) -> None:
        self.committed.append(self.state)


def _with_a_death(place: _Place, died_after: int, back: int, fails: int) -> None:
    place.clear()
    first = _Life(place, fails=fails)
    calls = first.run(died_after)
    last = len(first.committed) - 1 - back
    if last < 0 or (back and last == 0):
        return
    shown = _until(len(first.committed) - 1)
    calls.append(f"death, back to checkpoint {last}")
    second = _Life(place, last, first.committed[last])
    calls += second.run(2)
    place.expect(_until(last), calls, shown)
    third = _Life(place, last, first.committed[last], fails)
    calls += ["death", *third.run(2)]
    place.expect(_until(last), calls, shown)
    calls += [name for name, call in third.calls[2:] if call() or True]
    place.expect(_until(_CHECKPOINTS), calls)
    fourth = _Life(place, _CHECKPOINTS, third.committed[-1])
    calls += ["a new start", *fourth.run(len(fourth.calls))]
    place.expect(_until(_CHECKPOINTS), calls)


def _until(checkpoint: int) -> list[tuple[str, int]]:
    steps = [
        each * _STEPS + step for each in range(checkpoint) if each != 2 for step in range(_STEPS)
    ]
    return [row for step in steps for row in _rows(step)]


def _rows(step: int) -> list[tuple[str, int]]:
    """A key of its own in every row but the first, which is a revision."""
    first = step * _STEP_ROWS
    return [("again", first), *((f"k{first + i}", first + i) for i in range(1, _STEP_ROWS))]


def _table(rows: Sequence[tuple[str, int]]) -> Table:
    return Table([pa.table({"k": [k for k, _ in rows], "v": [v for _, v in rows]})])
