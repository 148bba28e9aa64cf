"""The command line: `muntin demo`, `run`, `check`, `inspect`, `bench`."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from muntin.commands.program import check_ran, checked, execute, told
from muntin.values import show

if TYPE_CHECKING:
    from muntin.commands.inspect import Inside

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


class LogForm(StrEnum):
    """How a run's log is written."""

    text = "text"
    json = "json"


def _version(asked: bool) -> None:
    if asked:
        from muntin import __version__

        print(f"muntin {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Windowed features and rules over streams of Arrow record batches."""


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the year; no day is replayed.")
    ] = False,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            min=1e-3,
            help="Replay this many times faster: the day 300, with --kafka the year 50,000.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="The port of the page; 0 for any free one."),
    ] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="Show no page.")] = False,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Send the alerts there, too.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Keep outputs and alerts here, not alerts.jsonl alone."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object in place of tables.")
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take the small sample that ships with muntin.")
    ] = False,
    kafka: Annotated[
        str | None,
        typer.Option(
            "--kafka",
            metavar="SERVERS",
            help="Send the events of the year to topics at localhost:9092, say, and let another "
            "process read them there.",
        ),
    ] = None,
    keep_topics: Annotated[
        bool, typer.Option("--keep-topics", help="With --kafka: leave the topics at the end.")
    ] = False,
) -> None:
    """A year of real purchases and simulated events, watched by rules, compared with batch.

    Then, on a terminal, it replays one busy day slowly, until Ctrl-C. The exit code is 1 if the
    batch query gives other results, or if an anomaly planted in the simulated events is missed.

    With --kafka this process sends the events to topics of Kafka, and `muntin run` works on them in
    another one, from topics to topics, exactly once; kill it to see. The topics have names of
    their own and are removed at the end.
    """
    with told():  # the imports, too: the rules are SQL text, which needs an extra
        from muntin.commands.demo.live import free_port, has_page

        terminal = sys.stdout.isatty()
        if port is None and terminal and has_page():
            port = free_port()
        if no_page:
            port = None
        once = once or as_json or not terminal
        if kafka is not None:
            _demo_on_kafka(kafka, once, speed, port, as_json, sample, keep_topics)
        else:
            _demo_in_memory(once, speed, port, webhook, out, as_json, sample)


def _demo_in_memory(
    once: bool,
    speed: float | None,
    port: int | None,
    webhook: str | None,
    out: Path | None,
    as_json: bool,
    sample: bool,
) -> None:
    from muntin.commands.demo.live import page
    from muntin.commands.demo.replay import SPEED, replay
    from muntin.commands.demo.show import show
    from muntin.commands.demo.year import play

    with page(port) as shown:
        outcome = play(sample=sample, out=out, page=shown, url=webhook, quiet=as_json)
        if as_json:
            print(json.dumps(outcome.to_json()))
        else:
            show(outcome)
        if not (outcome.equal and outcome.found_all):
            raise typer.Exit(1)
        if not once:
            speed = speed or SPEED
            print(f"replaying the busiest day, {speed:g} times faster; Ctrl-C ends it")
            while not replay(outcome.day, speed, out=out, page=shown, url=webhook).stopped:
                continue


def _demo_on_kafka(
    servers: str,
    once: bool,
    speed: float | None,
    port: int | None,
    as_json: bool,
    sample: bool,
    keep: bool,
) -> None:
    from muntin.commands.demo.kafka.play import SPEED, play
    from muntin.commands.demo.kafka.show import show

    page = None if port is None else f":{port}"
    options: dict[str, Any] = {"sample": sample, "page": page, "once": once, "keep": keep}
    outcome = play(servers, speed=speed or SPEED, quiet=as_json, **options)
    if as_json:
        print(json.dumps(outcome.to_json()))
    else:
        show(outcome)
    if not outcome.found_all:
        raise typer.Exit(1)


@app.command()
def run(
    file: ProgramFile,
    log: Annotated[
        LogForm, typer.Option("--log", help="Write what a run logs as text, or as JSON lines.")
    ] = LogForm.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --log json.")] = False,
    dashboard: Annotated[
        str | None,
        typer.Option(
            "--dashboard",
            metavar="ADDRESS",
            envvar="MUNTIN_DASHBOARD",
            help="Show the live page at this address, as :8080, for runs without dashboard=.",
        ),
    ] = None,
) -> None:
    """Run a Python program; errors of muntin are printed in a few lines."""
    from muntin.monitor.logs import log_to

    if dashboard is not None:
        os.environ["MUNTIN_DASHBOARD"] = dashboard
    log_to(as_json=as_json or log is LogForm.json)
    with told():
        execute(file, "__main__")
        check_ran(file)


@app.command()
def inspect(
    path: Annotated[
        Path,
        typer.Argument(exists=True, help="A checkpoint's directory, or a file with a snapshot."),
    ],
    chunk: Annotated[
        str | None, typer.Option("--chunk", metavar="NAME", help="Show the rows of this chunk.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object in place of tables.")
    ] = False,
) -> None:
    """Show what is inside a checkpoint: positions, watermarks, state, sinks."""
    from muntin.commands.inspect import look_into

    with told():
        inside = look_into(path)
        rows = None if chunk is None else inside.chunk(chunk)
    if as_json:
        shown = inside.to_json() if rows is None else show.rows(rows.to_arrow(), show.to_json)
        print(json.dumps(shown))
    elif rows is not None:
        print(rows)
    else:
        _show_inside(inside)


def _show_inside(inside: Inside) -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console()
    facts = Grid(show_header=False, box=None)
    for word, value in inside.facts().items():
        facts.add_row(f"[bold]{word}[/]", escape(_cell(value)))
    console.print(facts)
    for name, verbs in inside.pipelines().items():
        console.print("\n  ".join([f"output {escape(name)}", *map(escape, verbs)]), highlight=False)
    for title in ("inputs", "operators", "rules", "sinks"):
        rows: list[dict[str, Any]] = getattr(inside, title)()
        if rows:
            # leave out columns that are 0 in every row
            words = [word for word in rows[0] if any(row[word] for row in rows)]
            grid = Grid(*words, title=title, title_justify="left")
            for row in rows:
                grid.add_row(*(escape(_cell(row[word])) for word in words))
            console.print(grid)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> None:
    """Measure muntin beside DuckDB, Polars, Flink and others, as `python -m benches` does.

    The benchmarks come with the source, not with the installed package.
    """
    from muntin.commands.bench import run_benches

    with told():
        code = run_benches(context.args)
    raise typer.Exit(code)


@app.command()
def check(
    file: ProgramFile,
    main: Annotated[
        bool, typer.Option("--main", help='Execute what is below `if __name__ == "__main__":` too.')
    ] = False,
) -> None:
    """Check the pipelines, rules and runs that a Python file defines, and print what they mean.

    No run is started: of each is printed what it reads, what it guarantees to readers of what it
    writes, and which authority commits. The file is imported, though, so put code with other
    effects below `if __name__ == "__main__":`. All errors are printed, each with its line.
    """
    with told():
        found = checked(file, main=main)
    for text in found.plans:
        print(f"{text}\n")
    for text in found.faults:
        print(f"error: {text}", file=sys.stderr)
    if found.faults:
        raise typer.Exit(1)
