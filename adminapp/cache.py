"""The cache that all processes share, in the database: rate limits, buttons pressed once, results kept for minutes.

Django's own keeps pickled values, which run code when they are read: whoever can write a row would hold the program and
with it every secret. This one keeps JSON. And it never makes room: Django's forgets rows when there are 300, so that
whoever tries many names would wipe out the count of the tries.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import IntegrityError, transaction
from django.utils import timezone

from adminapp.models import Remembered

_FOR_EVER = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)


class JsonCache(BaseCache):
    """Values are what JSON carries: a tuple comes back as a list. Expired rows go when others are written."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        row = Remembered.objects.filter(key=self._key(key, version), until__gt=timezone.now()).first()
        return default if row is None else row.value

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._forget_expired()
        Remembered.objects.update_or_create(
            key=self._key(key, version), defaults={"value": value, "until": self._until(timeout)}
        )

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Of several processes that add one key at the same time, one is told True."""
        self._forget_expired()
        try:
            with transaction.atomic():
                Remembered.objects.create(key=self._key(key, version), value=value, until=self._until(timeout))
        except IntegrityError:
            return False
        return True

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        rows = Remembered.objects.filter(key=self._key(key, version), until__gt=timezone.now())
        return bool(rows.update(until=self._until(timeout)))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(Remembered.objects.filter(key=self._key(key, version)).delete()[0])

    def clear(self) -> None:
        Remembered.objects.all().delete()

    def _key(self, key: str, version: int | None) -> str:
        return self.make_and_validate_key(key, version=version)

    def _until(self, timeout: Any) -> datetime:
        at = self.get_backend_timeout(timeout)
        return _FOR_EVER if at is None else datetime.fromtimestamp(at, UTC)

    @staticmethod
    def _forget_expired() -> None:
        Remembered.objects.filter(until__lte=timezone.now()).delete()
