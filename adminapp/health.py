"""`/healthz` says that the process answers; `/readyz` says, check by check, whether the product can do its work.

A load balancer asks `/healthz`: the pages that mend what `/readyz` reports have to stay in reach. A monitor asks
`/readyz`.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from adminapp import intake
from adminapp.setup import is_claimed
from emailcfg import activation, revisions, secrets
from emailcfg.destinations import SecretUnavailable
from emailcfg.models import ServiceInstance
from emailcfg.pins import PinRefused
from emailcfg.revisions import RevisionError
from emailcfg.schema_migrations import NewerSchema
from outbound import instances
from outbound.queries import open_breakers, queue_numbers, queue_state

# A queue that is older than the second retry has a reason that somebody should look at.
OLD_QUEUE_S = 15 * 60


@dataclass(frozen=True, slots=True)
class Check:
    """One answer of `/readyz`. `detail` is a sentence; it holds no secret, no path and no address."""

    ok: bool
    detail: str


def database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check(True, f"{connection.vendor} answers.")


def setup() -> Check:
    claimed = is_claimed()
    return Check(claimed, "An administrator is registered." if claimed else "No administrator is registered yet.")


def keys() -> Check:
    try:
        secrets.key_ring()
    except SecretUnavailable as problem:
        return Check(False, str(problem).split(" Run: ")[0])
    return Check(True, "The key files can be read.")


def active_revision() -> Check:
    """Whether what should run can be read, secrets included. Nothing active yet is a state, not a fault."""
    revision = activation.current().revision
    if revision is None:
        return Check(True, "No revision is active yet: no mail is accepted.")
    try:
        unreadable = secrets.unreadable(revisions.for_use(revision).as_used())
    except (RevisionError, NewerSchema, PinRefused, SecretUnavailable):
        return Check(False, f"r{revision.number} is active and can't be read. Status says why.{_stand_ins()}")
    if unreadable:
        what = f"r{revision.number} is active, but these secrets can't be read: {', '.join(unreadable)}."
        return Check(False, what + _stand_ins())
    return Check(True, f"r{revision.number} is active.")


def _stand_ins() -> str:
    through = instances.stand_ins(instances.delivering())
    return f" In its place runs {through}." if through else " No mail leaves."


def queue() -> Check:
    oldest = queue_numbers().oldest_due_at
    if oldest is None:
        return Check(True, "No message waits.")
    age = int((timezone.now() - oldest).total_seconds())
    return Check(age < OLD_QUEUE_S, f"The oldest message that could leave waits since {age} seconds.")


def processes() -> Check:
    over = (ServiceInstance.State.STOPPED, instances.LOST)
    web = [one for one in instances.recent() if one.role == "web" and instances.state_of(one) not in over]
    services = instances.delivering()
    detail = f"{len(web)} web and {len(services)} outbound processes run."
    if not services:
        return Check(False, f"{detail} Without an outbound process no mail leaves.")
    refused = [one for one in services if one.state == ServiceInstance.State.REJECTED]
    if not refused:
        return Check(True, detail)
    return Check(False, f"{detail} {len(refused)} refused the active configuration. Status says why.{_stand_ins()}")


def breaker() -> Check:
    generations = instances.generations_in_use(activation.current().generation, instances.delivering())
    held = next(iter(open_breakers(*generations)), None)
    if held is None:
        return Check(True, "Nothing holds the queue.")
    what = "Mail of one sender is held" if held.sender else "All mail is held"
    return Check(bool(held.sender), f"{what}: {held.error_class}, {held.reason}. Status says why.")


def pause() -> Check:
    """An administrator's pause is meant, so it is told and no fault; what it makes wait shows as `queue`."""
    if not queue_state().paused:
        return Check(True, "Sending is not paused.")
    refusal = intake.refusal(activation.current())
    return Check(True, f"Sending is paused. {refusal}" if refusal else "Sending is paused: mail is accepted and waits.")


def disk() -> Check:
    free = shutil.disk_usage(settings.DATA_DIR).free
    enough = free >= settings.DISK_RESERVE_MB * 1_000_000
    return Check(enough, f"{free // 1_000_000} MB are free." + ("" if enough else " No mail is accepted."))


# In this order in the answer.
CHECKS: dict[str, Callable[[], Check]] = {
    "database": database,
    "setup": setup,
    "keys": keys,
    "active_revision": active_revision,
    "queue": queue,
    "processes": processes,
    "breaker": breaker,
    "pause": pause,
    "disk": disk,
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
    results = {name: _answer(check) for name, check in CHECKS.items()}
    ready = all(result.ok for result in results.values())
    body = {"ready": ready, "checks": {name: asdict(result) for name, result in results.items()}}
    return JsonResponse(body, status=200 if ready else 503)


def _answer(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except DatabaseError:
        return Check(False, "The database does not answer.")
