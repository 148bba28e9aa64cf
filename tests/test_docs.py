"""The pages: links lead somewhere, and their programs run as pasted and print what is shown."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COOKBOOK = sorted((ROOT / "docs" / "cookbook").glob("*.md"))
COMING_FROM = sorted((ROOT / "docs" / "coming-from").glob("*.md"))
RUN_PAGES = [
    *(ROOT / "docs" / f"{name}.md" for name in ("decode", "time", "serving", "testing-a-pipeline")),
    *COMING_FROM,
]
FOLDERS = "rust|python|tests|docs|benches|examples"
MODULES = {"sinks", "sources", "testing", "Sink", "Source"}
OURS = {"muntin"}
FRAMES = {"Polars", "pandas", "DuckDB"}  # their programs run, too
ERRORS = {"MissingExtra", "MissingName", "PipelineChanged"}
TUTORIAL = ROOT / "docs" / "tutorial.md"


@dataclass(frozen=True)
class Program:
    """The blocks of a page, or of a section of it, that share their names, in order."""

    page: Path
    title: str
    blocks: list[tuple[str, str]]

    def run(self) -> dict[str, object]:
        """Run the Python blocks; what each prints is in the block of text below it."""
        names: dict[str, object] = {"__name__": "page"}
        printed = ""
        for language, text in self.blocks:
            if language == "python":
                assert not printed, f"{self.title}: the page does not show: {printed}"
                out = io.StringIO()
                with redirect_stdout(out):
                    exec(compile(text, str(self.page), "exec"), names)
                printed = out.getvalue()
            elif language == "text":
                assert printed == text, self.title
                printed = ""
        assert not printed, f"{self.title}: the page does not show: {printed}"
        return names

    @property
    def id(self) -> str:
        return f"{self.page.stem}: {self.title}"


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text; programs in other languages are left out."""
    found = re.findall(r'^```(\w*)(?: title="([^"]*)")?\n(.*?)^```$', text, re.M | re.S)
    run = OURS | FRAMES | {""}
    return [(language, text) for language, title, text in found if title in run]


def programs(page: Path) -> list[Program]:
    """A program for each section of a page that has Python."""
    sections = re.split(r"^## ", page.read_text(), flags=re.M)[1:]
    found = [Program(page, each.partition("\n")[0], blocks(each)) for each in sections]
    return [each for each in found if any(language == "python" for language, _ in each.blocks)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)}


def anchor(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(place), f"{page.name} links to {target}"


def test_paths_in_the_pages_exist() -> None:
    """`docs/values.md`, `rust/limits.rs`, `tests/test_kill.py` and so on are files or folders."""
    seen = 0
    for page in PAGES:
        for path in re.findall(
            r"`((?:rust|python|tests|docs|benches|examples)/[\w./-]+)`", page.read_text()
        ):
            seen += 1
            assert (ROOT / path).exists(), f"{page.name} names {path}"
    assert seen > 10


def test_every_public_name_is_on_an_api_page() -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    shown = set(re.findall(r"^::: muntin\.([\w.]+)$", pages, re.M))
    names = {name for name in mt.__all__ if not name.endswith("Error")} - MODULES - ERRORS
    names |= {f"sources.{name}" for name in mt.sources.__all__}
    names |= {f"sinks.{name}" for name in mt.sinks.__all__}
    assert names - shown == set()


def test_the_tutorial_runs_as_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(TUTORIAL.read_text())
    assert [language for language, _ in found].count("python") > 5
    Program(TUTORIAL, "tutorial", found).run()


RECIPES = [program for page in COOKBOOK for program in programs(page)]
OTHERS = [program for page in RUN_PAGES for program in programs(page)]


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.id for recipe in RECIPES])
def test_each_recipe_runs_as_pasted(
    recipe: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert any(language == "text" for language, _ in recipe.blocks), "its output is not shown"
    recipe.run()


@pytest.mark.parametrize("program", OTHERS, ids=[program.id for program in OTHERS])
def test_each_program_of_a_page_runs(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = program.run()
    assert ("theirs" in names) == ("ours" in names)
    if "theirs" in names:
        assert plain(names["ours"]) == plain(names["theirs"])
        assert plain(names["ours"])


def alike(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    return pa.string() if pa.types.is_large_string(kind) else kind


def plain(rows: Any) -> list[str]:
    """Rows of any library, in one order; all integers, and all times, are one type."""
    table = pa.table(rows.rows if isinstance(rows, mt.Result) else rows)
    fields = [field.with_type(alike(field.type)) for field in table.schema]
    return sorted(map(repr, table.cast(pa.schema(fields)).to_pylist()))


def test_the_programs_of_other_libraries_were_compared() -> None:
    compared = [
        program.page.stem
        for program in OTHERS
        if any(re.search(r"^theirs = ", text, re.M) for _, text in program.blocks)
    ]
    assert {page: compared.count(page) for page in set(compared)} == {
        "polars": 3,
        "pandas": 2,
        "duckdb": 4,
    }


def test_each_other_system_has_words_programs_and_differences() -> None:
    assert len(COMING_FROM) > 8
    for page in COMING_FROM:
        if page.stem != "index":
            text = page.read_text()
            assert re.search(r"^## Words\n\n\|", text, re.M), page.name
            assert re.search(r"^## What differs\n\n\|", text, re.M), page.name
            assert "can and muntin cannot" in text or "can, muntin cannot" in text, page.name
            assert len(programs(page)) >= 2, page.name


def test_the_cookbook_lists_its_recipes() -> None:
    index = (ROOT / "docs" / "cookbook" / "index.md").read_text()
    listed = re.findall(r"\(([a-z]+)\.md#([a-z-]+)\)", index)
    recipes = [(program.page.stem, anchor(program.title)) for program in RECIPES]
    assert len(recipes) > 15
    assert sorted(listed) == sorted(recipes)


def test_the_page_on_operations_quotes_what_the_code_says() -> None:
    """Its events, metrics and errors are those of the code."""
    page = (ROOT / "docs" / "operations.md").read_text()
    code = "".join(path.read_text() for path in sorted((ROOT / "python").rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    assert len(quoted) > 20
    code = code.replace('f"first_{word}"', '"first_late" "first_invalid"')
    for text in quoted:
        metric = re.fullmatch(r"muntin_(\w+?)(_total)?", text)
        assert (f'"{metric[1]}"' if metric else text) in code, text
