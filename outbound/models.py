"""The outbox: messages and what became of them, the tokens that may send, and what holds the queue.

`Message` rows are narrow and are the ones the queue moves; what is large or read rarely (the bytes, the attempts)
stands in tables of its own. The hot statements are raw SQL in `outbound.submit` and `outbound.engine.store`.
"""

from django.db import models
from django.db.models import Q

from outbound.fields import GivenId, NextId

SENDABLE = ("queued", "deferred", "in_doubt")  # the states a claim takes from, when the message is due


class State(models.TextChoices):
    """Of a message and of each of its recipients."""

    QUEUED = "queued", "Queued"  # accepted, not tried yet
    SENDING = "sending", "Sending"  # claimed by a process
    DEFERRED = "deferred", "Deferred"  # tried, to be tried again
    SENT = "sent", "Sent"  # the server said 2xx; for a message: for every recipient
    PARTIAL = "partial", "Partly sent"  # a message only: some recipients sent, some failed
    FAILED = "failed", "Failed"
    IN_DOUBT = "in_doubt", "In doubt"  # may have been accepted: the answer is missing
    HELD = "held", "Held"  # waits for a person: `cause` says why
    SUPPRESSED = "suppressed", "Suppressed"  # not sent, because all mail is suppressed
    CANCELLED = "cancelled", "Cancelled"


class Priority(models.IntegerChoices):
    """Lower goes first. The last is the service's own: a message that stood in several crashes goes alone."""

    HIGH = 0, "high"
    NORMAL = 1, "normal"
    BULK = 2, "bulk"
    SUSPECT = 9, "suspect"


class ApiToken(models.Model):
    """A bearer token of a program. Only its hash is kept; the token is 256 random bits, so SHA-256 suffices."""

    name = models.CharField(max_length=80, unique=True)
    hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254)
    last_used_at = models.DateTimeField(null=True)  # to the minute
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return f"token {self.name}"


class Message(models.Model):
    """One accepted mail. `id` grows with time (outbound.ids). `due_at` is set only while the message waits to be
    claimed: a claim, an end state and a hold clear it. `lease` names who claimed it last (Lease.pk)."""

    id = GivenId(primary_key=True)
    kind = models.CharField(max_length=32)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    cause = models.CharField(max_length=48, default="")  # why it is not sent, as a stable word, for grouping
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    due_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()  # soft errors become failures then
    lease = models.BigIntegerField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)  # counted at the claim
    doubts = models.PositiveSmallIntegerField(default=0)  # times the answer was missing: copies that may exist
    crashes = models.PositiveSmallIntegerField(default=0)  # times the process died while it held this message
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()  # when `state` was last set
    size = models.PositiveIntegerField()  # bytes of the mail
    recipient_count = models.PositiveSmallIntegerField()
    first_recipient = models.CharField(max_length=320)
    subject = models.CharField(max_length=200)  # for the log: cut, without live tokens
    subject_key = models.CharField(max_length=60)  # the same, case-folded, for search by prefix
    message_id = models.CharField(max_length=300)  # the header's value, with its angle brackets
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)

    diverted = ""  # "Diverted to box@example.com." once `log_pages.mark_diverted` looked

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("priority", "due_at"), name="message_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=("state", "kind", "id"), name="message_by_state_and_kind"),  # see outbound.walk
            models.Index(fields=("message_id",), name="message_by_message_id"),
            models.Index(fields=("subject_key",), name="message_by_subject", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=("id",), name="message_doubted", condition=Q(doubts__gt=0)),
        )

    def __str__(self) -> str:
        return f"message {self.pk} ({self.state})"


class MessageBody(models.Model):
    """The final bytes of a message and its envelope sender. Deleted before the message's record is."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="body")
    mail_from = models.CharField(max_length=320)
    content = models.BinaryField()
    shape = models.PositiveSmallIntegerField(default=0)  # of the content: emailcfg.providers.shape; 0 where not known
    hidden = models.TextField(default="[]")  # JSON: where live tokens stand, for outbound.log_view

    def __str__(self) -> str:
        return f"body of message {self.pk}"


class Recipient(models.Model):
    """One address of a message's envelope and what became of it."""

    id = NextId(primary_key=True)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="recipients", db_index=False)
    position = models.PositiveSmallIntegerField()
    address = models.CharField(max_length=320)
    address_key = models.CharField(max_length=320)  # case-folded, for search
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    code = models.PositiveSmallIntegerField(default=0)  # of the last answer for this recipient; 0 for none
    text = models.TextField(default="")  # that answer, or the local cause; only where it was not sent

    class Meta:
        ordering = ("position",)
        constraints = (models.UniqueConstraint(fields=("message", "position"), name="recipient_position"),)
        indexes = (
            models.Index(
                fields=("address_key", "message"),
                name="recipient_by_address",
                opclasses=["varchar_pattern_ops", "int8_ops"],
            ),
        )

    def __str__(self) -> str:
        return f"{self.address} ({self.state})"


class Attempt(models.Model):
    """One try to deliver a message, and what was answered."""

    id = NextId(primary_key=True)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attempt_log")
    at = models.DateTimeField()
    revision = models.BigIntegerField(null=True)  # a number: what ran then, whatever becomes of the row
    generation = models.BigIntegerField(null=True)
    server = models.CharField(max_length=300, default="")
    tls = models.CharField(max_length=20, default="")
    code = models.PositiveSmallIntegerField(default=0)
    enhanced = models.CharField(max_length=12, default="")
    reply = models.TextField(default="")
    provider_id = models.CharField(max_length=200, default="")
    stage = models.CharField(max_length=10, default="")
    error_class = models.CharField(max_length=16, default="")  # "" when it was sent
    reason = models.CharField(max_length=48, default="")  # a stable word
    note = models.CharField(max_length=400, default="")  # "Diverted to test@example.com."
    ms = models.FloatField(default=0.0)

    class Meta:
        ordering = ("pk",)
        indexes = (models.Index(fields=("message",), name="attempt_diverted", condition=Q(note__gt="", reason="")),)

    def __str__(self) -> str:
        return f"attempt at {self.at:%Y-%m-%d %H:%M:%S} ({self.error_class or 'sent'})"


class IdempotencyKey(models.Model):
    """What a request with this key made, so that its repetition makes nothing new."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=128)
    body_hash = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("token", "key"), name="idempotency_key_of_token"),)

    def __str__(self) -> str:
        return f"key of message {self.message_id}"


class Lease(models.Model):
    """The right of one process to the messages it claimed. Renewed while it lives; a process whose lease lapsed
    takes a new one, so what it wrote under the old one can be told apart."""

    instance = models.CharField(max_length=64)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"lease {self.pk} of {self.instance}"


class QueueState(models.Model):
    """One row: whether an administrator paused the queue, and when the retention last ran."""

    singleton = models.PositiveSmallIntegerField(primary_key=True, default=1)
    paused = models.BooleanField(default=False)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=254, default="")
    pause_reason = models.CharField(max_length=200, default="")
    pruned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(singleton=1), name="queuestate_is_one_row"),)

    def __str__(self) -> str:
        return "paused" if self.paused else "running"


class Breaker(models.Model):
    """What holds the queue of one generation: a failure that concerns more than one message. `sender` is set when
    only mail from that address is held. A closed breaker keeps its last failure for the Status page."""

    generation = models.BigIntegerField()
    sender = models.CharField(max_length=320, default="")
    provider = models.CharField(max_length=10)
    is_open = models.BooleanField(default=False)
    failures = models.PositiveIntegerField(default=0)  # in a row
    error_class = models.CharField(max_length=16, default="")
    stage = models.CharField(max_length=10, default="")
    reason = models.CharField(max_length=48, default="")
    sentence = models.TextField(default="")  # the provider's own words, or the local cause
    server = models.CharField(max_length=300, default="")
    since = models.DateTimeField(null=True)  # open since
    next_probe_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("generation", "sender"), name="breaker_per_sender"),)

    def __str__(self) -> str:
        return f"{'open' if self.is_open else 'closed'}: {self.reason}"


class RateBucket(models.Model):
    """The share of a provider's messages per minute that is left, shared by all processes."""

    provider = models.CharField(max_length=10, primary_key=True)
    tokens = models.FloatField(default=0)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.tokens:.1f} of {self.provider}"


class OutcomeCount(models.Model):
    """How often an outcome happened in ten minutes: the chart of the Status page, and /metrics. Outcomes are
    `accepted` (requests), `sent`, `deferred`, `failed`, `in_doubt` (attempts), `suppressed`."""

    slot = models.DateTimeField()  # its beginning
    outcome = models.CharField(max_length=12)
    count = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("slot", "outcome"), name="outcome_per_slot"),)

    def __str__(self) -> str:
        return f"{self.count} {self.outcome}"


class GenerationTally(models.Model):
    """Attempts under one generation, and how many of them failed for reasons of configuration: what an activation
    that awaits confirmation is judged by."""

    generation = models.BigIntegerField(primary_key=True)
    attempts = models.BigIntegerField(default=0)
    configuration_failures = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.configuration_failures} of {self.attempts} under generation {self.generation}"
