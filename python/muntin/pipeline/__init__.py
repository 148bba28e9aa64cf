"""Pipelines: streams, windows, aggregates and rules as frozen values, and their plans."""
