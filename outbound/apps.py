"""Registers the outbound email service with Django."""

from django.apps import AppConfig


class OutboundConfig(AppConfig):
    name = "outbound"
    verbose_name = "Outbound email service"
    default_auto_field = "django.db.models.BigAutoField"
