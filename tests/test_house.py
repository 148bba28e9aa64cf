"""The rules of the house that a machine can hold: which way imports run, sizes, docstrings.

Modules stand in the order of the data's way through the code, in `rust/lib.rs` and in the list
below: one imports only from those before it, so there are no circles. `docs/architecture.md`
explains the words.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 500
RUST_FILES_MIN = 30
PYTHON_FILES_MIN = 30

# `lib.rs` is the map: its modules stand in the order of the data.
RUST_ORDER = re.findall(r"^(?:pub )?mod (\w+);", (ROOT / "rust" / "lib.rs").read_text(), re.M)

# The rooms of the package, in the order of the data.
PYTHON_ORDER = """
    base values expr pipeline clients sources engine sinks checkpoint monitor loop testing commands
""".split()

MAY_BE_UNSAFE = {"py/bridge.rs", "prefetch.rs"}

RUST = sorted((ROOT / "rust").rglob("*.rs"))
PYTHON = sorted((ROOT / "python" / "muntin").rglob("*.py"))


def without_comments(text: str) -> str:
    return re.sub(r"//.*", "", text)


def without_tests(text: str) -> str:
    """Rust code without its `mod tests`, which by custom ends a file."""
    return re.split(r"#\[cfg\(test\)\]\s*mod ", text)[0]


def first_names(path: str) -> Iterator[str]:
    """The modules that stand first in what follows `crate::`, be it a name or `{a, b::{c, d}}`."""
    if not path.startswith("{"):
        yield re.match(r"\w*", path)[0]
        return
    depth = 0
    for found in re.finditer(r"[{},]|\w+", path):
        token = found[0]
        depth += (token == "{") - (token == "}")
        if depth == 0:
            return
        before = path[: found.start()].rstrip()
        if depth == 1 and token.isidentifier() and before[-1] in "{,":
            yield token


def rust_module(path: Path) -> str:
    return path.relative_to(ROOT / "rust").parts[0].removesuffix(".rs")


def rust_names(path: Path, root: str) -> set[str]:
    """What stands behind `root`, a pattern, in a file's code."""
    text = without_tests(without_comments(path.read_text()))
    at = re.finditer(rf"(?<![\w:])(?:{root})", text)
    return {name for found in at for name in first_names(text[found.end() :])}


def rust_imports(path: Path) -> set[str]:
    parts = path.relative_to(ROOT / "rust").parts
    ups = len(parts) - (parts[-1] == "mod.rs")
    known = set(map(rust_module, RUST))
    names = rust_names(path, rf"\$?crate::|(?:super::){{{ups}}}(?!super)")
    return names & known - {rust_module(path)}


def python_module(path: Path) -> str:
    return path.relative_to(ROOT / "python" / "muntin").parts[0].removesuffix(".py")


def python_names(path: Path) -> list[list[str]]:
    """What a file imports, wherever in it: the parts of each full name."""
    package = ["muntin", *path.relative_to(ROOT / "python" / "muntin").parts[:-1]]
    names: list[list[str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            names += [[*base, alias.name] for alias in node.names]
    return names


def python_imports(path: Path) -> set[str]:
    return {name[1] for name in python_names(path) if name[0] == "muntin" and len(name) > 1}


def arrows_against(order: list[str], imports: dict[str, set[str]]) -> list[str]:
    """What imports something that does not stand before it, for a message."""
    at = {name: i for i, name in enumerate(order)}
    return [
        f"{name} imports {other}"
        for name in sorted(imports)
        for other in sorted(imports[name])
        if other in at and at[other] >= at[name]
    ]


def siblings(path: Path) -> set[str]:
    """The files beside a Rust file that it imports from, without the folder's `mod.rs`: that lists
    them all, and what they share stands there."""
    beside = {other.stem for other in path.parent.glob("*.rs")} - {"mod", path.stem}
    folder = "::".join(path.relative_to(ROOT / "rust").parts[:-1])
    return rust_names(path, rf"super::(?!super)|crate::{folder}::") & beside


def files_of(path: Path) -> set[str]:
    """The files of the package that a Python file imports from."""
    names = {".".join(name[:n]) for name in python_names(path) for n in range(1, len(name) + 1)}
    return names & set(map(dotted, PYTHON)) - {dotted(path)}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "python").with_suffix("").parts)


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Some circle of imports, or nothing."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def gathered(files: list[Path], module, imports) -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for path in files:
        arrows.setdefault(module(path), set()).update(imports(path) - {module(path)})
    return arrows


def test_the_files_were_seen() -> None:
    assert len(RUST) >= RUST_FILES_MIN
    assert len(PYTHON) >= PYTHON_FILES_MIN


def test_rust_imports_follow_the_data() -> None:
    arrows = gathered(RUST, rust_module, rust_imports)
    arrows.pop("lib")
    assert set(arrows) == set(RUST_ORDER)
    assert RUST_ORDER[:2] == ["limits", "time"]
    assert RUST_ORDER[-1] == "py"
    assert sum(map(len, arrows.values())) > 2 * len(RUST_ORDER)
    assert arrows_against(RUST_ORDER, arrows) == []


def test_python_imports_follow_the_data() -> None:
    arrows = gathered(PYTHON, python_module, python_imports)
    for name in ("__init__", "__main__", "dashboard"):  # doors to the package
        arrows.pop(name, None)
    assert set(arrows) == set(PYTHON_ORDER)
    assert sum(map(len, arrows.values())) > 2 * len(PYTHON_ORDER)
    assert arrows_against(PYTHON_ORDER, arrows) == []


RUST_FOLDERS = sorted({path.parent for path in RUST} - {ROOT / "rust"})


@pytest.mark.parametrize("folder", RUST_FOLDERS, ids=lambda path: path.name)
def test_no_rust_files_import_in_a_circle(folder: Path) -> None:
    files = [path for path in folder.glob("*.rs") if path.stem not in ("mod", "tests")]
    assert circle({path.stem: siblings(path) for path in files}) == []


def test_no_python_files_import_in_a_circle() -> None:
    arrows = {dotted(path): files_of(path) for path in PYTHON}
    assert sum(map(len, arrows.values())) > 2 * len(arrows)
    assert circle(arrows) == []


def test_no_python_folders_import_in_a_circle() -> None:
    """A room's own files and each of its folders: what one of them imports does not import it."""
    arrows: dict[str, set[str]] = {}
    for path in PYTHON:
        parts = part_of(dotted(path))
        arrows.setdefault(parts, set()).update(map(part_of, files_of(path)))
    for name, others in arrows.items():
        others.discard(name)
    assert {"muntin.sources.files", "muntin.sinks.channels"} <= set(arrows)
    assert circle(arrows) == []


def part_of(name: str) -> str:
    """The folder in a room that a file is in, or the file itself where it is in the room itself."""
    parts = name.removesuffix(".__init__").split(".")
    return ".".join(parts[:3])


def test_one_file_opens_the_compiled_module() -> None:
    doors = [path for path in PYTHON if "_core" in python_imports(path)]
    assert doors == [ROOT / "python" / "muntin" / "base" / "core.py"]


@pytest.mark.parametrize("package", ["sources", "sinks"])
def test_sources_and_sinks_keep_to_themselves(package: str) -> None:
    files = [path for path in PYTHON if python_module(path) == package]
    assert len(files) > 3
    other = {"sources": "sinks", "sinks": "sources"}[package]
    assert not [path.name for path in files if other in python_imports(path)]


def test_no_type_of_the_core_has_the_name_of_another() -> None:
    """Types of `trait` and `impl` blocks aside: these are parts of one name."""
    kind = re.compile(r"^(?: {4})?(?:pub(?:\(\w+\))? )?(?:struct|enum|trait|(type)) (\w+)", re.M)
    seen: dict[str, list[str]] = {}
    for path in RUST:
        for found in kind.finditer(without_comments(path.read_text())):
            if not (found[1] and found[0].startswith(" ")):
                seen.setdefault(found[2], []).append(path.name)
    assert len(seen) > 100
    assert {name: files for name, files in seen.items() if len(files) > 1} == {}


def test_functions_of_the_core_have_names_of_their_own() -> None:
    files = {p.name for p in RUST if re.search(r"\bfn of\b", without_comments(p.read_text()))}
    assert files == set()


def test_pyo3_stays_in_its_folder() -> None:
    users = {rust_module(path) for path in RUST if "pyo3" in without_comments(path.read_text())}
    assert users == {"py"}


def test_unsafe_is_where_it_may_be_and_says_why() -> None:
    seen = set()
    for path in RUST:
        name = path.relative_to(ROOT / "rust").as_posix()
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            if not re.search(r"\bunsafe\s*(\{|impl|fn \w)", without_comments(line)):
                continue
            seen.add(name)
            above = "\n".join(lines[max(i - 5, 0) : i])
            assert "// SAFETY:" in above, f"{name}:{i + 1}: no SAFETY comment"
        assert ("allow(unsafe_code)" in path.read_text()) == (name in MAY_BE_UNSAFE), name
    assert seen == MAY_BE_UNSAFE


@pytest.mark.parametrize("files", [RUST, PYTHON], ids=["rust", "python"])
def test_files_are_short(files: list[Path]) -> None:
    lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in files}
    assert {name: n for name, n in lengths.items() if n > LINES_MAX} == {}


def test_every_pyclass_is_frozen() -> None:
    text = "\n".join(p.read_text() for p in RUST if rust_module(p) == "py")
    classes = re.findall(r"#\[pyclass\b[^\]]*\]", text)
    assert len(classes) >= 3
    assert [c for c in classes if "frozen" not in c] == []


def test_compiled_objects_take_no_attributes() -> None:
    core = pytest.importorskip("muntin._core")
    words = [core.Engine, core.Step, core.Batches]
    for kind in words:
        with pytest.raises(TypeError):
            type("Sub", (kind,), {})
        assert "__dict__" not in dir(kind)
        assert inspect.getdoc(kind)


def test_every_public_name_is_documented() -> None:
    import muntin

    assert len(muntin.__all__) > 20
    for name in muntin.__all__:
        value = getattr(muntin, name)
        if inspect.ismodule(value) or callable(value):
            assert (value.__doc__ or "").strip(), f"muntin.{name} has no docstring"
            assert not value.__doc__.startswith(f"{name}("), f"muntin.{name}: a generated docstring"


ALIASES = {"muntin.Duration", "muntin.sources.Given"}  # of types: nothing keeps their docstring
PROTOCOLS = {"Source", "Reader", "Sink", "Durable"}


def examples(value: object) -> str:
    """The lines of a docstring's examples that are code."""
    lines = (inspect.getdoc(value) or "").splitlines()
    return "\n".join(line for line in lines if line.lstrip().startswith((">>>", "... ")))


def public_values() -> Iterator[tuple[str, object]]:
    """Each public function and class, with its full name."""
    import muntin

    for module in (muntin, muntin.sources, muntin.sinks, muntin.testing):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and f"{module.__name__}.{name}" not in ALIASES:
                yield f"{module.__name__}.{name}", value


def members(kind: type) -> Iterator[tuple[str, object]]:
    """The public methods and properties that the package gives a class."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] == "muntin":
            for name, value in vars(base).items():
                plain = value.fget if isinstance(value, property) else value
                plain = getattr(plain, "func", getattr(plain, "__func__", plain))
                if inspect.isfunction(plain) and not name.startswith("_"):
                    yield name, plain


def test_every_public_name_has_an_example() -> None:
    """A doctest of its own; or, for a method or property, in the docstring of its class.

    The methods of a source or a sink are those of a protocol, which has the example.
    """
    checked, lacking = 0, []
    for path, value in public_values():
        named = [(path, value)]
        _, package, name = f".{path}".rsplit(".", 2)
        if inspect.isclass(value) and (package == "muntin" or name in PROTOCOLS):
            named += [(f"{path}.{name}", member) for name, member in members(value)]
        for each, member in named:
            shown = re.search(rf"\b{each.rpartition('.')[2]}\b", examples(value))
            checked += 1
            lacking += [] if examples(member) or (member is not value and shown) else [each]
    assert checked > 150
    assert lacking == []


def test_there_is_one_version_number() -> None:
    import muntin

    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert muntin.__version__ == cargo["package"]["version"]
    assert project["project"]["dynamic"] == ["version"]
    written = [p.name for p in PYTHON if f'"{muntin.__version__}"' in p.read_text()]
    assert written == []


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_workflows_pin_what_they_use_and_end(path: Path) -> None:
    text = path.read_text()
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    others = [each for each in uses if not each.startswith("./")]
    assert [each for each in others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []
    assert text.count("timeout-minutes:") == text.count("runs-on:")


def test_the_readers_of_this_file_read_right() -> None:
    assert list(first_names("a::b;")) == ["a"]
    assert list(first_names("{a, b::{c, d}, e::f};  x, y")) == ["a", "b", "e"]
    assert without_tests("a\n#[cfg(test)]\nmod tests { use crate::z; }") == "a\n"
    assert arrows_against(["a", "b"], {"a": {"b"}, "b": {"a"}}) == ["a imports b"]
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []
    assert siblings(ROOT / "rust" / "expr" / "check.rs") >= {"literal", "promote", "tree"}
