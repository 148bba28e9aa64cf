"""The results of a run: a table, JSON, and a page with plots. All are made of the JSON."""
