"""Messages per minute, shared by all processes: a bucket of one second's worth in the database."""

from datetime import datetime

from outbound.models import RateBucket


def take(provider: str, *, per_minute: int, wanted: int, now: datetime) -> int:
    """How many of `wanted` messages may leave now; they count as sent. Within the claim's transaction.

    The bucket holds one second's worth, at least one message, so that no minute sees more than a sixtieth too many."""
    bucket, _ = RateBucket.objects.select_for_update().get_or_create(
        provider=provider, defaults={"tokens": 1.0, "at": now}
    )
    elapsed = max((now - bucket.at).total_seconds(), 0.0)
    capacity = max(per_minute / 60, 1.0)
    tokens = min(bucket.tokens + elapsed * per_minute / 60, capacity)
    taken = min(int(tokens), wanted)
    RateBucket.objects.filter(pk=bucket.pk).update(tokens=tokens - taken, at=now)
    return taken


def give_back(provider: str, unused: int) -> None:
    """Returns what was taken and not needed, in the same transaction."""
    if unused:
        bucket = RateBucket.objects.get(pk=provider)
        RateBucket.objects.filter(pk=provider).update(tokens=bucket.tokens + unused)
