"""A schema registry for tests: Apicurio, fetched once by Maven into a cache outside the tree."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka.broker.jars import CACHE

VERSION = "2.6.13.Final"
HOME = CACHE / f"apicurio-registry-{VERSION}"
JAVA = ["java", "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
SECONDS_MAX = 60


def missing() -> str | None:
    """What this machine lacks to start a registry, as a reason to skip a test; None if nothing."""
    if shutil.which("java") is None:
        return "not installed: java"
    if shutil.which("mvn") is None and not HOME.exists():
        return f"not installed: mvn, which fetches Apicurio {VERSION}"
    return None


@contextmanager
def started(place: Path) -> Iterator[str]:
    """A registry with nothing in it; its address for clients of Confluent's interface."""
    home = _home()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"]
    # no multicast or other connection than the one that tests make
    with (place / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [*JAVA, *settings, "-jar", _runner(home)], cwd=place, stdout=log, stderr=log
        )
    try:
        address = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        _wait(process, f"{address}/subjects", place / "registry.log")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the registry did not start:\n{log.read_text()[-2000:]}")


def _runner(home: Path) -> str:
    return str(next(home.rglob("*-runner.jar")))


def _home() -> Path:
    """The directory of the program. The first call on a machine fetches 142 MB."""
    if not HOME.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not HOME.exists():
                _fetch()
    return HOME


def _fetch() -> None:
    name = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        for goal in (["get", "-Dtransitive=false"], ["copy", f"-DoutputDirectory={place}"]):
            subprocess.run(
                ["mvn", "-q", "-B", f"dependency:{goal[0]}", f"-Dartifact={name}", *goal[1:]],
                cwd=place,
                check=True,
                capture_output=True,
                timeout=900,
            )
        whole = Path(place, "whole")
        with tarfile.open(next(Path(place).glob("*.tar.gz"))) as archive:
            archive.extractall(whole, filter="data")
        whole.rename(HOME)  # whole, or not there
