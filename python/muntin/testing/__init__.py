"""Checks that sources and sinks of your own keep their contracts; no test framework is needed."""

from muntin.testing.sinks import check_sink
from muntin.testing.sources import check_source

__all__ = ["check_sink", "check_source"]
