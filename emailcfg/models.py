"""The state of the configuration: revisions, their secrets, which one is active, and what was tested.

Nothing here is ever inferred: the active revision is one row (`ActiveConfig`), changed by compare-and-set
together with its `Activation`; a revision carries no flag.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Secret(models.Model):
    """One encrypted secret. Insert-only: a changed secret is a new row, so revisions keep what they had.
    Only key rotation rewrites the ciphertext, to the same plaintext."""

    ciphertext = models.TextField()
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254)

    def __str__(self) -> str:
        return f"secret {self.pk}"


class ConfigRevision(models.Model):
    """One immutable, numbered version of the configuration. Inserted, never updated."""

    number = models.BigAutoField(primary_key=True)  # AUTOINCREMENT or a sequence: never reused
    schema_version = models.PositiveIntegerField()
    payload = models.JSONField()  # EmailConfig with secrets by reference
    content_hash = models.CharField(max_length=64, db_index=True)
    description = models.CharField(max_length=200)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    author_name = models.CharField(max_length=254)  # stays readable when the account is gone
    created_at = models.DateTimeField(auto_now_add=True)
    parent = models.BigIntegerField(null=True)  # a number, not a key: a deleted draft leaves its children as they were
    request_id = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - NULLs don't collide
    secrets = models.ManyToManyField(Secret, related_name="revisions")

    class Meta:
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"r{self.number}"


class ActiveConfigQuerySet(models.QuerySet["ActiveConfig"]):
    def locked(self) -> "ActiveConfig":
        """The one row, locked until the transaction ends. Whatever adds, activates or deletes a revision takes it."""
        self.get_or_create(singleton=1)
        return self.select_for_update().get(singleton=1)


class ActiveConfig(models.Model):
    """The one row that says what runs. `generation` grows with each activation; all changes go through
    `emailcfg.activation`, which compares it first."""

    class Confirm(models.TextChoices):
        NONE = "none", "for good"
        PENDING = "pending", "waits for confirmation"
        FAILED = "failed", "could not return; sending is paused"

    singleton = models.PositiveSmallIntegerField(primary_key=True, default=1)
    generation = models.BigIntegerField(default=0)
    epoch = models.CharField(max_length=32, default="")  # changes when a restored backup is detected
    revision = models.ForeignKey(ConfigRevision, on_delete=models.PROTECT, null=True, related_name="+")
    fallback = models.ForeignKey(ConfigRevision, on_delete=models.PROTECT, null=True, related_name="+")
    activated_at = models.DateTimeField(null=True)
    activated_by = models.CharField(max_length=254, default="")
    confirm_state = models.CharField(max_length=8, choices=Confirm, default=Confirm.NONE)
    confirm_deadline = models.DateTimeField(null=True)
    confirm_token_hash = models.CharField(max_length=64, default="")

    objects = ActiveConfigQuerySet.as_manager()

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(singleton=1), name="activeconfig_is_one_row"),)

    def __str__(self) -> str:
        return f"generation {self.generation}"


class Activation(models.Model):
    """The log of what was active when. Insert-only; written in the transaction that moves ActiveConfig."""

    class Kind(models.TextChoices):
        ACTIVATE = "activate", "Activated"
        ROLLBACK = "rollback", "Rolled back"
        CONFIRM = "confirm", "Confirmed"
        RETURN = "return", "Returned automatically"
        MIGRATE = "migrate", "Brought to the new schema"

    generation = models.BigIntegerField(db_index=True)
    kind = models.CharField(max_length=12, choices=Kind)
    revision = models.ForeignKey(ConfigRevision, on_delete=models.PROTECT, related_name="activations")
    previous = models.ForeignKey(ConfigRevision, on_delete=models.PROTECT, null=True, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=254)
    reason = models.CharField(max_length=500, blank=True)
    warnings = models.JSONField(default=list)  # the codes of the warnings that were shown and accepted
    at = models.DateTimeField(auto_now_add=True)
    request_id = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - NULLs don't collide

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.kind} r{self.revision_id}"


class FormDraft(models.Model):
    """What one administrator has typed and not saved. Survives a lapsed session, secrets excepted: those
    are bound to the session that typed them."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="form_draft")
    base = models.ForeignKey(ConfigRevision, on_delete=models.SET_NULL, null=True, related_name="+")
    values = models.JSONField(default=dict)  # form fields by path, as typed, without secrets
    secrets = models.JSONField(default=dict)  # path -> {"token", "fingerprint"}, encrypted
    session_key = models.CharField(max_length=64, default="")  # the session that typed the secrets
    changed = models.JSONField(default=list)  # the paths that differ from the base, for the OmniBar
    repairs = models.JSONField(default=dict)  # path -> [repaired text, sentence], shown while the text stands
    version = models.PositiveIntegerField(default=1)  # grows with every write, so a second tab notices
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"draft of user {self.user_id}"


class TestSend(models.Model):
    """One test of a configuration: its steps and outcome, bound to the exact content that was tested."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    class Source(models.TextChoices):
        FORM = "form", "what the form shows"
        REVISION = "revision", "a saved revision"
        ACTIVE = "active", "the active configuration"
        HEALTH = "health", "the daily health check"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        ACCEPTED = "accepted", "accepted"
        RECEIVED = "received", "received"
        PASSED = "passed", "passed without sending"
        FAILED = "failed", "failed"
        INTERRUPTED = "interrupted", "interrupted"

    content_hash = models.CharField(max_length=64, db_index=True)
    pins = models.CharField(max_length=64, blank=True)  # names what the environment fixed meanwhile (pins.digest)
    source = models.CharField(max_length=8, choices=Source)
    revision = models.ForeignKey(ConfigRevision, on_delete=models.SET_NULL, null=True, related_name="tests")
    provider = models.CharField(max_length=10)
    server = models.CharField(max_length=300, default="")
    recipient = models.CharField(max_length=320, blank=True)
    mail_kind = models.CharField(max_length=32, default="test")
    dry_run = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=State, default=State.RUNNING)
    steps = models.JSONField(default=list)
    explanation = models.JSONField(null=True)
    alternatives = models.JSONField(default=list)
    message_id = models.CharField(max_length=300, blank=True)
    receipt_code_hash = models.CharField(max_length=64, blank=True)
    receipt_token_hash = models.CharField(max_length=64, blank=True, db_index=True)
    code_tries = models.PositiveSmallIntegerField(default=0)  # receipt codes entered, right or wrong
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=254)
    started_at = models.DateTimeField(auto_now_add=True)
    beat_at = models.DateTimeField(auto_now=True)  # the runner is alive while this moves
    finished_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"test {self.pk} ({self.state})"

    @property
    def summary(self) -> str:
        """The sentence in which it ended, or stands now."""
        return str(self.steps.get("summary", "")) if isinstance(self.steps, dict) else ""

    @property
    def took(self) -> str:
        """How long the mail took from the server's acceptance to its reader, in words."""
        if self.received_at is None or self.finished_at is None:
            return ""
        seconds = max(0, round((self.received_at - self.finished_at).total_seconds()))
        if seconds < 120:
            return "1 second" if seconds == 1 else f"{seconds} seconds"
        if seconds < 2 * 3600:
            return f"{round(seconds / 60)} minutes"
        return f"{round(seconds / 3600)} hours" if seconds < 2 * 86400 else f"{round(seconds / 86400)} days"


class ServiceInstance(models.Model):
    """A running web or service process and the generation it has taken up."""

    class State(models.TextChoices):
        STARTING = "starting", "starting"
        RUNNING = "running", "running"
        REJECTED = "rejected", "refused the new configuration"
        STOPPING = "stopping", "stopping"
        STOPPED = "stopped", "stopped"

    instance = models.CharField(max_length=64, unique=True)  # random per process: a reused pid is another row
    role = models.CharField(max_length=12)  # "web" or "outbound"
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    version = models.CharField(max_length=32, default="")
    schema_version = models.PositiveIntegerField(default=1)  # the newest payload this process understands
    started_at = models.DateTimeField(auto_now_add=True)
    last_seen = models.DateTimeField()
    generation = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.STARTING)
    error = models.CharField(max_length=500, blank=True)
    stand_in = models.BigIntegerField(null=True)  # the revision it goes on with in the place of a refused one
    restart_requested = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.role} {self.host}/{self.pid}"


class AuditEvent(models.Model):
    """Who did what, when, from where. Insert-only; `detail` never holds a secret."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    action = models.CharField(max_length=48, db_index=True)  # dotted words: "revision.saved"
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=254)
    address = models.CharField(max_length=64, blank=True)  # where the request came from
    subject = models.CharField(max_length=120, blank=True)  # "r15", "test 7", "token ci"
    detail = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name}"
