"""Flink's jars by Maven, and the program that runs a query, compiled."""

from __future__ import annotations

import subprocess
from pathlib import Path

JAVA = Path(__file__).with_name("java")


def fetch(home: Path) -> None:
    """Fill the environment of Flink.

    Raises:
        ValueError: Java or Maven is missing, or failed.
    """
    copy = [
        *("mvn", "-q", "-B", "-f", JAVA / "pom.xml", "dependency:copy-dependencies"),
        *(f"-DoutputDirectory={home / 'jars'}", "-DincludeScope=runtime"),
    ]
    compiled = ["javac", "-nowarn", "-cp", f"{home / 'jars'}/*", "-d", home / "classes"]
    for command in (copy, [*compiled, JAVA / "FlinkBench.java"]):
        try:
            code = subprocess.run(command).returncode
        except FileNotFoundError:
            hint = "install Java 17 (a JDK) and Maven"
            raise ValueError(f"no {command[0]} on the path\nhint: {hint}") from None
        if code:
            raise ValueError(f"Flink could not be installed: {command[0]} failed, see above")
