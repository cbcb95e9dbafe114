#!/usr/bin/env python3
"""Runs Django's and the product's commands: `python manage.py <command>`."""

import os
import sys


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this line is what an older Python is told
        sys.exit("Admin App can't start: it needs Python 3.11 or newer, this is %s." % sys.version.split()[0])  # noqa: UP031
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "adminapp.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
