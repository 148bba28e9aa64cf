"""Runs or checks a user's program at the command line; errors point at the user's code."""

from __future__ import annotations

import ast
import logging
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import typer

from muntin.base.errors import MuntinError, with_hint
from muntin.loop.explained import explained
from muntin.loop.run import planned
from muntin.monitor.logs import JsonLog
from muntin.pipeline.plan import Output, compile, outputs_of
from muntin.pipeline.rules import Rule
from muntin.pipeline.stream import Stream

_INTERRUPTED = 130
_TERMINATED = 143
_RUNS = ("run(", "collect(", "operator(")


@dataclass(slots=True)
class Checked:
    """The result of `muntin check`: the plans as text, and errors with their places."""

    plans: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class _Failed(Exception):
    """The user's program has failed; `text` says how, its code alone."""

    def __init__(self, text: str, error: BaseException) -> None:
        super().__init__(text)
        self.text = text
        self.error = error


@contextmanager
def told() -> Iterator[None]:
    """Print errors in a few lines, and end with an exit code."""
    with _terminated_cleanly():
        try:
            yield
        except _Failed as failed:
            _tell(failed.text, failed.error)
            raise typer.Exit(1) from None
        except MuntinError as error:
            _tell(f"error: {error}", error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt as error:
            _tell("interrupted", error)
            raise typer.Exit(_INTERRUPTED) from None


def execute(file: Path, name: str) -> dict[str, Any]:
    """Run a Python file as Python itself does: it may import what lies beside it.

    What it raises is shown with the lines of its own code.
    """
    sys.path.insert(0, str(file.resolve().parent))
    sys.argv = [str(file)]
    try:
        return runpy.run_path(str(file), run_name=name)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _Failed(_said(file, error), error) from error


def check_ran(file: Path) -> None:
    """Refuse a program that ran no pipeline.

    Raises:
        MuntinError: it calls none of `run`, `collect` and `operator`.
    """
    text = file.read_text(errors="replace")
    if not any(word in text for word in _RUNS):
        hint = "end it with mt.run(source, pipeline); muntin check FILE.py looks at pipelines alone"
        raise MuntinError(with_hint(f"{file} runs no pipeline", hint))


def checked(file: Path, *, main: bool = False) -> Checked:
    """Check the pipelines at the top level of a file, its rules against them, and its runs.

    Runs are not started. With `main`, what is below `if __name__ == "__main__":` is executed, too.
    """
    with planned() as runs:
        names = execute(file, "__main__" if main else "muntin.check")
    lines = _lines_of(file)
    found = Checked()
    for each in runs:
        try:
            found.plans.append(explained(each))
        except MuntinError as error:
            found.faults.append(f'{file}: run "{each.name}": {error}')

    def place(name: str) -> str:
        return f"{file}:{lines[name]}: {name}" if name in lines else f"{file}: {name}"

    public = {name: value for name, value in names.items() if not name.startswith("_")}
    outputs: dict[str, list[Output]] = {}
    for name, value in public.items():
        if made := _outputs(name, value):
            outputs[name] = made
            _attempt(found, place(name), made, name)
    rules = {name: given for name, value in public.items() if (given := _rules(value))}
    everywhere = [each for made in outputs.values() for each in made]
    used = {id(rule) for each in everywhere for rule in each.rules}
    for name, given in rules.items():
        for rule in given:
            if id(rule) not in used and everywhere:
                _check_rule(found, place(name), rule, everywhere)
    if not outputs and not runs:
        message = f"{file}: no pipeline at the top level"
        hint = f"muntin check --main {file} executes what is below `if __name__` too"
        found.faults.append(message if main else with_hint(message, hint))
    return found


def _check_rule(found: Checked, place: str, rule: Rule, outputs: Sequence[Output]) -> None:
    """Check that one of the pipelines has the columns of a rule; else return the last error."""
    why: MuntinError | None = None
    for each in outputs:
        try:
            compile([(each.name, each.pipeline, (rule,))])
        except MuntinError as error:
            why = error
        else:
            found.plans.append(f"{rule!r}\n  fits {each.name}")
            return
    if why is not None:
        found.faults.append(f"{place}: {why}")


def _attempt(found: Checked, place: str, outputs: Sequence[Output], name: str) -> None:
    try:
        found.plans.append(f"{name}\n{_plan_text(outputs)}")
    except MuntinError as error:
        found.faults.append(f"{place}: {error}")


def _plan_text(outputs: Sequence[Output]) -> str:
    compile(outputs_of(outputs))
    parts = []
    for each in outputs:
        parts.append(Stream(each.pipeline.node).explain())
        parts += [f"rule           {rule!r}" for rule in each.rules]
    return "\n".join(parts)


def _outputs(name: str, value: Any) -> list[Output]:
    """The outputs that a value at the top level defines; an empty list for other values."""
    if isinstance(value, Stream):
        return [Output(name, value)]
    if isinstance(value, Output):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(v, Output) for v in value):
        return list(value)
    if isinstance(value, Mapping) and value and all(isinstance(v, Stream) for v in value.values()):
        return [Output(str(key), each) for key, each in value.items()]
    return []


def _rules(value: Any) -> list[Rule]:
    if isinstance(value, Rule):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(v, Rule) for v in value):
        return list(value)
    return []


def _lines_of(file: Path) -> dict[str, int]:
    """The line on which each name at the top level was assigned last."""
    lines: dict[str, int] = {}
    with suppress(SyntaxError, ValueError):
        for node in ast.parse(file.read_bytes()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            if isinstance(node, ast.FunctionDef):
                lines[node.name] = node.lineno
            for target in targets:
                if isinstance(target, ast.Name):
                    lines[target.id] = node.lineno
    return lines


def _said(file: Path, error: BaseException) -> str:
    if isinstance(error, ValueError) and "null bytes" in str(error):
        return f"error: {file} is not a Python program"
    trace = _own(file, error.__traceback__)
    if isinstance(error, MuntinError):
        frames = [f for f in traceback.extract_tb(trace) if Path(f.filename) == file]
        where = f"\n  at {file}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
        return f"error: {error}{where}"
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")


def _own(file: Path, trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the user's file."""
    while trace is not None and trace.tb_frame.f_code.co_filename != str(file):
        trace = trace.tb_next
    return trace


def _tell(text: str, error: BaseException) -> None:
    logger = logging.getLogger("muntin")
    if any(isinstance(each.formatter, JsonLog) for each in logger.handlers):
        logger.error(text, extra={"event": "exit", "error_type": type(error).__name__})
    else:
        print(text, file=sys.stderr)


@contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """Let SIGTERM end the program as an exit does: what was opened is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ended(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
