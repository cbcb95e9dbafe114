"""Registers the configuration room with Django."""

from django.apps import AppConfig


class EmailcfgConfig(AppConfig):
    name = "emailcfg"
    verbose_name = "Email configuration"
    default_auto_field = "django.db.models.BigAutoField"
