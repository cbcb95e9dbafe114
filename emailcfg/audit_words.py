"""What the events of the audit log are called for people. Every name that is recorded stands here; a test looks."""

WORDS = {
    "administrator.created": "Administrator registered",
    "administrator.reset": "First run opened again",
    "backup.restored": "Older backup noticed",
    "clock.jumped": "Clock of the database jumped",
    "health.failed": "Health check failed",
    "health.recovered": "Health check passed again",
    "key.added": "Encryption key added",
    "key.made": "Encryption key made",
    "key.rotated": "Secrets encrypted with the newest key",
    "login": "Logged in",
    "login.failed": "Login refused",
    "logout": "Logged out",
    "message.cancelled": "Message cancelled",
    "message.retried": "Message tried again",
    "message.sent_again": "Message sent to another address",
    "messages.cancelled": "Messages of one cause cancelled",
    "messages.retried": "Messages of one cause tried again",
    "password.changed": "Password changed",
    "queue.freed": "Mail leaves again",
    "queue.held": "Mail held: sending fails",
    "queue.paused": "Sending paused",
    "queue.resumed": "Sending resumed",
    "queue.tried": "Held mail tried by hand",
    "revision.activate": "Revision activated",
    "revision.confirm": "Revision confirmed",
    "revision.deleted": "Draft deleted",
    "revision.migrate": "Revision activated in the new schema",
    "revision.migrated": "Revision brought to the new schema",
    "revision.return": "Returned automatically",
    "revision.rollback": "Rolled back",
    "revision.rollback_failed": "Return failed, sending stopped",
    "revision.saved": "Revision saved",
    "services.restart": "Restart of the services asked for",
    "support.bundle": "Support bundle downloaded",
    "test.received": "Test mail received",
    "test.started": "Test started",
    "token.created": "API token made",
    "token.revoked": "API token revoked",
}


def words(action: str) -> str:
    """The plain words for an event; its own name for one that only an earlier or later version knows."""
    return WORDS.get(action, action)


def actions_like(text: str) -> list[str]:
    """The names of the events whose words contain this text."""
    return [action for action, said in WORDS.items() if text.casefold() in said.casefold()]
