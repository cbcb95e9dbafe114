"""What activating a revision would do, in sentences: what stops it, what needs a reason, what is good to know."""

from dataclasses import dataclass
from enum import StrEnum

from django.utils import timezone

from emailcfg import activation, obstacles, pins, ports, revisions, tested
from emailcfg.convergence import LOST_AFTER
from emailcfg.diagnosis.dns import check_sender_domain
from emailcfg.diagnosis.findings import State
from emailcfg.diagnosis.lookup import Lookup
from emailcfg.diff import Change, compare
from emailcfg.models import ActiveConfig, ConfigRevision, ServiceInstance, TestSend
from emailcfg.revisions import Loaded, RevisionUnreadable
from emailcfg.schema import SCHEMA_VERSION, EmailConfig
from emailcfg.schema_migrations import NewerSchema


class Level(StrEnum):
    """How much a consequence weighs: it stops the activation, it needs a reason, or it is good to know."""

    HARD = "hard"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Consequence:
    """One thing that follows. `code` is stable; it is recorded when the warning was accepted."""

    level: Level
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """The difference to what runs now and everything that follows. `changes` is None when one of the two can't be
    read. `rollback` says that the revision ran before."""

    revision: ConfigRevision
    active: ActiveConfig
    changes: tuple[Change, ...] | None
    consequences: tuple[Consequence, ...]
    rollback: bool
    can_return: bool  # what runs now could run again, so that an activation for a while is possible

    def _of(self, level: Level) -> tuple[Consequence, ...]:
        return tuple(one for one in self.consequences if one.level is level)

    @property
    def hard(self) -> tuple[Consequence, ...]:
        return self._of(Level.HARD)

    @property
    def warnings(self) -> tuple[Consequence, ...]:
        return self._of(Level.WARNING)

    @property
    def notes(self) -> tuple[Consequence, ...]:
        return self._of(Level.NOTE)

    @property
    def warning_codes(self) -> list[str]:
        return [one.code for one in self.warnings]

    @property
    def stops_all_mail(self) -> bool:
        return "stops_all_mail" in self.warning_codes


def preflight(revision: ConfigRevision, active: ActiveConfig, *, lookup: Lookup | None = None) -> Preflight:
    """Looks at everything that activating this revision now would mean. Never raises for what it finds. DNS is asked
    only with a `lookup`, whose settings bound the time, and only when what it vouches for changes."""
    loaded, running = _readable(revision), _readable(active.revision)
    found = [Consequence(Level.HARD, code, sentence) for code, sentence in obstacles.obstacles(revision)]
    if loaded is not None:
        found += of_config(loaded.config, revision.content_hash, running.config if running else None)
        found += [Consequence(Level.NOTE, "migrated", f"Brought to today's schema: {step}") for step in loaded.migrated]
        found += _of_dns(loaded.config, running.config if running else None, lookup)
    return Preflight(
        revision=revision,
        active=active,
        changes=_changes(loaded, running, active),
        consequences=tuple(found),
        rollback=revision.activations.exists(),
        can_return=active.revision is not None and not obstacles.problems(active.revision),
    )


def of_config(config: EmailConfig, content_hash: str, running: EmailConfig | None) -> list[Consequence]:
    """What follows from activating this content instead of what is running: warnings and notes, saved or not."""
    return [*_of_content(config, running), *_of_tests(content_hash), *_of_processes()]


def _readable(revision: ConfigRevision | None) -> Loaded | None:
    if revision is None:
        return None
    try:
        return revisions.read(revision)
    except (RevisionUnreadable, NewerSchema):
        return None


def _changes(loaded: Loaded | None, running: Loaded | None, active: ActiveConfig) -> tuple[Change, ...] | None:
    if loaded is None or (running is None and active.revision is not None):
        return None
    return tuple(compare(running.config if running else EmailConfig(), loaded.config))


def _here(config: EmailConfig) -> EmailConfig:
    """The configuration as it would run here; a pin that does not go with it is told by `obstacles`."""
    try:
        return pins.applied(config)
    except pins.PinRefused:
        return config


def stops_all_mail(config: EmailConfig) -> bool:
    """Whether mail would stop under this configuration here, so that whoever activates it must say that it is meant."""
    return obstacles.stops_all_mail(_here(config))


def _of_content(config: EmailConfig, running: EmailConfig | None) -> list[Consequence]:
    config, found = _here(config), []
    if obstacles.stops_all_mail(config):
        sentence = "No delivery service is on: this stops all mail. Messages are accepted and wait."
        found.append(Consequence(Level.WARNING, "stops_all_mail", sentence))
    if config.general.suppress_all:
        sentence = "All mail is suppressed: messages are accepted and none leaves."
        found.append(Consequence(Level.WARNING, "suppress_all", sentence))
    if config.general.divert_to:
        sentence = f"All mail is diverted to {config.general.divert_to}: nobody else receives any."
        found.append(Consequence(Level.WARNING, "divert_all", sentence))
    return found + _of_queue(config, running)


def _of_queue(config: EmailConfig, running: EmailConfig | None) -> list[Consequence]:
    queued = ports.queued_messages()
    if not queued or obstacles.stops_all_mail(config):
        return []
    text = f"{queued} queued message{' leaves' if queued == 1 else 's leave'} through this configuration"
    sender = config.general.sender_email
    if running is not None and sender != running.general.sender_email:
        text += f" after it; new messages come from {sender}"
    return [Consequence(Level.NOTE, "queued", f"{text}.")]


def _of_tests(content_hash: str) -> list[Consequence]:
    found = tested.of(content_hash)
    if found is None:
        return [Consequence(Level.WARNING, "untested", "This configuration was never tested. Send a test email first.")]
    test, when = found.test, timezone.localtime(found.at).strftime("%d %b %Y %H:%M %Z")
    if test.state == TestSend.State.RECEIVED:
        return [Consequence(Level.NOTE, "tested", f"Tested by {test.actor_name} on {when}: the mail was received.")]
    if test.state == TestSend.State.ACCEPTED:
        sentence = f"Tested by {test.actor_name} on {when}: the mail server accepted the mail."
        return [Consequence(Level.NOTE, "tested", sentence)]
    sentence = f"The last test of exactly this configuration, by {test.actor_name} on {when}, failed."
    return [Consequence(Level.WARNING, "test_failed", sentence)]


def _of_dns(config: EmailConfig, running: EmailConfig | None, lookup: Lookup | None) -> list[Consequence]:
    """SPF of the sender and MX for replies, where the sender or the way out changes."""
    if lookup is None or config.provider is None or (running is not None and _vouched(config) == _vouched(running)):
        return []
    general = config.general
    checked = check_sender_domain(
        general.sender_email,
        provider=config.provider,
        host=config.smtp.host if config.provider == "smtp" else "",
        reply_to_domain=general.reply_to_domain,
        lookup=lookup,
        names=("spf", "reply_to_mx"),
    )
    return [
        Consequence(Level.WARNING, f"dns_{check.name}", f"{check.sentence} {check.next_step}".strip())
        for check in checked.checks
        if check.state in (State.WARNING, State.PROBLEM)
    ]


def _vouched(config: EmailConfig) -> tuple[str | None, ...]:
    host = config.smtp.host if config.provider == "smtp" else ""
    return config.provider, host, config.general.sender_email, config.general.reply_to_domain


def _of_processes() -> list[Consequence]:
    living = ServiceInstance.objects.filter(last_seen__gt=activation.database_time() - LOST_AFTER).exclude(
        state=ServiceInstance.State.STOPPED
    )
    return [
        Consequence(
            Level.WARNING,
            "process_too_old",
            f"The process {row.host}/{row.pid} is an older version that does not understand this configuration "
            f"(schema {SCHEMA_VERSION}; it knows {row.schema_version}). Update and restart it.",
        )
        for row in living
        if row.schema_version < SCHEMA_VERSION
    ]
