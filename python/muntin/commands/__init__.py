"""The command line."""

import sys


def main() -> None:
    """Run `muntin ...`; it needs the extra `muntin[cli]`."""
    try:
        from muntin.commands.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.exit(f'error: the command line needs {error.name}\nhint: pip install "muntin[cli]"')
    app(prog_name="muntin")
