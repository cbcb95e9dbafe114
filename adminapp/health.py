"""`/healthz` says that the process answers; `/readyz` says, check by check, whether the product can do its work."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from adminapp.setup import is_claimed


@dataclass(frozen=True, slots=True)
class Check:
    """One answer of `/readyz`. `detail` is a sentence and never holds a secret or a path."""

    ok: bool
    detail: str


def database() -> Check:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Check(False, "The database does not answer.")
    return Check(True, f"{connection.vendor} answers.")


def setup() -> Check:
    try:
        claimed = is_claimed()
    except DatabaseError:
        return Check(False, "The database does not answer.")
    return Check(claimed, "An administrator is registered." if claimed else "No administrator is registered yet.")


def key_files() -> Check:
    for path in (*settings.ENCRYPTION_KEY_FILES, settings.FINGERPRINT_KEY_FILE):
        try:
            with open(path, "rb") as file:
                if not file.read(1):
                    return Check(False, f"The key file {path.name} is empty.")
        except OSError:
            return Check(False, f"The key file {path.name} can't be read.")
    return Check(True, "All key files can be read.")


# In this order in the answer. A check may return False, but must not raise.
CHECKS: dict[str, Callable[[], Check]] = {
    "database": database,
    "setup": setup,
    "keys": key_files,
}


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every check holds, else 503; the body names each."""
    results = {name: check() for name, check in CHECKS.items()}
    ready = all(result.ok for result in results.values())
    body = {"ready": ready, "checks": {name: asdict(result) for name, result in results.items()}}
    return JsonResponse(body, status=200 if ready else 503)
