"""When the daily health check is due. Apart from the check, whose diagnosis is loaded on the day it runs."""

from datetime import datetime, timedelta

from emailcfg import activation
from emailcfg.models import ActiveConfig, TestSend

_EVERY = timedelta(days=1)


def start(now: datetime) -> bool:
    """Starts a check when neither a check nor an activation happened for a day. Returns whether it did."""
    if not due(activation.current(), now):
        return False
    from outbound import healthcheck

    return healthcheck.daily(now)


def due(active: ActiveConfig, now: datetime) -> bool:
    """Whether what is active was neither activated nor checked within a day."""
    if active.activated_at is None or active.activated_at > now - _EVERY:
        return False
    return not TestSend.objects.filter(source=TestSend.Source.HEALTH, started_at__gt=now - _EVERY).exists()
