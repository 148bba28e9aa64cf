"""Decoding: text and Python values to columns of declared types."""
