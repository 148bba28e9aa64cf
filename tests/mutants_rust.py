"""Breaks the Rust core in one place after another and says which break no test noticed.

    python tests/mutants_rust.py --count 120 --seed 1 watermark assign state operator -- \
        tests/test_operator.py tests/test_oracle.py ...

Takes files and folders of `rust`, then what pytest is to run; needs `tree-sitter-rust`. The seed
picks the places. All breaks are compiled into one library with tiny limits, each behind a switch,
on a copy of the sources. The tests run once without a break, which shows how long each takes and
which places it reaches; then once for each break, in a process of its own, quickest first. A
mutant is caught when a test fails, or takes ten times as long as without it. Survivors are then
tried against the unit tests of the core.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from tree_sitter import Node

ROOT = Path(__file__).resolve().parent.parent
RUST = ROOT / "rust"

# As cargo-mutants has them
OPERATORS = {
    **{"==": ["!="], "!=": ["=="], "&&": ["||"], "||": ["&&"]},
    **{"<": ["<=", "==", ">"], "<=": ["<", ">"], ">": [">=", "==", "<"], ">=": [">", "<"]},
    **{"+": ["-", "*"], "-": ["+", "/"], "*": ["+", "/"], "/": ["*", "%"], "%": ["/", "+"]},
    **{"<<": [">>"], ">>": ["<<"], "&": ["|", "^"], "|": ["&", "^"], "^": ["&", "|"]},
    **{"+=": ["-=", "*="], "-=": ["+=", "/="], "*=": ["+=", "/="], "/=": ["*=", "%="]},
    **{"|=": ["&=", "^="], "&=": ["|=", "^="], "^=": ["|=", "&="]},
}
NUMBERS = "usize u8 u16 u32 u64 i8 i16 i32 i64 i128 u128 Micros".split()
# What a function may give instead, by the start of its type
GIVEN = {
    **{"bool": ["true", "false"], "Option<": ["None"], "Vec<": ["vec![]"]},
    **{"String": ["String::new()"], "Result<()": ["Ok(())"], "Result<Option<": ["Ok(None)"]},
    **{"Result<Vec<": ["Ok(vec![])"], "Result<bool": ["Ok(true)", "Ok(false)"]},
    **{number: ["0", "1"] for number in NUMBERS},
}

SWITCH = """
//! Which break is on.
#![allow(unsafe_code)]
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

static ON: LazyLock<AtomicU32> = LazyLock::new(|| {
    AtomicU32::new(std::env::var("MUNTIN_MUTANT").map_or(0, |n| n.parse().unwrap()))
});
static REACHED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

/// Whether break `n` is on.
#[inline]
pub fn is_on(n: u32) -> bool {
    REACHED[n as usize].store(true, Relaxed);
    ON.load(Relaxed) == n
}
/// Turns break `n` on.
#[unsafe(no_mangle)]
pub extern "C" fn muntin_mutant(n: u32) {
    ON.store(n, Relaxed);
}
/// Whether break `n` was reached since this was called last.
#[unsafe(no_mangle)]
pub extern "C" fn muntin_reached(n: u32) -> bool {
    REACHED[n as usize].swap(false, Relaxed)
}
"""


class Place(NamedTuple):
    """One break: the file, the line, where it begins and ends, its kind, and what it does."""

    path: Path
    line: int
    start: int
    end: int
    kind: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} {self.what}"


def breaks(node: Node) -> Iterator[tuple[Node, str, str, str]]:
    """The ways to break a node: what is replaced, how, by what, and in words."""
    text = node.text.decode()
    match node.type:
        case "binary_expression" | "compound_assignment_expr":
            left, right = (node.child_by_field_name(f).text.decode() for f in ("left", "right"))
            operator = node.child_by_field_name("operator").text.decode()
            for other in OPERATORS.get(operator, []):
                # of the same rank or not: what stood to the left and right stays together
                sides = (left, right) if "=" in other[1:] else (f"({left})", f"({right})")
                what = f"{operator} is {other} in {short(text)}"
                yield node, "instead", f"{sides[0]} {other} {sides[1]}", what
        case "unary_expression" if text[0] in "!-":
            yield node, "instead", text[1:], f"{text[0]} is left out in {short(text)}"
        case "match_pattern":
            if condition := node.child_by_field_name("condition"):
                yield condition, "or", "", f"guard {short(condition.text.decode())} is true"
                yield condition, "and not", "", f"guard {short(condition.text.decode())} is false"
            elif text != "_" and has_rest(node.parent.parent):
                yield node, "arm", "", f"arm {short(text)} is left out"
        case "expression_statement" if text.endswith(";") and node.named_children:
            if node.named_children[0].type in ("call_expression", "assignment_expression"):
                yield node, "unless", "", f"{short(text)} is left out"
        case "function_item":
            given = node.child_by_field_name("return_type")
            name = node.child_by_field_name("name").text.decode()
            body = node.child_by_field_name("body")
            others = ["()"] if given is None else []
            for start, values in GIVEN.items() if given else ():
                if given.text.decode().startswith(start):
                    others = values
            for other in others:
                yield body, "first", f"return {other};", f"{name} gives {other}"


def has_rest(match: Node) -> bool:
    """Whether a match stays whole without one of its other arms."""
    return any(arm.text.startswith(b"_ =>") for arm in match.named_children)


def short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else words[:57] + "..."


def is_left_alone(node: Node) -> bool:
    """Whether nothing is broken in there: tests, constants, attributes."""
    before = node.prev_named_sibling
    if before is not None and before.type == "attribute_item" and b"test" in before.text:
        return True
    modifiers = next((c for c in node.children if c.type == "function_modifiers"), None)
    return node.type in ("const_item", "static_item", "attribute_item", "const_block") or (
        modifiers is not None and b"const" in modifiers.text
    )


def places(path: Path) -> Iterator[Place]:
    """Every way to break a file in one place."""
    import tree_sitter_rust  # what only this program needs
    from tree_sitter import Language, Parser

    def walk(node: Node) -> Iterator[Place]:
        if is_left_alone(node):
            return
        for at, kind, text, what in breaks(node):
            if b"let " not in at.text or kind in ("first", "unless"):
                line = node.start_point[0] + 1
                yield Place(path, line, at.start_byte, at.end_byte, kind, what, text)
        for child in node.named_children:
            yield from walk(child)

    parser = Parser(Language(tree_sitter_rust.language()))
    yield from walk(parser.parse(path.read_bytes()).root_node)


def switched(source: bytes, of_file: dict[int, Place], start: int, end: int) -> str:
    """The text of the source from start to end, with each of the breaks behind its switch."""
    inside = {n: p for n, p in of_file.items() if start <= p.start and p.end <= end}
    if not inside:
        return source[start:end].decode()
    at = min((p.start, -p.end) for p in inside.values())
    here = {n: p for n, p in inside.items() if (p.start, -p.end) == at}
    rest = {n: p for n, p in inside.items() if n not in here}
    first, last = at[0], -at[1]
    text = switched(source, rest, first, last)
    for number, place in here.items():
        on = f"crate::mutants::is_on({number})"
        text = {
            "instead": f"(if {on} {{ {place.text} }} else {{ {text} }})",
            "or": f"({on} || ({text}))",
            "and not": f"(!{on} && ({text}))",
            "arm": f"{text} if !{on}",
            "unless": f"if !{on} {{ {text} }}",
            "first": f"{{ if {on} {{ {place.text} }} {text[1:]}",
        }[place.kind]
    return source[start:first].decode() + text + switched(source, rest, last, end)


def built(folder: Path, chosen: dict[int, Place]) -> dict[int, Place]:
    """The breaks that compile, after the library was built with all of them."""
    told = folder / "compiled.json"
    if not told.exists():
        for name in ("Cargo.toml", "Cargo.lock"):
            shutil.copy(ROOT / name, folder / name)
        for name, to in {
            "rust": "rust",
            "tests/corpus": "tests/corpus",
            "python/muntin": "muntin",
        }.items():
            shutil.copytree(ROOT / name, folder / to)
        told.write_text(json.dumps(list(build(folder, chosen, target_folder()))))
    return {number: chosen[number] for number in json.loads(told.read_text())}


def build(folder: Path, chosen: dict[int, Place], target: str) -> dict[int, Place]:
    """Builds the library with all breaks that compile, and gives those."""
    command = ["cargo", "build", "--release", "--features", "python,small-limits"]
    command += ["--message-format=json", "--config", "profile.release.package.muntin.opt-level=1"]
    environment = os.environ | {
        **{"CARGO_TARGET_DIR": target, "CARGO_PROFILE_RELEASE_LTO": "off"},
        **{"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"},
    }
    count = max(chosen) + 1
    (folder / "rust/mutants.rs").write_text(SWITCH.replace("COUNT", str(count)))
    library = folder / "rust/lib.rs"
    library.write_text(library.read_text() + "\npub mod mutants;\n")
    while True:
        for path in {place.path for place in chosen.values()}:
            of_file = {n: p for n, p in chosen.items() if p.path == path}
            source = path.read_bytes()
            made = folder / path.relative_to(ROOT)
            made.write_text(switched(source, of_file, 0, len(source)))
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            shutil.copy(Path(target) / "release/libmuntin.so", folder / "muntin/_core.abi3.so")
            return chosen
        bad = set(unfit(folder, done.stdout))
        if not bad & set(chosen):
            raise SystemExit(done.stderr)
        for number in bad:
            print(f"{number:3} does not compile {chosen.pop(number, '')}", flush=True)


def unit_tests(folder: Path) -> str:
    """Builds the unit tests of the core with all breaks, and gives the program."""
    command = ["cargo", "test", "--lib", "--no-run", "--message-format=json"]
    environment = os.environ | {"CARGO_TARGET_DIR": target_folder()}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    built = [json.loads(line) for line in done.stdout.splitlines()]
    return next(found for each in built[::-1] if (found := each.get("executable")))


def unit_tests_pass(program: str, number: int) -> bool:
    environment = os.environ | {"MUNTIN_MUTANT": str(number)}
    try:
        done = subprocess.run([program], env=environment, timeout=600, capture_output=True)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def target_folder() -> str:
    return os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target/mutants"))


def unfit(folder: Path, messages: str) -> Iterator[int]:
    """The breaks at which the compiler found an error."""
    for line in messages.splitlines():
        message = json.loads(line).get("message") or {}
        if message.get("level") == "error":
            for span in message["spans"]:
                before = (folder / span["file_name"]).read_bytes()[: span["byte_end"]]
                if span["is_primary"] and (found := re.findall(rb"is_on\((\d+)\)", before)):
                    yield int(found[-1])


class Tries:
    """A plugin of pytest that runs what was collected once for each break."""

    def __init__(self, chosen: dict[int, Place], workers: int) -> None:
        self.chosen, self.workers = chosen, workers
        self.failed: str | None = None
        self.survivors: list[int] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise SystemExit("the tests cannot be collected")
        pid, end = forked(lambda: self.reach(session.items))
        known = json.load(end)
        os.waitpid(pid, 0)
        if known["failed"]:
            raise SystemExit(f"{known['failed']} fails without a break")
        print(f"{len(session.items)} tests take {sum(known['seconds']):.0f} s", flush=True)
        running = {}
        waiting = list(self.chosen)
        while waiting or running:
            while waiting and len(running) < self.workers:
                number = waiting.pop(0)
                order = sorted(known["reached"][str(number)], key=lambda i: known["seconds"][i])
                limit = 10 * sum(known["seconds"][i] for i in order) + 10
                work = self.trial(number, [session.items[i] for i in order], limit)
                running[number] = (len(order), *forked(work))
            for number, (tests, pid, end) in list(running.items()):
                if os.waitpid(pid, os.WNOHANG) != (0, 0):
                    del running[number]
                    said = end.read() or '"time is up, or the process ended"'
                    self.report(number, tests, json.loads(said))
            time.sleep(0.02)
        return True

    def report(self, number: int, tests: int, failed: str | None) -> None:
        verdict = f"caught by {failed}" if failed else f"SURVIVED {tests} tests that reach it"
        print(f"{number:3} {self.chosen[number]}: {verdict}", flush=True)
        self.survivors += [number] * (failed is None)

    def reach(self, items: list[pytest.Item]) -> dict[str, object]:
        """Runs all tests without a break: how long each takes, and what it reaches."""
        seconds, reached = [], {number: [] for number in self.chosen}
        for i, item in enumerate(items):
            start = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            seconds.append(time.process_time() - start)
            for number, tests in reached.items():
                if core().muntin_reached(number):
                    tests.append(i)
        return {"seconds": seconds, "reached": reached, "failed": self.failed}

    def trial(self, number: int, items: list[pytest.Item], limit: float) -> Callable[[], object]:
        """Runs tests with a break, up to the first that fails, and gives its name."""

        def run() -> str | None:
            signal.setitimer(signal.ITIMER_PROF, limit)  # of the processor, whatever else runs
            signal.alarm(int(10 * limit))
            core().muntin_mutant(number)
            for item in items:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                if self.failed:
                    break
            return self.failed

        return run


def forked(work: Callable[[], object]) -> tuple[int, object]:
    """Does some work in a process of its own; what it gives comes through the file, as JSON."""
    read, write = os.pipe()
    if pid := os.fork():
        os.close(write)
        return pid, os.fdopen(read)
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        os.write(write, json.dumps(work()).encode())
    finally:
        os._exit(0)


def core() -> ctypes.CDLL:
    from muntin import _core

    library = ctypes.CDLL(_core.__file__)
    library.muntin_reached.restype = ctypes.c_bool
    return library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--examples", type=int, default=30, help="that Hypothesis draws a test")
    parser.add_argument("--only", type=int, action="append", help="a number of a run like this")
    parser.add_argument("--folder", help="where the library is built; used again where it was")
    parser.add_argument("paths", nargs="+")
    split = sys.argv.index("--")
    options, tests = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    files = [f for p in options.paths for f in (RUST / p).rglob("*.rs")]
    files += [f for p in options.paths if (f := (RUST / p).with_suffix(".rs")).exists()]
    every = [place for file in sorted(set(files)) for place in places(file)]
    picked = random.Random(options.seed).sample(every, min(options.count, len(every)))
    chosen = dict(enumerate(sorted(picked), 1))
    hypothesis.settings.register_profile(
        "mutants",
        max_examples=options.examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        chosen = built(folder, chosen)
        chosen = {n: place for n, place in chosen.items() if n in (options.only or chosen)}
        os.environ["PYTHONPATH"] = str(folder)
        sys.path.insert(0, str(folder))
        tries = Tries(chosen, options.workers)
        words = ["-q", "-s", "-p", "no:cacheprovider", "--hypothesis-profile=mutants", *tests]
        if pytest.main(words, plugins=[tries]) != pytest.ExitCode.OK:
            raise SystemExit("the tests did not run")
        program = unit_tests(folder) if tries.survivors else ""
        survivors = [n for n in tries.survivors if unit_tests_pass(program, n)]
    for number in sorted(set(tries.survivors) - set(survivors)):
        print(f"{number:3} is caught by the unit tests of the core")
    caught = len(chosen) - len(survivors)
    print(f"{caught} of {len(chosen)} caught (seed {options.seed}, {len(every)} places in all)")


if __name__ == "__main__":
    main()
