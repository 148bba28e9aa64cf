"""The pages: links lead somewhere, and the tutorial runs as pasted and prints what it says."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import muntin as mt

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "rust|python|tests|docs|benches|examples"
MODULES = {"sinks", "sources", "testing", "Sink", "Source"}
ERRORS = {"MissingExtra", "MissingName", "PipelineChanged"}
TUTORIAL = ROOT / "docs" / "tutorial.md"


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.strip().replace(" ", "-") for word in words}


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
    found = blocks(TUTORIAL)
    assert [language for language, _ in found].count("python") > 5
    names: dict[str, object] = {}
    printed = ""
    for language, text in found:
        if language == "python":
            assert not printed, f"the tutorial does not show: {printed}"
            out = io.StringIO()
            with redirect_stdout(out):
                exec(compile(text, str(TUTORIAL), "exec"), names)
            printed = out.getvalue()
        elif language == "text":
            assert printed == text
            printed = ""
    assert not printed
