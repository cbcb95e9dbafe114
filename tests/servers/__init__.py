"""Real servers for tests, on loopback and ephemeral ports: SMTP, SMTP by script, and one like SendGrid.

The fixtures are in `fixtures.py`; everything else can also be used directly as a context manager."""
