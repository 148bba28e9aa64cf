"""DataFusion, on one thread, over the Arrow table."""

from __future__ import annotations

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from benches.peers.peer import Clock, Emit, TablePeer
from benches.peers.sql import Dialect, query
from benches.workloads import Workload

DIALECT = Dialect(bucket="date_bin({}, ts)", series="generate_series({first}, {last}, {every})")


class DataFusion(TablePeer):
    package = "datafusion"
    settings = {"target_partitions": "1"}  # noqa: RUF012
    beyond = "a query engine: all cores if allowed; a query sees all rows again"
    no_distinct = "no count(distinct) over a moving frame"

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        context = SessionContext(SessionConfig().with_target_partitions(1))
        with clock:
            context.register_record_batches("data", [table.to_batches()])
            out = context.sql(query(workload, DIALECT)).collect()
        emit(pa.Table.from_batches(out))


PEER = DataFusion()
