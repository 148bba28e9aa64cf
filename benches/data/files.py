"""Events in Arrow files: written once, read by every peer."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pyarrow as pa

from benches.workloads import Data

BATCH = 65_536


def read(path: Path) -> pa.Table:
    """The events of a file, in memory."""
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write(data: Data, folder: Path) -> Path:
    """The events as an Arrow file of the folder, made once."""
    from benches.data.make import make

    path = folder / ("-".join(map(str, astuple(data))) + ".arrow")
    if not path.exists():
        table = make(data)
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=BATCH)
    return path
