"""The command line: `python -m benches`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benches.measure.child import Failed
from benches.measure.machine import machine
from benches.measure.run import SIZES, Run, present
from benches.peers import KNOWN
from benches.report.markdown import markdown
from benches.report.text import text
from benches.workloads import CATALOGUE, chosen

ALONE = ("rules", "snapshots", "growth", "batches", "ask", "latency")
SIZE_HELP = "; ".join(
    f"{name}: up to {size.steps[-1]:,} events, {size.runs} runs" for name, size in SIZES.items()
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code is 1 if an output differs or a peer failed."""
    asked = parser().parse_args(arguments)
    try:
        return asked.does(asked)
    except (ValueError, Failed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        "benches", description="muntin beside what one would use instead."
    )
    commands = found.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="measure")
    run.add_argument("names", nargs="*", metavar="NAME", help="beginnings of names; see `list`")
    run.add_argument("--size", choices=SIZES, default="medium", help=SIZE_HELP)
    run.add_argument("--peers", default="", help="names with commas; all that are installed")
    run.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    run.add_argument("--page", type=Path, metavar="FILE", help="write a page with plots there")
    run.set_defaults(does=measured)
    show = commands.add_parser("list", help="the workloads and the peers")
    show.set_defaults(does=listed)
    get = commands.add_parser("install", help="install engines, each in an environment of its own")
    get.add_argument("names", nargs="+", choices=[k.name for k in KNOWN.values() if k.own])
    get.set_defaults(does=installed)
    page = commands.add_parser("page", help="the page of results in JSON")
    page.add_argument("results", type=Path)
    page.add_argument("page", type=Path)
    page.set_defaults(does=paged)
    tables = commands.add_parser("markdown", help="results in JSON as tables of Markdown")
    tables.add_argument("results", type=Path)
    tables.set_defaults(does=tabled)
    return found


def measured(asked: argparse.Namespace) -> int:
    peers = [name for name in asked.peers.split(",") if name]
    if unknown := [name for name in peers if name not in KNOWN]:
        raise ValueError(f"no peer {unknown[0]!r}\nhint: there are {', '.join(KNOWN)}")
    alone = [name for name in ALONE if name in asked.names or not asked.names]
    words = [name for name in asked.names if name not in ALONE]
    workloads = chosen(asked.size, words) if words or not asked.names else []
    there, absent = present(peers)
    found: dict[str, Any] = {"size": asked.size, "machine": machine(), "lines": [], "points": []}
    begin = time.perf_counter()

    def say(words: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {words}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="muntin-bench-") as folder:
        run = Run(SIZES[asked.size], there, Path(folder), say)
        found["lines"] = [line.to_json() for line in run.lines(workloads)]
        for name in alone:
            say(name)
            found["points"] += points(name, asked.size)
    found["seconds"] = time.perf_counter() - begin
    found["peers"] = {
        known.name: {"title": known.title, **run.facts.get(known.name, {})} for known in there
    }
    found["absent"] = [
        {"name": known.name, "title": known.title, "install": known.install} for known in absent
    ]
    print(text(found))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    if asked.page:
        write_page(found, asked.page)
    bad = [
        line for line in found["lines"] if (line["note"] or "").startswith(("differs", "failed"))
    ]
    return 1 if bad else 0


def points(name: str, size: str) -> list[dict[str, Any]]:
    """What muntin is measured at alone, in a process of its own."""
    command = [sys.executable, "-m", "benches.measure.alone", name, size]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def listed(_: argparse.Namespace) -> int:
    print("workloads")
    for each in CATALOGUE:
        print(f"  {each.name:20} {each.title}")
    print(f"muntin alone\n  {', '.join(ALONE)}\npeers")
    for known in KNOWN.values():
        print(f"  {known.name:20} {'installed' if known.is_there() else known.install}")
    return 0


def installed(asked: argparse.Namespace) -> int:
    from benches.peers.install import install

    for name in asked.names:
        install(KNOWN[name])
    return 0


def paged(asked: argparse.Namespace) -> int:
    write_page(json.loads(asked.results.read_text()), asked.page)
    return 0


def tabled(asked: argparse.Namespace) -> int:
    print(markdown(json.loads(asked.results.read_text())), end="")
    return 0


def write_page(found: dict[str, Any], path: Path) -> None:
    try:
        from benches.report.page import page
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}\nhint: pip install {error.name}") from None
    path.write_text(page(found))


if __name__ == "__main__":
    given = sys.argv[1:]
    commands = ("run", "list", "install", "page", "markdown", "-h", "--help")
    sys.exit(main(given if given and given[0] in commands else ["run", *given]))
