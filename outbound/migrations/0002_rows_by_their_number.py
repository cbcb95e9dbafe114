"""Keys that cost SQLite one b-tree and not two; see outbound.fields."""

from django.db import migrations

import outbound.fields


class Migration(migrations.Migration):
    dependencies = [
        ("outbound", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="attempt",
            name="id",
            field=outbound.fields.NextId(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name="idempotencykey",
            name="id",
            field=outbound.fields.NextId(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name="message",
            name="id",
            field=outbound.fields.GivenId(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name="recipient",
            name="id",
            field=outbound.fields.NextId(primary_key=True, serialize=False),
        ),
    ]
