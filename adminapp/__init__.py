"""The hall: settings, first run, login, shell, status and serving. Owns no domain rule."""

__version__ = "1.0.0"
