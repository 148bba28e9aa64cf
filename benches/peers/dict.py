"""What one writes without a library: a loop over the rows, and dictionaries."""

from __future__ import annotations

import platform
from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from benches.peers.peer import Clock, Emit, Peer
from benches.workloads import Workload

SECOND = 1_000_000
BATCH = 65_536


class DictLoop(Peer):
    settings = {"rows": "to_pylist of each column, then zip"}  # noqa: RUF012

    def version(self) -> str:
        return platform.python_version()

    def refuses(self, workload: Workload) -> str | None:
        return "it would only do more" if workload.only_changed else None

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        make = {
            "tumbling": aligned,
            "hopping": aligned,
            "session": sessions,
            "sliding": sliding_late if workload.data.late else sliding,
        }[workload.kind]
        with clock:
            out = list(make(workload, rows(workload, table)))
        emit(as_table(workload, out))


def rows(workload: Workload, table: pa.Table) -> Iterator[tuple[int, Any, float, int]]:
    """Time in microseconds, key, value and item of each event."""
    for batch in table.to_batches(max_chunksize=BATCH):
        ts = batch["ts"].cast(pa.int64()).to_pylist()
        if workload.data.kind == "ads":
            pairs = zip(ts, batch["ad"].to_pylist(), batch["event"].to_pylist(), strict=True)
            yield from ((t, ad - ad % 10, 0.0, 0) for t, ad, event in pairs if event == "view")
            continue
        keys = [batch[name].to_pylist() for name in workload.by]
        key = keys[0] if len(keys) == 1 else list(zip(*keys, strict=True))
        items = batch["item"].to_pylist() if "d" in workload.aggregates else [0] * len(ts)
        yield from zip(ts, key, batch["val"].to_pylist(), items, strict=True)


def aligned(workload: Workload, events: Iterator[tuple]) -> Iterator[tuple]:
    """Windows that are aligned to the epoch; they close when event time reaches their end."""
    size = workload.size * SECOND
    every = size if workload.kind == "tumbling" else workload.every * SECOND
    windows: dict[int, dict[Any, list[float]]] = {}
    closes = 0
    for t, key, value, _ in events:
        newest = t - t % every
        if newest > closes:
            closes = newest
            for start in [each for each in windows if each + size <= t]:
                yield from fired(start, windows.pop(start))
        for start in range(newest, t - size, -every):
            window = windows.setdefault(start, {})
            state = window.get(key)
            if state is None:
                window[key] = [1, value, value, value]
            else:
                state[0] += 1
                state[1] += value
                if value < state[2]:
                    state[2] = value
                if value > state[3]:
                    state[3] = value
    for start, window in windows.items():
        yield from fired(start, window)


def fired(start: int, window: dict[Any, list[float]]) -> Iterator[tuple]:
    for key, (n, s, lo, hi) in window.items():
        yield start, key, {"n": n, "s": s, "lo": lo, "hi": hi}


def sessions(workload: Workload, events: Iterator[tuple]) -> Iterator[tuple]:
    """Sessions of a key, newest last; an event joins all that it is within the gap of."""
    gap = workload.size * SECOND
    found: dict[Any, list[list[float]]] = {}
    for t, key, value, _ in events:
        mine = found.setdefault(key, [])
        session, at = [t, t, 1, value], len(mine)
        while at and mine[at - 1][1] + gap >= t:
            at -= 1
            if mine[at][0] - gap <= t:
                start, last, n, s = mine.pop(at)
                session = [
                    min(start, session[0]),
                    max(last, session[1]),
                    session[2] + n,
                    session[3] + s,
                ]
        mine.insert(at, session)
    for key, mine in found.items():
        for start, last, n, s in mine:
            yield start, key, {"last": last, "n": n, "s": s}


class Window:
    """One size of a key's window, in order: what is in it and its results."""

    def __init__(self) -> None:
        self.inside: deque[tuple[int, float, int]] = deque()
        self.sum = 0.0
        self.best: deque[tuple[int, float]] = deque()
        self.items: Counter[int] = Counter()


def sliding(workload: Workload, events: Iterator[tuple]) -> Iterator[tuple]:
    """For each event, over its key's events of the last `size`; events come in order."""
    greatest, distinct = "hi" in workload.aggregates, "d" in workload.aggregates
    sizes = [size * SECOND for size in workload.sizes]
    states: dict[Any, list[Window]] = {}
    for t, key, value, item in events:
        state = states.get(key)
        if state is None:
            state = states[key] = [Window() for _ in sizes]
        results = {}
        for word, size, window in zip(workload.sizes, sizes, state, strict=True):
            inside, end = window.inside, t - size
            inside.append((t, value, item))
            window.sum += value
            while inside[0][0] <= end:
                _, old, item_old = inside.popleft()
                window.sum -= old
                if distinct:
                    window.items[item_old] -= 1
                    if not window.items[item_old]:
                        del window.items[item_old]
            found = {"n": len(inside), "s": window.sum}
            if greatest:
                best = window.best
                while best and best[-1][1] <= value:
                    best.pop()
                best.append((t, value))
                while best[0][0] <= end:
                    best.popleft()
                found["hi"] = best[0][1]
            if distinct:
                window.items[item] += 1
                found["d"] = len(window.items)
            many = len(sizes) > 1
            results |= {f"{name}_{word}" if many else name: v for name, v in found.items()}
        yield t, key, results


def sliding_late(workload: Workload, events: Iterator[tuple]) -> Iterator[tuple]:
    """The same with late events: over what has come so far, in a sorted list of each key."""
    size, late = workload.sizes[0] * SECOND, workload.data.late_seconds * SECOND
    states: dict[Any, list[tuple[int, float]]] = {}
    newest = 0
    for t, key, value, _ in events:
        newest = max(newest, t)
        mine = states.setdefault(key, [])
        insort(mine, (t, value))
        if mine[0][0] <= newest - size - late:
            del mine[: bisect_right(mine, (newest - size - late, float("inf")))]
        low, high = bisect_left(mine, (t - size + 1,)), bisect_right(mine, (t, float("inf")))
        yield t, key, {"n": high - low, "s": sum(v for _, v in mine[low:high])}


def as_table(workload: Workload, out: list[tuple]) -> pa.Table:
    """The output as columns; not measured."""
    at, keys, results = zip(*out, strict=True)
    columns = {workload.identity[0]: pa.array(at, pa.timestamp("us"))}
    if len(workload.by) == 1:
        columns[workload.by[0]] = pa.array(keys)
    else:
        for name, values in zip(workload.by, zip(*keys, strict=True), strict=True):
            columns[name] = pa.array(values)
    if workload.kind == "session":
        columns["last"] = pa.array([r["last"] for r in results], pa.timestamp("us"))
    for name in workload.values:
        columns[name] = pa.array([r[name] for r in results])
    return pa.table(columns)


PEER = DictLoop()
