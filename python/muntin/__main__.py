"""`python -m muntin` is `muntin`."""

from muntin.cli import app

app(prog_name="muntin")
