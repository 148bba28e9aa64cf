"""Tests to run on sinks of your own."""

from muntin.testing.sinks import check_sink

__all__ = ["check_sink"]
