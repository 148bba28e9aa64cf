"""How the suite runs: on how many cores, how long Hypothesis searches, and with which seed.

A normal run takes a new seed for each test and prints a failing example so that it can be repeated.
Where the variable `CI` is set, the examples are the same each time: a change is judged by itself.
`pytest --hypothesis-profile=nightly` searches seventy times as long with one seed, which it prints
and adds to `.hypothesis/seeds.txt`; `--hypothesis-seed=N` searches the same way again.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kafka.broker.fixtures import kafka, kafka_broker  # noqa: F401 (fixtures for all tests)

# the oracle costs some 0.1 s an example; every run draws others
settings.register_profile("default", deadline=None, print_blob=True, max_examples=30)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.register_profile(
    "nightly",
    deadline=None,
    print_blob=True,
    max_examples=2000,
    suppress_health_check=[*HealthCheck],
)
settings.load_profile("ci" if os.environ.get("CI") else "default")

SEEDS = Path(__file__).parent.parent / ".hypothesis" / "seeds.txt"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test whose name holds an address is another one in each process that runs tests."""
    if found := [item.nodeid for item in items if re.search(r"0x[0-9a-f]{6,}", item.nodeid)]:
        raise pytest.UsageError(f"names of tests hold addresses: {found[:3]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Gives the logger back as it was: a command that a test runs sets it up for a terminal."""
    logger = logging.getLogger("muntin")
    before = (list(logger.handlers), logger.level, logger.propagate)
    try:
        return (yield)
    finally:
        logger.handlers, logger.level, logger.propagate = before


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Runs the whole suite on all cores; named tests, and `-n 0`, run in this process."""
    option = config.option
    is_worker = hasattr(config, "workerinput")
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if is_whole and not is_worker and getattr(option, "numprocesses", 0) is None:
        option.numprocesses = "auto"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draws the seed of a nightly run before Hypothesis asks for it."""
    option = config.option
    is_worker = hasattr(config, "workerinput")
    if option.hypothesis_profile == "nightly" and option.hypothesis_seed is None and not is_worker:
        option.hypothesis_seed = str(secrets.randbits(32))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Tells the seed, and keeps that of a nightly run with how the run ended."""
    seed = config.option.hypothesis_seed
    if seed is None:
        return
    terminalreporter.write_line(f"repeat with --hypothesis-seed={seed}")
    if config.option.hypothesis_profile == "nightly":
        SEEDS.parent.mkdir(exist_ok=True)
        with SEEDS.open("a") as seeds:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            seeds.write(f"{now} seed {seed} exit {int(exitstatus)}\n")
