"""The hall's own rows: whether this installation has been claimed, and the token that claims it."""

from django.db import models


class Claim(models.Model):
    """One row, made when the first administrator registered. Kept apart from the accounts: an emptied user table
    does not open the first run again. The primary key lets exactly one of two racing registrations win."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    email = models.EmailField()
    claimed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="claim_is_one_row")]

    def __str__(self) -> str:
        return f"claimed by {self.email}"


class SetupToken(models.Model):
    """A token printed on the console, as its SHA-256 digest. It has 256 random bits, so a fast digest is enough."""

    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"setup token until {self.expires_at:%Y-%m-%d %H:%M} UTC"


class Remembered(models.Model):
    """One entry of the cache that all processes share (`adminapp.cache`)."""

    key = models.CharField(max_length=255, primary_key=True)
    value = models.JSONField()
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key} until {self.until:%Y-%m-%d %H:%M:%S} UTC"
