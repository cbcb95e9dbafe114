"""Registers the hall with Django."""

from django.apps import AppConfig


class AdminappConfig(AppConfig):
    name = "adminapp"
    verbose_name = "Admin App"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from adminapp import checks, wiring  # noqa: F401 - registers them

        wiring.connect()
