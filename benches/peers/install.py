"""Installs an engine in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys

from benches.peers.known import Known


def install(known: Known) -> None:
    """Make its environment, or make it anew.

    Raises:
        ValueError: pip failed; its words are above.
    """
    print(f"{known.title}: {known.home}", flush=True)
    known.home.mkdir(parents=True, exist_ok=True)
    ready = known.home / "ready"
    ready.unlink(missing_ok=True)
    commands = [
        [sys.executable, "-m", "venv", known.home],
        [known.python, "-m", "pip", "install", "--quiet", *known.packages],
    ]
    for command in commands:
        if subprocess.run(command).returncode:
            raise ValueError(f"{known.title} could not be installed: see above")
    if known.name == "flink":
        from benches.peers.flink_jars import fetch

        fetch(known.home)
    ready.touch()
