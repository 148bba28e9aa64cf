"""Rows to people and other programs, one message a row."""
