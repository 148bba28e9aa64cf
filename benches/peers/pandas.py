"""pandas: groupby and rolling, on frames made of the Arrow data."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from benches.peers.peer import Clock, Emit, TablePeer
from benches.workloads import Workload

FUNCTIONS = {"n": "count", "s": "sum", "lo": "min", "hi": "max"}


class Pandas(TablePeer):
    package = "pandas"
    settings = {"frames": "Table.to_pandas(), NumPy types", "threads": "1"}  # noqa: RUF012
    beyond = "a whole frame at once; nothing is kept between batches"
    no_distinct = "rolling has no count of different values"

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        with clock:
            out = self.result(workload, table)
        emit(pa.Table.from_pandas(out, preserve_index=False))

    def result(self, workload: Workload, table: pa.Table) -> pd.DataFrame:
        frame, by = table.to_pandas(), list(workload.by)
        if workload.data.kind == "ads":
            frame = frame[frame["event"] == "view"]
            frame = frame.assign(key=frame["ad"] - frame["ad"] % 10, val=0.0)
        size = pd.Timedelta(seconds=workload.size)
        wanted = {name: ("val", FUNCTIONS[name]) for name in workload.aggregates}
        match workload.kind:
            case "tumbling":
                frame["start"] = frame["ts"].dt.floor(size)
                return frame.groupby(["start", *by], sort=False, as_index=False).agg(**wanted)
            case "hopping":
                every = pd.Timedelta(seconds=workload.every)
                first = frame["ts"].dt.floor(every)
                copies = [frame.assign(start=first - i * every) for i in range(size // every)]
                groups = pd.concat(copies).groupby(["start", *by], sort=False, as_index=False)
                return groups.agg(**wanted)
            case "session":
                frame = frame.sort_values([*by, "ts"])
                key = frame[by[0]]
                begins = (key != key.shift()) | (frame["ts"].diff() > size)
                frame["session"] = begins.cumsum()
                bounds = {"start": ("ts", "first"), "last": ("ts", "last")}
                return frame.groupby([*by, "session"], as_index=False).agg(**bounds, **wanted)
            case "sliding":
                return self.rolling(workload, frame)

    def rolling(self, workload: Workload, frame: pd.DataFrame) -> pd.DataFrame:
        by, values = list(workload.by), iter(workload.values)
        frame = frame.sort_values([*by, "ts"], kind="stable")
        out = frame[["ts", *by]].reset_index(drop=True)
        groups = frame.set_index("ts").groupby(by, sort=True)["val"]
        for size in workload.sizes:
            windows = groups.rolling(f"{size}s")
            for name in workload.aggregates:
                found = getattr(windows, FUNCTIONS[name])().to_numpy()
                out[next(values)] = found.astype("int64") if name == "n" else found
        return out


PEER = Pandas()
