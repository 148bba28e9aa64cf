"""Arrow and Python values: types, tables, times, text, order."""
