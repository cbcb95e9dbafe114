#!/usr/bin/env python3
"""Runs Django's and the product's commands: `python manage.py <command>`."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

INSTALLED = Path(__file__).resolve().parent / ".venv"  # where `make run` puts what the program needs


def main() -> None:
    if find_spec("django") is None:
        _run_as_installed()
    if sys.version_info < (3, 11):  # noqa: UP036 - this line is what an older Python is told
        sys.exit("Admin App can't start: it needs Python 3.11 or newer, this is %s." % sys.version.split()[0])  # noqa: UP031
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "adminapp.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:  # away, or without its tables
        if "--traceback" in sys.argv:
            raise
        reason = " ".join(str(error).split())
        sys.exit(
            f"The database can't be used: {reason}. If it is new or of an earlier version, “make run” or “manage.py "
            "migrate” brings it up to date."
        )


def _run_as_installed() -> None:
    """Any Python will do to type a command with; the one of the installation runs it."""
    python = INSTALLED / "bin" / "python"
    if not python.exists() or Path(sys.prefix).resolve() == INSTALLED:
        sys.exit("Admin App is not set up here yet. Run “make run” in this folder first.")
    os.execv(python, [str(python), *sys.argv])  # noqa: S606 - a fixed program of ours, and no shell is wanted


if __name__ == "__main__":
    main()
