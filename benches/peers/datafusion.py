"""DataFusion, on one thread, over the Arrow table."""

from __future__ import annotations

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from benches.peers.peer import Clock, Emit, Peer
from benches.peers.sql import Dialect, query
from benches.workloads import Workload

DIALECT = Dialect(bucket="date_bin({}, ts)", series="generate_series({first}, {last}, {every})")


class DataFusion(Peer):
    package = "datafusion"
    settings = {"target_partitions": "1"}  # noqa: RUF012
    beyond = "a query engine: all cores if allowed; a query sees all rows again"

    def refuses(self, workload: Workload) -> str | None:
        if workload.only_changed:
            return "no window that comes only if it changed"
        if workload.kind == "sliding":
            if workload.data.late:
                return "no answers on arrival: it sees the finished table"
            if "d" in workload.aggregates:
                return "no count(distinct) over a moving frame"
        return None

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        context = SessionContext(SessionConfig().with_target_partitions(1))
        with clock:
            context.register_record_batches("data", [table.to_batches()])
            out = context.sql(query(workload, DIALECT)).collect()
        emit(pa.Table.from_batches(out))


PEER = DataFusion()
