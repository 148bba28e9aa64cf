"""Sinks for databases."""
