"""Checks that your own sources and sinks keep their contracts; needs no test framework."""

from muntin.testing.sinks import check_sink
from muntin.testing.sources import check_source

__all__ = ["check_sink", "check_source"]
