"""`/metrics` for Prometheus (text format 0.0.4): what Status says, as numbers. No label holds an address or a name.

It is answered to this machine itself, and to others with a token of the scope `messages:read`.
"""

import ipaddress
import shutil
from collections.abc import Iterable, Mapping

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from adminapp.verdict import Facts, gather, verdict
from emailcfg import activation
from outbound import auth, instances, queries
from outbound.models import OutcomeCount

_OUTCOMES = ("sent", "deferred", "failed", "in_doubt", "suppressed")
Sample = tuple[Mapping[str, str], float]


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics; 401 for whoever may not read them."""
    if not _may_read(request):
        return HttpResponse(
            "Send a token with the scope messages:read, or ask from this machine.\n",
            status=401,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": "Bearer"},
        )
    text = "".join(line + "\n" for line in _lines())
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read(request: HttpRequest) -> bool:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text:
        token = auth.find(text.strip())
        return token is not None and "messages:read" in token.scopes
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _lines() -> Iterable[str]:
    facts = gather(activation.current())
    numbers = queries.queue_numbers(facts.now)
    states = ("due", "scheduled", "sending", "deferred", "in_doubt", "held")
    waiting: list[Sample] = [({"state": name}, getattr(numbers, name).number) for name in states]
    yield from _metric("queue_messages", "gauge", "Messages by what they wait for, counted up to 100,000.", waiting)
    yield from _one("failed_last_day", "Messages of the last 24 hours that failed.", numbers.failed.number)
    oldest = (facts.now - numbers.oldest_due_at).total_seconds() if numbers.oldest_due_at else 0
    yield from _one("queue_oldest_due_age_seconds", "How long the oldest message that could leave waits.", oldest)
    yield from _metric(
        "outcomes_total", "counter", "Attempts by outcome since 00:00 UTC, when it begins anew.", _outcomes()
    )
    yield from _one("mail_works", "1 when it was proven that mail leaves and nothing is in the way.", _works(facts))
    yield from _one("paused", "1 while an administrator has paused sending.", int(facts.queue.paused))
    yield from _one("suppressed", "1 while the configuration suppresses all mail.", int(facts.suppresses))
    yield from _one("diverted", "1 while the configuration diverts all mail.", int(bool(facts.diverts_to)))
    whole = [breaker for breaker in facts.breakers if not breaker.sender]
    yield from _one("breaker_open", "1 while all mail is held.", int(bool(whole)))
    yield from _one("breaker_open_senders", "Senders whose mail is held.", len(facts.breakers) - len(whole))
    yield from _one("active_generation", "Grows with each activation.", facts.active.generation)
    yield from _one("active_revision", "The number of the active revision; 0 for none.", facts.active.revision_id or 0)
    yield from _processes()
    yield from _one("disk_free_bytes", "Free where the data folder is.", shutil.disk_usage(settings.DATA_DIR).free)


def _outcomes() -> list[Sample]:
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = OutcomeCount.objects.filter(slot__gte=midnight).values_list("outcome").annotate(Sum("count"))
    found = dict(rows)
    return [({"outcome": name}, found.get(name, 0)) for name in _OUTCOMES]


def _works(facts: Facts) -> int:
    return int(verdict(facts).level == "ok")


def _processes() -> Iterable[str]:
    up: list[Sample] = []
    generations: list[Sample] = []
    refused: list[Sample] = []
    for one in instances.recent():
        state = instances.state_of(one)
        if state == one.State.STOPPED:
            continue
        labels = {"role": one.role, "instance_id": one.instance[:8]}
        up.append((labels, int(state != instances.LOST)))
        if state == instances.LOST:
            continue  # it runs nothing any more
        if one.role != "web":
            refused.append((labels, int(state == one.State.REJECTED)))
        if one.generation is not None:
            generations.append((labels, one.generation))
    yield from _metric("process_up", "gauge", "1 for a process that gives signs of life, 0 for a lost one.", up)
    yield from _metric("process_generation", "gauge", "The generation that a process runs.", generations)
    yield from _metric("process_refused", "gauge", "1 for a process that refused the active configuration.", refused)


def _one(name: str, what: str, value: float) -> Iterable[str]:
    return _metric(name, "gauge", what, [({}, value)])


def _metric(name: str, kind: str, what: str, samples: Iterable[Sample]) -> Iterable[str]:
    yield f"# HELP adminapp_{name} {what}"
    yield f"# TYPE adminapp_{name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
        yield f"adminapp_{name}{{{inner}}} {value:.15g}" if inner else f"adminapp_{name} {value:.15g}"
