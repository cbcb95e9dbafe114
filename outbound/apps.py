"""Registers the outbound email service with Django."""

from django.apps import AppConfig

from outbound import database_file


class OutboundConfig(AppConfig):
    name = "outbound"
    verbose_name = "Outbound email service"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        database_file.watch()
