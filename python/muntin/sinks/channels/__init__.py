"""Sinks that send each row as a message to people or other programs."""
