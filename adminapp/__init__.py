"""The hall: settings, first run, login, shell, status and serving. Owns no domain rule."""
