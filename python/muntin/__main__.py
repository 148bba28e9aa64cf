"""`python -m muntin` is `muntin`."""

from muntin.commands import main

main()
