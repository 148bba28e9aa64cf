"""Rows to databases."""
