"""The command line: `muntin demo`, `muntin run FILE.py`, `muntin check FILE.py`."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from muntin.errors import MuntinError
from muntin.plan import Output, compile, outputs_of
from muntin.stream import Stream

app = typer.Typer(
    name="muntin",
    help="Windowed features and rules over streams of Arrow record batches.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ProgramFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A Python program.")
]


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the year; there is no other way yet.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Keep the outputs and the alerts here."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object in place of tables.")
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take the small sample that ships with muntin.")
    ] = False,
) -> None:
    """A year of real purchases, windowed, watched by rules, and compared with batch.

    Exits with 1 if batch says something else.
    """
    from muntin.demo.show import play, show

    with _told():
        outcome = play(sample=sample, out=out)
    if as_json:
        print(json.dumps(outcome.to_json()))
    else:
        show(outcome)
    if not outcome.equal:
        raise typer.Exit(1)


@app.command()
def run(file: ProgramFile) -> None:
    """Run a Python program; an error of muntin is told in a few lines."""
    with _told():
        _execute(file, "__main__")


@app.command()
def check(file: ProgramFile) -> None:
    """Check the pipelines that a Python file defines, without running them, and print the plans.

    The file is imported, so what it runs should stand behind `if __name__ == "__main__":`.
    """
    with _told():
        names = _execute(file, "muntin.check")
        found = {
            name: value
            for name, value in names.items()
            if isinstance(value, (Stream, Output)) and not name.startswith("_")
        }
        for name, value in found.items():
            outputs = outputs_of(value)
            compile(outputs)
            for _, pipeline, _ in outputs:
                print(f"{name}\n{Stream(pipeline.node).explain()}\n")
    if not found:
        print(f"{file}: no pipeline at the top level", file=sys.stderr)
        raise typer.Exit(1)


def _execute(file: Path, name: str) -> dict[str, Any]:
    # as Python itself does it: the program may import what lies beside it
    sys.path.insert(0, str(file.resolve().parent))
    sys.argv = [str(file)]
    return runpy.run_path(str(file), run_name=name)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except MuntinError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
