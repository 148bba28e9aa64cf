"""JSON lines mean the same read by the core at once and, with care, one by one in Python."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import muntin as mt
from fuzzing import CORPUS, changed, rounds
from muntin.base import core
from muntin.sources import JsonLines
from muntin.sources.decode.decoded import Decoded, Roles
from muntin.sources.files.jsonlines import _Objects
from muntin.sources.files.records import Block
from muntin.values.rows import arrow_schema

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
WORDS = [
    *("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "str", "binary"),
    *("date", "time", "decimal(10, 2)", "decimal(38, 0)", "duration[ms]", "duration[ns]"),
    *("timestamp[s]", "timestamp[ms, UTC]", "timestamp[us]", "timestamp[ns, Europe/Berlin]"),
    *("list[i64]", "list[str]", "list[list[bool]]", "struct[a: i64, b: str]", "null"),
    *("list[struct[a: f64, b: list[i64]]]", "struct[a: struct[b: decimal(5, 1)], b: date]"),
]
LINES = (CORPUS / "lines.jsonl").read_bytes().splitlines()


class OneByOne(_Objects):
    """Reads no line at once."""

    def _at_once(self, block: Block, schema: Any) -> Decoded | None:
        return None


def decoded(kind: type[_Objects], text: bytes, schema: Any, roles: Roles) -> tuple:
    found = kind(schema, roles)(Block("x.jsonl", 7, text, begins=False, fault=""))
    rows = pa.Table.from_batches([found.batch])
    rows.validate(full=True)
    ordinals = list(range(found.records)) if found.ordinals is None else found.ordinals.to_pylist()
    bad = [(each.ordinal, each.line, each.text, kind_of(each.detail)) for each in found.bad]
    # as text: NaN equals NaN, and -0.0 is not 0.0
    return rows.schema, repr(mt.Table([rows]).to_dicts()), ordinals, bad, found.records


def kind_of(detail: str) -> str:
    """What is wrong, whichever of two things that are wrong a reader names."""
    if detail.startswith("it has no "):
        return detail
    return "a value" if detail.startswith("column ") else "the text"


NO_ROLES = Roles()


def check(lines: list[bytes], schema: Any, roles: Roles = NO_ROLES) -> None:
    text = b"\n".join(lines)
    assert decoded(_Objects, text, schema, roles) == decoded(OneByOne, text, schema, roles)


numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        ["0", "-0", "-0.0", "1e3", "1.0", "1E+2", "2e-1", "1e400", "01", "+1", ".5", "1."]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(
        [str(2**53), str(2**53 + 1), str(2**63), str(2**64), "127", "128", "255", "256"]
    ),
)
texts = st.one_of(
    st.text(max_size=5).map(json.dumps),
    st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        [
            *('"2024-05-01T10:00:00Z"', '"2024-05-01 10:00:00.123456789+02:00"', '"2024-05-01"'),
            *('"-0001-01-01T00:00:00"', '"10:00:00.5"', '"PT1H30M"', '"19.99"', '"5"', '"NaN"'),
            *('"Infinity"', '"AP8="', '"AP8"', '"\\ud800"', '"\\ud83d\\ude00"', '"true"', '""'),
        ]
    ),
)
plain = st.one_of(numbers, texts, st.sampled_from(["null", "true", "false", "NaN", "-Infinity"]))


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.sampled_from(["a", "b", "b", "\\u0061", "c"])
    fields = st.lists(st.tuples(keys, inner), max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        fields.map(lambda pairs: "{" + ",".join(f'"{k}": {v}' for k, v in pairs) + "}"),
    )


values = st.recursive(plain, nested, max_leaves=6)
names = st.sampled_from(["v", "v", "v", "w", "x", "\\u0076", "y"])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(st.tuples(names, values), max_size=4))
    space = draw(st.sampled_from(["", " ", "\t", "\r"]))
    line = "{" + ",".join(f'{space}"{k}"{space}:{space}{v}' for k, v in fields) + "}" + space
    line = draw(st.sampled_from([line, line, line, "", " ", "[1]", "null", line[:-1], line + "x"]))
    return line.encode()


@CALM
@given(data=st.data())
def test_lines_mean_the_same_at_once_and_one_by_one(data: st.DataObject) -> None:
    words = {name: data.draw(st.sampled_from(WORDS), label=name) for name in ("v", "w")}
    roles = data.draw(st.sampled_from([Roles(), Roles(partition="p"), Roles(arrival="w")]))
    check(data.draw(st.lists(lines(), min_size=1, max_size=6)), arrow_schema(words.items()), roles)


@pytest.mark.parametrize("word", WORDS)
@CALM
@given(data=st.data())
def test_each_type_takes_the_same_values(word: str, data: st.DataObject) -> None:
    given_values = data.draw(st.lists(values, min_size=1, max_size=8))
    check([f'{{"v": {value}}}'.encode() for value in given_values], arrow_schema([("v", word)]))


def test_changed_lines_mean_the_same() -> None:
    schema = arrow_schema(
        [
            *(("at", "timestamp[us, UTC]"), ("k", "str"), ("i", "i64"), ("u", "u64"), ("f", "f64")),
            *(("s", "str"), ("b", "bool"), ("d", "decimal(10, 2)"), ("l", "list[i64]")),
        ]
    )
    for seed, rng in rounds(300):
        text = [changed(rng, rng.choice(LINES), LINES).replace(b"\n", b" ") for _ in range(4)]
        try:
            check([*text, rng.choice(LINES)], schema)
        except AssertionError as error:
            raise AssertionError(f"MUNTIN_FUZZ_SEED={seed}") from error


def test_ordinary_lines_are_read_at_once() -> None:
    words = {"at": "timestamp[us, UTC]", "card": "str", "amount": "f64", "n": "i64", "ok": "bool"}
    words |= {"price": "decimal(10, 2)", "tags": "list[str]", "place": "struct[lat: f64, lon: f64]"}
    row = {"at": "2024-05-01T10:00:00.5Z", "card": 'ä "quoted"', "amount": 1.5, "n": -3, "ok": True}
    row |= {"price": 19.99, "tags": ["a", None], "place": {"lat": 1.5, "lon": -2.25, "more": [{}]}}
    others = {"n": None, "unknown": {"a": [1, {"b": "c\\d"}]}, "amount": 5}
    text = b"\n".join(json.dumps(each).encode() for each in (row, others, {}))
    read = core.json_lines(text, arrow_schema(words.items()), [])
    assert read is not None
    rows, numbers, bad, count = read
    assert (numbers, bad, count) == (None, [], 3)
    assert pa.table(rows)["tags"].to_pylist() == [["a", None], None, None]


def test_deep_lines_and_many_keys_mean_the_same() -> None:
    for depth in (126, 127, 128):
        deep = b'{"x": ' + b"[" * depth + b"]" * depth + b"}"
        check([deep, b'{"v": 1}'], arrow_schema([("v", "i64")]))
    for twice in ({}, {"k7": 1}):
        many = json.dumps({f"k{i}": i for i in range(1000)} | twice)
        check(
            [many.encode(), many[:-1].encode() + b', "k\\u0037": 1}'], arrow_schema([("v", "i64")])
        )


CASES: list[tuple[bytes, str | None]] = [
    (b'{"v": 19.90}', None),
    (b'{"v": "19.90"}', None),
    (b'{"v": 1e1}', None),
    (b'{"v": null}', None),
    (b"{}", None),
    (b' {"v": 1} ', None),
    (b'{"v": 1, "x": NaN, "y": -Infinity, "z": Infinity}', None),
    (b'{"v": 1, "x": 1e400, "y": ' + b"9" * 5000 + b"}", None),
    (b'{"v": 1, "x": "\\ud83d\\ude00"}', None),
    (b'{"v": 1, "x": "a\\"b\\": c"}', None),
    (b'{"v": 1, "x": ' + b"[" * 120 + b"]" * 120 + b"}", None),
    (b'{"v": 1, "x": [' + b"[]," * 500 + b"[]]}", None),
    (b'{"v": 1, "x": "' + b"[" * 500 + b'"}', None),
    (
        b'{"v": 19.999}',
        'column "v" does not fit decimal(12, 2): 19.999 has more digits than it keeps',
    ),
    (b'{"v": 1e400}', "is beyond its range"),
    (b'{"v": 1e-400}', "has more digits than it keeps"),
    (b'{"v": ' + b"9" * 5000 + b"}", "is beyond its range"),
    (b'{"v": NaN}', "does not fit decimal(12, 2): NaN is beyond its range"),
    (b'{"v": true}', "does not fit decimal(12, 2): true is of another type"),
    (b'{"v": 1, "v": 1}', 'the key "v" is there twice'),
    (b'{"v" : 1, "x": {"a": 1, "a" : 2}}', 'the key "a" is there twice'),
    (b'{"v": 1, "x": "\\ud800"}', "half of a surrogate pair"),
    (b'{"v": 1, "x": "\x01"}', "it is not JSON"),
    (b'{"v": 1, "x": "\xff"}', "it is not UTF-8"),
    (b'\xef\xbb\xbf{"v": 1}', "it is not JSON"),
    (b'{"v": 1, "x": ' + b"[" * 2000 + b"]" * 2000 + b"}", "it nests deeper than 128 levels"),
    (b'{"v": 1, "x": ' + b'{"a":' * 2000 + b"1" + b"}" * 2001, "it nests deeper than 128 levels"),
    (b"[" * 100_000, "it nests deeper than 128 levels"),
    (b'{"v": 01}', "it is not JSON"),
    (b'{"v": 1}x', "it is not JSON"),
    (b'{"v": 1', "it is not JSON"),
    (b"[1]", "not a JSON object but an array"),
    (b"1", "not a JSON object but a number"),
    (b"null", "not a JSON object but null"),
]


@pytest.mark.parametrize("beside", [0, 3])
def test_each_line_of_json_is_a_row_or_an_invalid_record(tmp_path: Path, beside: int) -> None:
    path = tmp_path / "v.jsonl"
    others = [b'{"v": 5}'] * beside
    for line, detail in CASES:
        path.write_bytes(b"\n".join([b'{"v": 5}', line, *others, b""]))
        reader = JsonLines(path, schema={"v": "decimal(12, 2)"}).open(None, {})
        delivery = reader.poll()
        reader.close()
        bad = delivery.undecodable
        rows = len(pa.table(delivery.batch))
        assert (rows, len(bad)) == (1 + beside + (detail is None), int(detail is not None)), line[
            :40
        ]
        assert detail is None or (detail in bad[0].detail and bad[0].line == 2), bad


def test_a_byte_order_mark_begins_a_file(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"v": 1}\n')
    reader = JsonLines(path, schema={"v": "i64"}).open(None, {})
    with closing(reader):
        assert pa.table(reader.poll().batch)["v"].to_pylist() == [1]


# ── expressions ─────────────────────────────────────────────────────────────────────────────────
