"""The WSGI application that the web processes serve, with all pages loaded: they are forked from who imports this."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "adminapp.settings")
application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018 - a property that imports every page; otherwise the first visitor waits for it
gc.collect()
gc.freeze()  # it stays: no collection needs to look through it again, nor to touch the memory that the processes share
