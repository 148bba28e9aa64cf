"""The demo: a year of real purchases with windows and rules, compared with a batch query."""
