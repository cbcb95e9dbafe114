"""The entry for Celery's own command: `celery -A adminapp.celery worker` is one more process that delivers."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "adminapp.settings")
django.setup()

from django.conf import settings  # noqa: E402

if not settings.BROKER_URL:
    raise SystemExit("BROKER_URL is not set. Set it to the broker's address, or deliver with manage.py outbound.")

from outbound.engine.celery import worker_app  # noqa: E402 - Celery is an optional package

app = worker_app(settings.BROKER_URL, settings.BROKER_QUEUE)
