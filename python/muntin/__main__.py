"""`python -m muntin` is `muntin`."""

from muntin.commands.app import app

app(prog_name="muntin")
