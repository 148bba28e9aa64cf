"""DuckDB, on one thread, over the Arrow table."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from benches.peers.peer import Clock, Emit, TablePeer
from benches.peers.sql import Dialect, query
from benches.workloads import Workload

DIALECT = Dialect(bucket="time_bucket({}, ts)", series="generate_series({first}, {last}, {every})")


class DuckDb(TablePeer):
    package = "duckdb"
    settings = {"threads": "1", "preserve_insertion_order": "false"}  # noqa: RUF012
    beyond = "a database: larger than memory, all cores if allowed; a query sees all rows again"

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        connection = duckdb.connect(config={"threads": 1, "preserve_insertion_order": False})
        text = query(workload, DIALECT)
        with clock:
            connection.register("data", table)
            out = connection.sql(text).to_arrow_table()
        emit(out)


PEER = DuckDb()
