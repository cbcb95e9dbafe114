"""SQLite's file may be replaced under a running process, by a restored backup: connections to the old one end then."""

import os
import threading
from typing import Any

from django.core.signals import request_started
from django.db import connection
from django.db.backends.signals import connection_created

_here = threading.local()  # as Django's connections are


def watch() -> None:
    """Looks at the beginning of each request from now on; the web processes keep their connections open."""
    connection_created.connect(_opened, dispatch_uid="database_file")
    request_started.connect(close_if_replaced, dispatch_uid="database_file")


def _opened(**_: Any) -> None:
    _here.inode = inode()


def close_if_replaced(**_: Any) -> None:
    """Closes this thread's connection when its file is not the one in that place any more. The next query opens it."""
    if connection.connection is not None and getattr(_here, "inode", 0) != inode():
        connection.close()


def inode() -> int:
    """Of the SQLite file; 0 where it is missing or in memory, and for another database."""
    if connection.vendor != "sqlite":
        return 0
    try:
        return os.stat(connection.settings_dict["NAME"]).st_ino
    except OSError:
        return 0
