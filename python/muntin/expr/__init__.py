"""Expressions over the columns of a row, built in Python or read from SQL text."""
