"""`manage.py serve`: sets up what is missing and serves HTTP and HTTPS, with the outbound service beside them."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import OperationalError

from adminapp import certificate, environment, keys, setup
from adminapp.checks import version_floor
from adminapp.prepare import prepare
from adminapp.serve import CannotServe, open_sockets, serve
from emailcfg import pins


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a pipe or a log file sees each line at once


class Command(BaseCommand):
    help = "Sets up what is missing, then serves HTTP and HTTPS and runs the outbound service, until Ctrl-C."
    requires_system_checks: list[str] = []  # `make lint` runs them; a start must be quick

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pins.check()
            sockets = open_sockets()
            prepare(say)
            cert, key = _certificate()
        except (CannotServe, keys.KeyProblem, pins.PinRefused) as problem:
            raise SystemExit(f"Admin App can't start: {problem}") from None
        except OperationalError as problem:
            reason = " ".join(str(problem).split())
            raise SystemExit(f"Admin App can't start: the database can't be used: {reason}") from None
        except OSError as problem:
            raise SystemExit(f"Admin App can't start: {problem.filename}: {problem.strerror}.") from None
        raise SystemExit(serve(sockets, certificate=cert, key=key, ready=_announce))


def _certificate() -> tuple[Any, Any]:
    given = settings.ENVIRONMENT
    if given.tls_cert_file and given.tls_key_file:
        return given.tls_cert_file, given.tls_key_file
    names = dict.fromkeys((environment.own_name(), "localhost", *environment.own_addresses()))
    return certificate.ensure(settings.DATA_DIR / "tls", list(names))


def _announce() -> None:
    local = f"http://localhost:{settings.HTTP_PORT}"
    for found in version_floor():
        say(f"Note: {found.msg} {found.hint}")
    say("Admin App is ready.")
    say(f"  On this machine  {local}/")
    say(f"  From elsewhere   {settings.PUBLIC_BASE_URL}/")
    say(f"  Data             {settings.DATA_DIR}")
    try:
        token = setup.new_token()
    except setup.AlreadyClaimed:
        return
    say("")
    say("First run: register the administrator within 30 minutes at one of")
    say(f"  {local}/setup/?token={token}")
    say(f"  {settings.PUBLIC_BASE_URL}/setup/?token={token}")
