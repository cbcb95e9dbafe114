"""Primary keys that cost SQLite one b-tree and not two: each page less is written for every accepted message."""

from typing import Any

from django.db import models


class GivenId(models.BigIntegerField):  # type: ignore[type-arg]  # Django has no such arguments
    """A number given by the program. In SQLite it is the row's own number, which only the type INTEGER gives; a key of
    any other type is kept in an index beside the table."""

    def db_type(self, connection: Any) -> str | None:
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class NextId(models.BigAutoField):  # type: ignore[type-arg]
    """The next number. Without SQLite's AUTOINCREMENT, a table of its own that is written with every row so that the
    number of a deleted last row never comes again. Nobody keeps these numbers."""

    def db_type_suffix(self, connection: Any) -> str | None:
        return None if connection.vendor == "sqlite" else super().db_type_suffix(connection)
