"""django-post_office in its own virtual environment: fills its queue, then empties it by batches and threads.

python bench/post_office_case.py PORT COUNT THREADS SINGLES   (the bodies as JSON on standard input; prints JSON)"""

import json
import os
import sys
import tempfile
import time

WARM = 1_000  # as in bench/accept.py


def main() -> None:
    port, count, threads, singles = map(int, sys.argv[1:5])
    bodies = json.load(sys.stdin)
    import django
    from django.conf import settings

    folder = tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR"))
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/db.sqlite3",
                "OPTIONS": {
                    "timeout": 20,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
                },
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "post_office"],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        POST_OFFICE={
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
            "BATCH_SIZE": 500,
            "THREADS_PER_PROCESS": threads,
            "LOG_LEVEL": 2,
            "MESSAGE_ID_ENABLED": True,
        },
        USE_TZ=True,
        SECRET_KEY="x" * 60,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates"},
            {
                "BACKEND": "post_office.template.backends.post_office.PostOfficeTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": []},
            },
        ],
    )
    django.setup()
    from django.core.management import call_command
    from post_office import mail
    from post_office.mail import send_queued
    from post_office.models import Email

    call_command("migrate", verbosity=0)
    for n in range(-WARM, singles):
        if n == 0:
            begun = time.perf_counter()
        mail.send(
            f"user{n}@example.com",
            "no-reply@acme.example",
            subject="One",
            message=bodies["text"],
            html_message=bodies["html"],
            priority="medium",
        )
    single_s = time.perf_counter() - begun
    Email.objects.all().delete()
    for start in range(0, count, 1000):
        mail.send_many(
            [
                {
                    "recipients": [f"user{n}@example.com"],
                    "sender": "no-reply@acme.example",
                    "subject": f"Message {n}",
                    "message": bodies["text"],
                    "html_message": bodies["html"],
                }
                for n in range(start, min(start + 1000, count))
            ]
        )
    begun, cpu = time.perf_counter(), time.process_time()
    while Email.objects.filter(status=2).exists():  # queued
        send_queued(processes=1, log_level=2)
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    assert Email.objects.filter(status=0).count() == count
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "single_per_s": singles / single_s}))


if __name__ == "__main__":
    main()
