"""Who acts: every verb that changes something is told, for the audit log."""

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser


@dataclass(frozen=True, slots=True)
class Actor:
    """A person (`user`), or a program known only by name ("token ci", "command line", "system")."""

    name: str
    user: AbstractBaseUser | None = None
    address: str = ""  # where the request came from
    request_id: str = ""


SYSTEM = Actor(name="system")
