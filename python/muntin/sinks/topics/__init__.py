"""Sinks that write to topics of a broker."""
