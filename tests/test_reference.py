"""The reference page has every verb, aggregate and function, and the examples give what it says."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.pipeline.aggregates import KINDS
from muntin.pipeline.stream import Stream
from muntin.pipeline.windowed import Windowed, Windowing
from muntin.values import show

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference.md").read_text()
CODE = re.compile(r"`([^`]+)`|<code>(.*?)</code>")


def section(title: str) -> str:
    return re.split(rf"^## {title}$", PAGE, flags=re.M)[1].partition("\n## ")[0]


def cells(title: str) -> list[list[str]]:
    """The rows of a section's table; what is code there is the code alone."""
    found = []
    for line in section(title).splitlines():
        if not line.startswith("| ") or line.startswith("| |--"):
            continue
        parts = [part.strip() for part in line.strip("|").split(" | ")]
        found.append([code(part) for part in parts])
    return found[1:]


def code(cell: str) -> str:
    found = CODE.fullmatch(cell)
    return html.unescape(found[1] or found[2]) if found else cell


def names() -> dict[str, Any]:
    """What the page's own programs define."""
    found: dict[str, Any] = {}
    for program in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S):
        exec(program, found)
    return found


NAMES = names()
VERBS = cells("Verbs")
AGGREGATES = cells("Aggregates")
FUNCTIONS = cells("Functions")


def of(example: str) -> Any:
    return eval(example, NAMES)


def functions(tree: Any) -> Iterator[str]:
    """The functions in the JSON of an expression."""
    if isinstance(tree, list):
        for each in tree:
            yield from functions(each)
    if isinstance(tree, dict):
        yield from ["case"] if "case" in tree else []
        yield from [tree["fn"]] if "fn" in tree else []
        for each in tree.values():
            yield from functions(each)


@pytest.mark.parametrize("row", VERBS, ids=[row[0] for row in VERBS])
def test_each_verb_gives_its_columns(row: list[str]) -> None:
    name, _, example, columns = row
    assert f"{name}(" in example
    stream = of(example)
    assert isinstance(stream, mt.Stream)
    assert list(stream.schema) == columns.split(", ")


def test_every_verb_is_there() -> None:
    public = {
        name
        for kind in (Stream, Windowing, Windowed)
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert {name for name, *_ in VERBS} == (public - {"explain"}) | {"stream", "union"}


@pytest.mark.parametrize("row", AGGREGATES, ids=[row[2] for row in AGGREGATES])
def test_each_aggregate_gives_its_result(row: list[str]) -> None:
    _, _, example, expected = row
    pipeline = NAMES["orders"].tumbling("1d").agg(value=of(example))
    assert text(mt.collect(pipeline, NAMES["rows"]).rows["value"]) == expected


def test_every_aggregate_is_there() -> None:
    assert {name for name, *_ in AGGREGATES if name} >= set(KINDS)
    assert {of(example).kind for _, _, example, _ in AGGREGATES} == set(KINDS)


@pytest.mark.parametrize("row", FUNCTIONS, ids=[row[2] for row in FUNCTIONS])
def test_each_function_gives_its_result_in_both_forms(row: list[str]) -> None:
    _, in_python, in_sql, expected = row
    assert of(in_python).key() == mt.sql(in_sql).key()
    stream = mt.stream(time="at", out_of_order="0s", schema=NAMES["types"])
    pipeline = stream.select(value=of(in_python))
    assert text(mt.collect(pipeline, [NAMES["row"]]).rows["value"]) == expected


def test_every_function_is_there() -> None:
    """Of the engine's list, and of what can be said without a function: `cast` and `case`."""
    listed = re.search(
        r"const FUNCTIONS.*?^};", (ROOT / "rust" / "expr" / "tree.rs").read_text(), re.M | re.S
    )
    known = set(re.findall(r'"(\w+)"', listed[0]))
    assert len(known) > 25
    shown = {fn for row in FUNCTIONS for fn in functions(of(row[1]).to_json())}
    assert shown == known | {"cast", "case"}


@pytest.mark.parametrize(
    "row",
    [row for title in ("Rules and runs", "Sources", "Sinks") for row in cells(title)],
    ids=lambda row: row[0],
)
def test_each_other_example_works(
    row: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.parquet").touch()
    name, _, example = row
    assert f"{name}(" in example
    of(example)


def test_every_function_of_the_package_is_there() -> None:
    public = {name for name in mt.__all__ if inspect.isfunction(getattr(mt, name))}
    named = {
        name for title in ("Verbs", "Aggregates", "Rules and runs") for name, *_ in cells(title)
    }
    assert public - named == set()


@pytest.mark.parametrize("title", ["Sources", "Sinks"])
def test_every_source_and_sink_is_there(title: str) -> None:
    package = getattr(mt, title.lower())
    kind = mt.Source if title == "Sources" else mt.Sink
    members = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
    public = {
        name
        for name in package.__all__
        if inspect.isclass(value := getattr(package, name))
        and not getattr(value, "_is_protocol", False)
        and members & {"open", "stage"} <= set(dir(value))
    }
    assert len(public) > 4
    assert public - {name for name, *_ in cells(title)} == set()


def text(column: pa.ChunkedArray) -> str:
    found = show.to_text(column)[0].as_py()
    return "null" if found is None else found
