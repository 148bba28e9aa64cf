"""The jars of Apache Kafka: fetched once by Maven into a cache directory outside the tree."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

POM = Path(__file__).parent / "pom.xml"
VERSION = re.findall(r"<version>([\d.]+)</version>", POM.read_text())[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muntin-tests"
JARS = CACHE / f"kafka-{VERSION}"


def missing() -> str | None:
    """What this machine lacks to start a broker, as a reason to skip a test; None if nothing."""
    if importlib.util.find_spec("confluent_kafka") is None:
        return "not installed: confluent-kafka"
    if shutil.which("java") is None:
        return "not installed: java"
    if shutil.which("mvn") is None and not JARS.exists():
        return f"not installed: mvn, which fetches Kafka {VERSION}"
    return None


def class_path() -> str:
    """What `java -cp` takes. The first call on a machine fetches 46 jars, 44 MB."""
    if not JARS.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not JARS.exists():
                _fetch()
    return f"{JARS}/*"


def _fetch() -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        jars = Path(place, "jars")
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        subprocess.run(
            [*command, f"-DoutputDirectory={jars}", "-DincludeScope=runtime"],
            cwd=place,
            check=True,
            capture_output=True,
            timeout=900,
        )
        jars.rename(JARS)  # whole, or not there
