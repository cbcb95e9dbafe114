"""The shape of each mail beside it; idempotency keys under the number of their message, without one of their own."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outbound", "0003_walks_by_state_and_kind"),
    ]

    operations = [
        migrations.AddField(
            model_name="messagebody",
            name="shape",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.RenameModel(old_name="IdempotencyKey", new_name="KeyBefore"),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="outbound.message",
                    ),
                ),
                ("key", models.CharField(max_length=128)),
                ("body_hash", models.CharField(max_length=64)),
                (
                    "token",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="outbound.apitoken",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("token", "key"), name="idempotency_key_of_token")],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO outbound_idempotencykey (message_id, token_id, key, body_hash) "
            "SELECT message_id, token_id, key, body_hash FROM outbound_keybefore",
            migrations.RunSQL.noop,
        ),
        migrations.DeleteModel(name="KeyBefore"),
    ]
