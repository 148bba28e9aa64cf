"""Sinks for files."""
