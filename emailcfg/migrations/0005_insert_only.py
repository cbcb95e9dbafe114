"""Lets the database itself refuse changes to what is insert-only."""

from django.db import migrations

from emailcfg import insert_only


def install(apps, schema_editor):
    insert_only.install(schema_editor.connection, apps)


def remove(apps, schema_editor):
    insert_only.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("emailcfg", "0004_receipt_link")]

    operations = [migrations.RunPython(install, remove)]
