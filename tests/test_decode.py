"""Messages are decoded each by itself, and mean what the same text means elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import muntin as mt
from muntin.sources import Csv
from muntin.sources.decode.decoded import Roles
from muntin.sources.decode.fitting import fitting
from muntin.sources.decode.messages import inferred, pasted
from muntin.sources.decode.objects import NotAnObject, object_of
from muntin.values.rows import arrow_schema
from test_json_lines import LINES, WORDS, kind_of, lines, values

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
MIXED = {"at": "timestamp[us, UTC]", "k": "str", "n": "i64", "price": "decimal(9, 2)"}
MIXED |= {"tags": "list[str]", "place": "struct[lat: f64, name: str]"}


def texts(found: mt.DecodedMessages) -> str:
    """The rows as text: NaN equals NaN, and -0.0 is not 0.0."""
    return repr(found.rows.to_dicts())


def one_by_one(messages: list[bytes], schema: Any) -> tuple[str, list[int], list[str]]:
    """Messages read with care in Python."""
    rows, places, wrong = [], [], {}
    for at, message in enumerate(messages):
        try:
            rows.append(object_of(message))
            places.append(at)
        except NotAnObject as error:
            wrong[at] = str(error)
    batch, misfits = fitting(rows, schema, Roles())
    wrong |= {places[row]: detail for row, detail in misfits.items()}
    good = [at for at in range(len(messages)) if at not in wrong]
    return repr(mt.Table([batch]).to_dicts()), good, [kind_of(wrong[at]) for at in sorted(wrong)]


@pytest.mark.parametrize("word", WORDS)
@CALM
@given(data=st.data())
def test_json_means_what_the_careful_reader_says(word: str, data: st.DataObject) -> None:
    given_values = data.draw(st.lists(values, min_size=1, max_size=8))
    messages = [f'{{"v":\n{value}}}'.encode() for value in given_values]
    messages += data.draw(st.lists(lines(), max_size=3))
    schema = arrow_schema([("v", word)])
    found = mt.decode("json", schema, messages)
    found.rows.to_arrow().validate(full=True)
    kinds = [kind_of(detail) for detail in found.bad["detail"].to_pylist()]
    assert (texts(found), found.ordinals, kinds) == one_by_one(messages, schema)
    assert sorted([*found.ordinals, *found.bad["ordinal"].to_pylist()]) == [*range(len(messages))]


def ipc(table: Any, *, schema: bool = True, options: Any = None) -> bytes:
    """A table as a stream of Arrow, or a batch as its message alone."""
    if not schema:
        return bytes(table.serialize())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write(table)
    return bytes(sink.getvalue())


@st.composite
def ipc_payloads(draw: st.DrawFn) -> bytes:
    """Streams of Arrow, a batch alone, and both with changes."""
    rows = draw(st.lists(st.none() | st.integers(-5, 5), max_size=3))
    kind = draw(st.sampled_from([pa.int64(), pa.int32(), pa.float64(), pa.string()]))
    columns = {"n": pa.array([None if n is None else str(n) for n in rows]).cast(kind)}
    columns["s"] = pa.array([str(n) for n in rows], pa.string())
    if draw(st.booleans()):
        columns["s"] = columns["s"].dictionary_encode()
    batch = pa.record_batch(columns)
    if kind == pa.int64() and columns["s"].type == pa.string() and draw(st.booleans()):
        payload = ipc(batch, schema=False)
    else:
        payload = ipc(batch, options=pa.ipc.IpcWriteOptions(compression=draw(CODECS)))
    cut = draw(st.sampled_from([None, None, None, -1, -9, 5, 0]))
    return payload[:cut]


CODECS = st.sampled_from([None, "lz4", "zstd"])
FORMS: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("json", MIXED, st.one_of(lines(), st.sampled_from(LINES)), {}),
    ("json", {"v": "list[struct[a: f64, b: list[i64]]]"}, lines(), {"rest": True}),
    (
        "csv",
        {"a": "i64", "b": "str", "c": "binary"},
        st.text(st.sampled_from('1",\n\r äA='), max_size=9).map(str.encode),
        {"null_values": ["", "1"]},
    ),
    ("raw", {"payload": "str"}, st.binary(max_size=4), {}),
    ("raw", {"payload": "binary"}, st.binary(max_size=4), {}),
    ("arrow", {"n": "i64", "s": "str"}, ipc_payloads(), {}),
]


@pytest.mark.parametrize("form", FORMS, ids=[f"{form[0]}{i}" for i, form in enumerate(FORMS)])
@CALM
@given(data=st.data())
def test_each_message_is_decoded_alone(form: Any, data: st.DataObject) -> None:
    format, schema, message, options = form
    options = options | {"tombstones": data.draw(st.booleans())}
    options |= {"confluent": data.draw(st.booleans()), "bytes_max": 200}
    messages = data.draw(st.lists(st.none() | message | st.just(b"x" * 300), max_size=8))
    if options["confluent"]:
        prefix = st.sampled_from([b"\x00\x00\x00\x00\x07"] * 3 + [b"", b"\x00\x00", b"\x01....."])
        messages = [m if m is None else data.draw(prefix) + m for m in messages]
    together = mt.decode(format, schema, messages, **options)
    together.rows.to_arrow().validate(full=True)
    rows, bad, ordinals, tombstones = [], [], [], 0
    for at, each in enumerate(messages):
        alone = mt.decode(format, schema, [each], **options)
        rows += alone.rows.to_dicts()
        bad += [row | {"ordinal": at} for row in alone.bad.to_dicts()]
        ordinals += [at] * len(alone.rows)
        tombstones += alone.tombstones
    assert repr(together.rows.to_dicts()) == repr(rows)
    assert together.bad.to_dicts() == bad
    assert (together.ordinals, together.tombstones) == (ordinals, tombstones)


def test_no_messages_are_no_rows() -> None:
    for format, schema, _, options in FORMS:
        found = mt.decode(format, schema, [], **options)
        assert (len(found.rows), len(found.bad), found.ordinals) == (0, 0, [])
        assert found.rows.columns[: len(schema)] == list(schema)


@CALM
@given(data=st.data())
def test_json_means_what_arrow_says(data: st.DataObject) -> None:
    """Where both accept all messages."""
    words = {"b": "bool", "i": "i64", "f": "f64", "s": "str", "l": "list[i64]"}
    words |= {"r": "struct[x: i64, y: str]"}
    plain = {
        "b": st.booleans(),
        "i": st.integers(-(2**53), 2**53),
        "f": st.floats(allow_nan=False, allow_infinity=False),
        "s": st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        "l": st.lists(st.integers(-9, 9), max_size=3),
        "r": st.fixed_dictionaries({"x": st.integers(0, 9), "y": st.text("ab", max_size=2)}),
    }
    optional = {name: st.none() | value for name, value in plain.items()}
    rows = data.draw(st.lists(st.fixed_dictionaries({}, optional=optional), min_size=1, max_size=5))
    messages = [json.dumps(row, ensure_ascii=data.draw(st.booleans())).encode() for row in rows]
    schema = arrow_schema(words.items())
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    expected = pj.read_json(pa.BufferReader(b"\n".join(messages)), parse_options=options)
    assert texts(mt.decode("json", words, messages)) == repr(expected.to_pylist())


BAD: list[tuple[bytes, int, str]] = [
    (b"", 0, "it is not JSON: expected a value, at byte 0"),
    (b'{"n": 1', 7, "it is not JSON: expected a comma or }, at byte 7"),
    (b'{"n" 1}', 5, "it is not JSON: expected a colon, at byte 5"),
    (b'{"n": 1,}', 8, "it is not JSON: expected a key in quotes, at byte 8"),
    (b'{"n": 01}', 7, "it is not JSON: expected no digit behind a zero, at byte 7"),
    (b'{"n": 1}{"n": 2}', 8, "it is not JSON: expected the end, at byte 8"),
    (b'{"s": "a\nb"}', 8, "it is not JSON: a text has a control character, at byte 8"),
    (b'{"s": "a\\x"}', 8, "it is not JSON: there is no such escape, at byte 8"),
    (b'{"s": "\xe4"}', 7, "it is not UTF-8: the byte 0xe4 at byte 7"),
    (b'{"s": "a\\ud800"}', 8, "it has half of a surrogate pair, which is not a character"),
    (b'{"x": {"a": 1, "a": 2}}', 15, 'the key "a" is there twice'),
    (b" [1]", 1, "it is not a JSON object but an array"),
    (b'{"n": "5"}', 6, 'column "n" does not fit i64: "5" is of another type'),
    (b'{"n": [1, 2]}', 6, 'column "n" does not fit i64: [1, 2] is of another type'),
    (b'{"n": 1.5, "s": [}', 17, "it is not JSON: expected a value, at byte 17"),
    (b'{"l": [{"a": 1}, {"a": 300}]}', 23, 'column "l[1].a" does not fit i8: 300 is beyond its'),
    (b'{"l": [{"a": 1}, 5]}', 17, 'column "l[1]" does not fit struct[a: i8]: 5 is of another type'),
    (b'{"r": {"b": "' + b"x" * 99 + b'"}}', 12, 'column "r.b" does not fit date: "xxxxx'),
    (b'{"x": ' + b"[" * 200, 133, "it nests deeper than 128 levels"),
    (b'{"s": "' + b"x" * 999 + b'"}', 0, "it has 1008 bytes, more than bytes_max=1000"),
]


@pytest.mark.parametrize("case", BAD, ids=[str(case[0][:20]) for case in BAD])
def test_a_bad_message_says_where_and_why(case: tuple[bytes, int, str]) -> None:
    payload, at, detail = case
    words = {"n": "i64", "s": "str", "l": "list[struct[a: i8]]", "r": "struct[b: date]"}
    found = mt.decode("json", words, [b'{"n": 1}', payload, b'{"n": 2}'], bytes_max=1000)
    assert found.rows["n"].to_pylist() == [1, 2]
    bad = found.bad.to_dicts()
    assert [(row["ordinal"], row["at"], row["payload"]) for row in bad] == [(1, at, payload)]
    assert bad[0]["detail"].startswith(detail)


def test_unknown_fields_are_kept_as_they_are_written() -> None:
    messages = [
        b'{"a": 1, "n": 2, "b" : {"n":  [1.50]}}',
        b'{"n": 3}',
        b'{"b": NaN, "n": "x"}',
        None,
    ]
    found = mt.decode("json", {"n": "i64"}, messages, rest=True, tombstones=True)
    assert found.rows["_rest"].to_pylist() == ['{"a": 1,"b" : {"n":  [1.50]}}', None, None]
    assert found.rows["n"].to_pylist() == [2, 3, None]
    with pytest.raises(mt.SchemaError, match='a column "_rest" already'):
        mt.decode("json", {"_rest": "i64"}, [], rest=True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@given(data=st.data())
def test_numbers_are_times_in_a_declared_unit(unit: str, data: st.DataObject) -> None:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}
    column = data.draw(st.sampled_from(list(digits)))
    ticks = data.draw(st.integers(-(2**63), 2**63 - 1))
    shift = digits[unit] - digits[column]
    text = str(ticks) if shift == 0 else f"{ticks}e{shift}"
    words = {"v": f"timestamp[{column}, UTC]", "w": f"list[timestamp[{column}]]", "n": "i64"}
    message = f'{{"v": {text}, "w": [{text}], "n": 5}}'.encode()
    found = mt.decode("json", words, [message], epoch=unit).rows.to_arrow()
    assert found["v"].cast(pa.int64()).to_pylist() == [ticks]
    assert found["w"].combine_chunks().values.cast(pa.int64()).to_pylist() == [ticks]
    assert found["n"].to_pylist() == [5]


def test_times_in_a_declared_unit_are_exact_or_bad() -> None:
    words = {"at": "timestamp[ms, UTC]", "to": "timestamp[ms, UTC]"}
    messages = [
        b'{"at": 1714557600.5, "to": "2024-05-01T10:00:00.5Z"}',
        b'{"at": "2024-05-01T10:00:00.5Z"}',
        b'{"at": 1714557600.0005}',
        b'{"at": 1e30}',
        b'{"to": 5}',
        b'{"at": true}',
    ]
    found = mt.decode("json", words, messages, epoch={"at": "s"})
    assert found.rows.to_arrow()["at"].cast(pa.int64()).to_pylist() == [1714557600500] * 2
    assert found.bad["ordinal"].to_pylist() == [2, 3, 4, 5]
    with pytest.raises(mt.ColumnError, match='unknown column "att"'):
        mt.decode("json", words, [], epoch={"att": "s"})
    with pytest.raises(mt.PlanError, match='epoch="m" is not a unit'):
        mt.decode("json", words, [], epoch="m")


cells = st.text(st.sampled_from('1",;\n\räA=.- '), max_size=6)


@CALM
@given(data=st.data())
def test_csv_means_what_a_file_of_it_says(data: st.DataObject, tmp_path_factory: Any) -> None:
    words = {"a": "i64", "b": "str", "c": "binary", "d": "decimal(4, 1)", "e": "bool"}
    words = {name: words[name] for name in data.draw(st.sampled_from(["a", "ab", "bc", "abcde"]))}
    delimiter = data.draw(st.sampled_from(",;"))
    nulls = data.draw(st.sampled_from([[""], ["", "1"], ["A"]]))
    quoted = cells.map(lambda text: '"' + text.replace('"', '""') + '"')
    plain = st.text(st.sampled_from("1äA=.- "), max_size=3)
    record = st.lists(quoted | plain, min_size=1, max_size=len(words) + 1).map(delimiter.join)
    records = [each for each in data.draw(st.lists(record, min_size=1, max_size=5)) if each]
    messages = [each.encode() for each in records]
    found = mt.decode("csv", words, messages, delimiter=delimiter, null_values=nulls)
    path: Path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(b"".join(message + b"\n" for message in messages))
    source = Csv(path, schema=words, header=False, delimiter=delimiter, null_values=nulls)
    reader = source.open(None, {})
    parts, bad = [arrow_schema(words.items()).empty_table()], []
    while (delivery := reader.poll()) is not None:
        parts.append(pa.table(delivery.batch))
        bad += [each.detail for each in delivery.undecodable]
    reader.close()
    assert texts(found) == repr(mt.Table(parts).to_dicts())
    assert found.bad["detail"].to_pylist() == bad


CSV_BAD = [
    (b"", "it has no record"),
    (b"\r\n", "it has no record"),
    (b"1", "it has 1 fields, not 2"),
    (b"1,2,3", "it has 3 fields, not 2"),
    (b'1,"2', "a quote is opened and never closed"),
    (b"1,2\n3,4", "it has more than one record"),
    (b'"x",2', 'column "a" does not fit i64: "x" is of another type'),
    (b"1,\xff", "it is not UTF-8"),
]


@pytest.mark.parametrize("case", CSV_BAD)
def test_a_bad_record_of_csv_says_why(case: tuple[bytes, str]) -> None:
    found = mt.decode("csv", {"a": "i64", "b": "str"}, [b"1,x", case[0], b'2,"y\nz"\r\n'])
    assert found.rows.to_dicts() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y\nz"}]
    assert found.bad["detail"].to_pylist()[0].startswith(case[1])


REFUSED: list[tuple[Any, ...]] = [
    (mt.PlanError, 'unknown format "jsn"\nhint: did you mean "json"', "jsn", {"a": "i64"}, [], {}),
    (mt.PlanError, 'unknown option of json "rst"', "json", {"a": "i64"}, [], {"rst": True}),
    (
        mt.PlanError,
        "bytes_max=3221225472 is more than",
        "raw",
        {"a": "str"},
        [],
        {"bytes_max": 3 << 30},
    ),
    (mt.PlanError, "decode json: invalid type", "json", {"a": "i64"}, [], {"rest": 5}),
    (mt.PlanError, "value of another type", "json", {"a": "i64"}, [], {"rest": b""}),
    (mt.PlanError, "the delimiter is", "csv", {"a": "i64"}, [], {"delimiter": "ä"}),
    (mt.SchemaError, "must be one column", "raw", {"a": "i64"}, [], {}),
    (mt.SchemaError, 'column "a" cannot be a list', "csv", {"a": "list[i64]"}, [], {}),
    (mt.SchemaError, "is not a schema", "json", 5, [], {}),
    (mt.SchemaError, "is not a schema", "json", "infr", [], {}),
    (mt.SchemaError, 'needs format="json"', "csv", "infer", [b"1"], {}),
    (mt.SchemaError, "none of 2 messages", "json", "infer", [b"1", None], {}),
    (mt.DataError, "message 1: a str is not bytes", "json", {"a": "i64"}, [b"", "x"], {}),
    (mt.DataError, "is not a list of messages", "json", {"a": "i64"}, b"{}", {}),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[1][:30] for case in REFUSED])
def test_wrong_arguments_are_refused(case: tuple[Any, ...]) -> None:
    kind, text, format, schema, messages, options = case
    with pytest.raises(kind, match=text):
        mt.decode(format, schema, messages, **options)


IPC = pa.table({"n": [1, 2], "s": ["a", None], "more": [1.5, 2.5]})
IPC_BAD: list[tuple[bytes, str]] = [
    (b"", "it is not Arrow IPC data: it is empty"),
    (b"\x00" * 3, "it is not Arrow IPC data: it is cut"),
    (b"ARROW1\x00\x00", "it is not Arrow IPC data: it is a file"),
    (b"x" * 500, "it is not Arrow IPC data: it is cut"),
    (ipc(IPC)[:-20], "it is not Arrow IPC data: it is cut"),
    (ipc(IPC) + b"x", "it is not Arrow IPC data: there is something behind its end"),
    (ipc(IPC) + ipc(IPC), "it is not Arrow IPC data: there is something behind its end"),
    (ipc(pa.table({"n": [1.0, 1.5]})), 'row 1: column "n" does not fit i64: 1.5 has a fraction'),
    (ipc(pa.table({"n": ["1"]})), 'column "n" is str, not i64'),
    (
        ipc(IPC, options=pa.ipc.IpcWriteOptions(compression="zstd")),
        "it is not Arrow IPC data: it is compressed by zstd; lz4 is read",
    ),
    (
        ipc(
            pa.table({"n": pa.array([0] * 10**7)}),
            options=pa.ipc.IpcWriteOptions(compression="lz4"),
        ),
        "it is not Arrow IPC data: it is compressed more than 100 times",
    ),
    (
        ipc(pa.table({"s": pa.array(["x" * 10**6] * 300).dictionary_encode()})),
        "its text becomes 300000000 bytes, more than",
    ),
    (ipc(pa.table({"x": pa.nulls(1 << 25)})), "it is not Arrow IPC data: a part has more than"),
]


@pytest.mark.parametrize("case", IPC_BAD, ids=[case[1][-30:] for case in IPC_BAD])
def test_bad_data_of_arrow_takes_nothing_with_it(case: tuple[bytes, str]) -> None:
    good = ipc(IPC)
    found = mt.decode("arrow", {"n": "i64", "s": "str", "x": "f64"}, [good, case[0], good])
    rows = [{"n": 1, "s": "a", "x": None}, {"n": 2, "s": None, "x": None}]
    assert found.rows.to_dicts() == rows * 2
    assert found.ordinals == [0, 0, 2, 2]
    assert found.bad["ordinal"].to_pylist() == [1]
    assert found.bad["detail"].to_pylist()[0].startswith(case[1])


@given(data=st.data())
@settings(CALM, max_examples=300)
def test_changed_data_of_arrow_is_rows_or_bad(data: st.DataObject) -> None:
    options = pa.ipc.IpcWriteOptions(compression=data.draw(st.sampled_from([None, "lz4"])))
    table = IPC.append_column("d", pa.array(["x", "y"]).dictionary_encode())
    payload = bytearray(ipc(table, options=options))
    places = st.integers(0, len(payload) - 1)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=3)):
        payload[at] = byte
    good = ipc(IPC)
    words = {"n": "i64", "s": "str", "d": "str"}
    found = mt.decode("arrow", words, [good, bytes(payload), good])
    found.rows.to_arrow().validate(full=True)
    assert found.ordinals[:2] + found.ordinals[-2:] == [0, 0, 2, 2]
    assert len(found.bad) == (1 not in found.ordinals)


def test_maps_are_not_in_json() -> None:
    schema = pa.schema([("m", pa.map_(pa.string(), pa.int64()))])
    with pytest.raises(mt.SchemaError, match='column "m" is'):
        mt.decode("json", schema, [])


def test_a_schema_is_inferred_and_can_be_pasted() -> None:
    messages = [b'{"at": "2024-05-01T10:00:00Z", "n": 1, "x": null}', None, b"{", b'{"n": 2.5}']
    schema = inferred("json", "infer", messages)
    text = 'schema={"at": "timestamp[us, UTC]", "n": "f64", "x": "str"}'
    assert pasted(schema) == text
    found = mt.decode("json", "infer", messages)
    assert found.schema == json.loads(text.removeprefix("schema="))
    assert texts(mt.decode("json", found.schema, messages)) == texts(found)
