"""Rows that are already in this process."""
