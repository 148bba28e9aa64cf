"""The Arrow bridge and the door into the compiled module: what comes in, what is refused, what goes
out, and who waits for whom.

The plan hands its input on as it is, so that what goes in is compared with what comes out.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from muntin.base.errors import (
    DataError,
    EngineError,
    MuntinError,
    PlanError,
    SchemaError,
    SnapshotError,
)

_core = pytest.importorskip("muntin._core")

SECONDS = 20


def plan(rules: tuple[str, ...] = ()) -> str:
    rule = {"by": [], "severity": "warning", "cooldown": None, "message": "", "score": 0}
    rule |= {"version": 1, "shadow": False}
    when = [{"name": name, "when": {"mask": k}, **rule} for k, name in enumerate(rules)]
    source = {"name": "in", "time": {"col": "at"}, "out_of_order": 0, "idle_after": None}
    source |= {"max_future_skew": None, "schema": None}
    return json.dumps(
        {
            "version": 1,
            "inputs": [source],
            "nodes": [{"op": "input", "input": 0}],
            "outputs": [{"name": "out", "node": 0, "rules": when}],
        }
    )


def engine(*masks: Callable[[Any], Any]) -> Any:
    names = tuple(f"rule_{k}" for k in range(len(masks)))
    return _core.Engine(plan(names), [[0, 1, 2]], 1, list(masks), None, "refuse")


def step(target: Any, data: Any, partition: Any = 0, position: Any = None) -> Any:
    return target.step([(0, data, partition, position, None)], "given")


def through(data: Any, **more: Any) -> pa.Table:
    return pa.table(step(engine(), data, **more).outputs[0])


def timed(**columns: Any) -> pa.Table:
    rows = max((len(c) for c in columns.values()), default=2)
    at = pa.array(range(rows), pa.timestamp("us", "UTC"))
    return pa.table({"at": at, **columns})


TABLE = timed(n=[1, None, 3], s=["x", None, "é"], b=[True, False, None], f=[0.5, None, -0.0])


def readable(value: Any) -> str:
    """The name of a case; malformed data are never printed, which would read foreign memory."""
    return value if isinstance(value, str) else type(value).__name__


class Capsule:
    """Hands over what it was given, each time the same."""

    def __init__(self, **answers: Any) -> None:
        for name, answer in answers.items():
            setattr(self, f"__arrow_c_{name}__", lambda *_, answer=answer: answer)


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.slice(1, 1),
        TABLE.slice(3),
        pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 0), TABLE.slice(1)]),
        pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=1)),
        pl.DataFrame(TABLE),
        pl.DataFrame(TABLE).slice(1, 2),
        pl.DataFrame(TABLE).filter(pl.lit(False)),
        pl.DataFrame(TABLE).to_struct("row"),
        TABLE.to_pandas(types_mapper=pd.ArrowDtype),
        TABLE.to_struct_array(),
        Capsule(array=TABLE.to_batches()[0].__arrow_c_array__()),
    ],
    ids=lambda data: type(data).__name__,
)
def test_rows_of_any_library_come_through(data: Any) -> None:
    at_once = isinstance(data, pa.Table | pl.DataFrame)
    expected = (pa.table(data) if at_once else TABLE).to_pylist()
    got = through(data)
    got.validate(full=True)
    assert got.to_pylist() == expected


def test_duckdb_comes_through() -> None:
    query = "select timestamp '2020-01-01' + range * interval 1 second as at, 'x' as s, range as n"
    rows = [duckdb.sql(f"{query} from range(5)") for _ in range(2)]
    assert through(rows[0]).to_pylist() == rows[1].to_arrow_table().to_pylist()


def test_layouts_of_a_string_are_one_string() -> None:
    texts = ["a", None, "longer than twelve bytes"]
    layouts = [pa.string(), pa.large_string(), pa.string_view()]
    layouts.append(pa.dictionary(pa.int8(), pa.large_string()))
    for layout in layouts:
        got = through(timed(s=pa.array(texts).cast(layout)))
        assert got.column("s").type == pa.string()
        assert got.column("s").to_pylist() == texts


def test_a_number_a_row() -> None:
    for partition in (
        0,
        np.int64(1),
        pa.array([0, 1, 2]),
        pl.Series([0, 1, 2]),
        pd.Series([2, 1, 0]),
    ):
        assert through(TABLE, partition=partition).num_rows == 3
    assert through(TABLE, position=pa.chunked_array([[7], [8, 9]])).num_rows == 3


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        (pa.array([1, 2]), "partition: 2 values for 3 rows"),
        (pa.array([1, None, 2]), "partition: the value of row 1 is null"),
        (pa.array(["a", "b", "c"]), "partition: expected integers or timestamps, got str"),
        (pa.array([2**63, 0, 0], pa.uint64()), "partition: a value is beyond 64 bits"),
        (2**70, "is not an integer\nhint: give an integer of 64 bits"),
        (1.5, "partition: 1.5 is not an integer"),
        (None, "partition: None is not an integer"),
    ],
)
def test_a_wrong_number_a_row_is_named(partition: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        through(TABLE, partition=partition)
    assert message in str(caught.value)


def broken(kind: pa.DataType, *buffers: Any) -> pa.Table:
    parts = [None if b is None else pa.py_buffer(b) for b in buffers]
    return timed(broken=pa.Array.from_buffers(kind, 2, parts))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            pl.DataFrame(TABLE).lazy(),
            DataError,
            "LazyFrame does not export Arrow data\nhint: collect()",
        ),
        ([{"at": 1}], DataError, "list does not export Arrow data"),
        (7, DataError, "int does not export Arrow data"),
        (pa.array([1]), DataError, "expected rows with columns, got i64"),
        (pl.Series([1]), DataError, "expected rows with columns, got i64"),
        (pa.array([{"at": 1}, None]), DataError, "1 rows are null as a whole"),
        (Capsule(stream=5), DataError, "expected a capsule arrow_array_stream, got int"),
        (Capsule(array=5), DataError, "did not return a pair of capsules"),
        (
            Capsule(stream=TABLE.schema.__arrow_c_schema__()),
            DataError,
            "expected a capsule named arrow_array_stream",
        ),
        (
            pl.DataFrame({"big": pl.Series([1], dtype=pl.Int128)}),
            SchemaError,
            'column "big" has Polars\' private type i128\nhint: cast it',
        ),
        (
            broken(pa.string(), None, np.array([0, 100, 3], np.int32), b"abc"),
            DataError,
            'column "broken": malformed Arrow data: ',
        ),
        (
            broken(pa.string(), None, np.array([0, 1, 3], np.int32), b"\xff\xfe\xfd"),
            DataError,
            'column "broken": malformed Arrow data: Invalid UTF8',
        ),
        (
            timed(d=pa.DictionaryArray.from_arrays(pa.array([0, 7]), pa.array(["a"]), safe=False)),
            DataError,
            'column "d": malformed Arrow data: ',
        ),
    ],
    ids=readable,
)
def test_what_cannot_be_read_is_named(data: Any, error: type[MuntinError], message: str) -> None:
    with pytest.raises(error) as caught:
        through(data)
    assert type(caught.value) is error
    assert message in str(caught.value)


def test_a_capsule_is_read_once() -> None:
    for data in (
        Capsule(stream=TABLE.__arrow_c_stream__()),
        Capsule(array=TABLE.to_batches()[0].__arrow_c_array__()),
    ):
        assert through(data).num_rows == 3
        with pytest.raises(DataError, match="was consumed before"):
            through(data)


@pytest.mark.parametrize("refusal", [ValueError, NotImplementedError, pa.ArrowNotImplementedError])
def test_what_cannot_be_one_array_is_a_stream(refusal: type[Exception]) -> None:
    class Chunked:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            raise refusal("several chunks")

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return TABLE.__arrow_c_stream__()

    assert through(Chunked()).num_rows == 3


def test_a_producer_that_fails_is_quoted() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield TABLE.to_batches()[0]
        raise RuntimeError("the disk is gone")

    target = engine()
    with pytest.raises(
        DataError, match=r"the source of the batches failed: (.|\n)*the disk is gone"
    ):
        step(target, pa.RecordBatchReader.from_batches(TABLE.schema, batches()))
    assert step(target, TABLE).outputs[0].num_rows == 3


def test_what_an_export_raises_is_the_cause_of_our_error() -> None:
    class Closed:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            raise KeyError("mine")

    said = 'input "in": a Closed could not give its Arrow data: KeyError: .mine.'
    with pytest.raises(DataError, match=said) as caught:
        through(Closed())
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError, OSError, KeyError]
)
def test_an_export_that_fails_is_not_asked_in_another_way(raised: type[BaseException]) -> None:
    """Only "this is not one array" leads to the stream."""

    class Failing:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            raise raised

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return TABLE.__arrow_c_stream__()

    target = engine()
    with pytest.raises(DataError if issubclass(raised, Exception) else raised) as caught:
        step(target, Failing())
    assert raised in (type(caught.value), type(caught.value.__cause__))
    assert step(target, TABLE).outputs[0].num_rows == 3


def test_trusted_data_are_not_looked_at() -> None:
    trusting = _core.Engine(plan(), [[0]], 1, [], None, "refuse", validate=False)
    assert step(trusting, TABLE).outputs[0].num_rows == 3


def test_a_schema_becomes_words() -> None:
    words = [("at", "timestamp[us, UTC]"), ("n", "i64"), ("s", "str"), ("b", "bool"), ("f", "f64")]
    assert _core.schema_words(TABLE.schema) == words
    assert _core.schema_words(pl.DataFrame(TABLE).schema) == words
    assert _core.schema_words(pl.Schema({"c": pl.Categorical()})) == [("c", "str")]
    target = engine()
    assert _core.schema_words(step(target, TABLE).outputs[0]) == words
    assert target.schema(0) == words


def test_a_schema_that_is_none() -> None:
    with pytest.raises(SchemaError, match="dict is not an Arrow schema"):
        _core.schema_words({})
    # what no verb reads is carried, under the name that Arrow has for it
    carried = pa.schema([("u", pa.month_day_nano_interval())])
    assert _core.schema_words(carried) == [("u", "arrow[Interval(MonthDayNano)]")]


def test_errors_have_their_classes() -> None:
    with pytest.raises(PlanError):
        _core.check("{")
    with pytest.raises(PlanError, match='unknown order "backwards"'):
        engine().step([], "backwards")
    with pytest.raises(SnapshotError, match="not a snapshot of muntin"):
        _core.Engine(plan(), [[0]], 1, [], b"something else", "refuse")


def test_batches_go_out_as_often_as_asked() -> None:
    out = step(engine(), TABLE).outputs[0]
    assert (out.num_rows, out.names) == (3, TABLE.column_names)
    for _ in range(3):
        assert pa.table(out).to_pylist() == TABLE.to_pylist()
        assert pl.DataFrame(out).rows() == pl.DataFrame(TABLE).rows()
    assert pa.schema(out) == pa.table(out).schema
    unread = out.__arrow_c_stream__(requested_schema=None), out.__arrow_c_schema__()
    del unread, out
    gc.collect()


def test_every_buffer_is_released_once() -> None:
    """A leak keeps the bytes, a double release crashes."""

    def once(rows: int) -> None:
        columns = timed(n=pa.array(np.arange(rows)).cast(pa.int32()))
        out = step(engine(), columns).outputs[0]
        kept = pa.table(out)
        unread = out.__arrow_c_stream__()
        del out, columns, unread
        assert kept.num_rows == rows
        with pytest.raises(DataError):
            through(pa.array(np.arange(rows)).cast(pa.int32()))

    once(10)
    gc.collect()
    before = pa.total_allocated_bytes()
    for _ in range(20):
        once(10_000)
    gc.collect()
    assert pa.total_allocated_bytes() - before < 100_000


@pytest.mark.parametrize(
    "mask",
    [
        lambda rows: pa.table(rows)["b"],
        lambda rows: pl.DataFrame(rows)["b"],
        lambda rows: pa.chunked_array([[True], [False, None]]),
        lambda rows: pd.Series([True, False, None], dtype=pd.ArrowDtype(pa.bool_())),
    ],
)
def test_a_mask_fires_where_it_is_true(mask: Callable[[Any], Any]) -> None:
    alerts = pa.table(step(engine(mask), TABLE).alerts)
    assert alerts.column("rule").to_pylist() == ["rule_0"]
    assert alerts.column("time").to_pylist() == TABLE.column("at").to_pylist()[:1]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([True] * 3, "the answer is of type list\nhint: return a boolean array"),
        (np.array([True] * 3), "the answer is of type ndarray"),
        (None, "the answer is of type NoneType"),
        (pa.array([True]), "the answer has 1 values for 3 rows"),
        (pa.array([1, 2, 3]), "the answer is not boolean but i64"),
    ],
    ids=readable,
)
def test_a_wrong_mask_is_named(answer: Any, message: str) -> None:
    out = step(engine(lambda rows: answer), TABLE)
    ((number, error),) = out.failures
    assert (number, type(error)) == (0, DataError)
    assert f'rule "rule_0": {message}' in str(error)
    assert (out.alerts.num_rows, out.outputs[0].num_rows) == (0, 3)


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_what_a_rule_raises_comes_out_beside_the_rows(kind: type[BaseException]) -> None:
    def mask(rows: Any) -> Any:
        raise kind("mine")

    target = engine(mask, lambda rows: pa.array([True] * 3))
    out = step(target, TABLE)
    ((number, error),) = out.failures
    assert (number, type(error), error.args) == (0, kind, ("mine",))
    assert error.__traceback__ is not None
    assert pa.table(out.alerts).column("rule").to_pylist() == ["rule_1"] * 3
    assert json.loads(target.stats())["failed"] == {"rule_0": 1}


def test_a_push_after_a_failed_step_is_refused() -> None:
    """Trusted data that are no text fail where an answer is written: after state has changed."""
    raw = pa.array([b"\xff", b"ok", b"x"], pa.binary())
    text = pa.Array.from_buffers(pa.utf8(), 3, raw.buffers())
    greatest = json.loads(plan())
    aggregate = {"name": "s", "kind": "max", "args": [{"col": "s"}], "where": None}
    node = {"op": "sliding", "from": 0, "by": ["n"], "sizes": [1_000_000], "closed": "right"}
    node |= {"allowed_lateness": 0, "include_current": True, "null_key": "null"}
    node |= {"emit": "arrival", "aggregates": [aggregate]}
    node |= {"columns": [{"name": "top", "aggregate": 0, "size": 0}]}
    greatest["nodes"].append(node)
    greatest["outputs"][0]["node"] = 1
    target = _core.Engine(json.dumps(greatest), [[0]], 1, [], None, "refuse", validate=False)
    with pytest.raises(EngineError, match=r"[Ii]nvalid (UTF|utf)-?8"):
        step(target, timed(n=[1, 2, 3], s=text))
    good = timed(n=[1, 2, 3], s=["a", "b", "c"])
    for call in (
        lambda: step(target, good),
        lambda: target.finish(None, None),
        lambda: target.snapshot(),
    ):
        with pytest.raises(EngineError, match=r"a step failed before(.|\n)*failed with"):
            call()


def test_a_rule_may_not_call_its_own_engine() -> None:
    def mask(rows: Any) -> Any:
        return target.watermark()

    target = engine(mask)
    ((_, error),) = step(target, TABLE).failures
    assert isinstance(error, EngineError)
    assert "a rule called the operator that it belongs to" in str(error)


def finished(*work: Callable[[], object]) -> bool:
    threads = [threading.Thread(target=each, daemon=True) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return not any(thread.is_alive() for thread in threads)


def test_a_thread_that_waits_for_the_engine_leaves_the_gil_alone() -> None:
    inside, asking = threading.Event(), threading.Event()

    def mask(rows: Any) -> Any:
        inside.set()
        asking.wait(SECONDS)
        threading.Event().wait(0.05)
        return pa.array([True] * 3)

    def ask() -> None:
        inside.wait(SECONDS)
        asking.set()
        target.watermark()

    target = engine(mask)
    assert finished(lambda: step(target, TABLE), ask)


def test_a_slow_producer_stops_neither_the_engine_nor_python() -> None:
    pulled, go_on = threading.Event(), threading.Event()
    rows = []

    def batches() -> Iterator[pa.RecordBatch]:
        pulled.set()
        assert go_on.wait(SECONDS)
        yield TABLE.to_batches()[0]

    def slow() -> None:
        reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
        rows.append(step(target, reader).outputs[0].num_rows)

    def quick() -> None:
        pulled.wait(SECONDS)
        rows.append(step(target, TABLE.slice(0, 1)).outputs[0].num_rows)
        go_on.set()

    target = engine()
    assert finished(slow, quick)
    assert rows == [1, 3]


def test_many_threads_share_an_engine() -> None:
    target = engine(lambda rows: pa.array([False] * 3))
    out = []

    def work() -> None:
        for _ in range(10):
            out.append(step(target, TABLE).outputs[0].num_rows)

    assert finished(*[work] * 8)
    assert out == [3] * 80
