"""Django's settings. What the operator decides comes from adminapp.environment; everything else is decided here."""

import os
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF

import adminapp
from adminapp import environment, keys

# The database, the journal and the logs hold mail, and the database the sessions of administrators: what the program
# writes is for its own user alone, also in a DATA_DIR that somebody made for all to read.
os.umask(0o077)

try:
    ENVIRONMENT = environment.read(os.environ)
    DATA_DIR = ENVIRONMENT.data_dir
    DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    SECRET_KEY, *SECRET_KEY_FALLBACKS = keys.secret_keys(ENVIRONMENT.secret_key_file)
except (environment.Refused, keys.KeyProblem) as problem:
    raise SystemExit(f"Admin App can't start: {problem}") from None
except OSError as problem:
    raise SystemExit(
        f"Admin App can't start: DATA_DIR {ENVIRONMENT.data_dir} can't be written: {problem.strerror}. "
        "Give it to this user or set DATA_DIR to another folder."
    ) from None

BASE_DIR = environment.BASE_DIR
VERSION = adminapp.__version__

# What the rooms and the commands read.
BIND = ENVIRONMENT.bind
HTTP_PORT = ENVIRONMENT.http_port
HTTPS_PORT = ENVIRONMENT.https_port
PUBLIC_BASE_URL = ENVIRONMENT.public_base_url
TRUSTED_PROXIES = ENVIRONMENT.trusted_proxies
NETWORK_POLICY = ENVIRONMENT.network_policy
SENDGRID_API_URL = ENVIRONMENT.sendgrid_api_url
SSL_CERT_FILE = ENVIRONMENT.ssl_cert_file
DNS_RESOLVER = ENVIRONMENT.dns_resolver
ENCRYPTION_KEY_FILES = list(ENVIRONMENT.encryption_key_files)
FINGERPRINT_KEY_FILE = ENVIRONMENT.fingerprint_key_file
BROKER_URL = ENVIRONMENT.broker_url
BROKER_QUEUE = ENVIRONMENT.broker_queue
EMAILCFG_PINS = ENVIRONMENT.pins
RETRY_FIRST_S = ENVIRONMENT.retry_first_s
LEASE_S = ENVIRONMENT.lease_s
ATTEMPT_DEADLINE_S = ENVIRONMENT.attempt_deadline_s
IN_DOUBT = ENVIRONMENT.in_doubt
DISK_RESERVE_MB = ENVIRONMENT.disk_reserve_mb
RETAIN_BODIES_DAYS = ENVIRONMENT.retain_bodies_days
RETAIN_RECORDS_DAYS = ENVIRONMENT.retain_records_days

DEBUG = False
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
ROOT_URLCONF = "adminapp.urls"
WSGI_APPLICATION = "adminapp.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "bootstrap",
    "lucide",
    "crispy_forms",
    "crispy_bootstrap5",
    "django_htmx",
    "csp",
    "adminapp",
    "emailcfg",
    "outbound",
]
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

MIDDLEWARE = [
    "adminapp.edge.EdgeMiddleware",  # first: decides over what, from whom and by which cookies a request comes
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "adminapp.setup.UnclaimedMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "adminapp.sessions.SessionLimitsMiddleware",
    "adminapp.access.AccessMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "adminapp.zone.ZoneMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "adminapp.shell.context",
            ]
        },
    }
]

# Database, cache and sessions are shared by the web and the service processes.
DATABASES: dict[str, Any] = {"default": dj_database_url.parse(ENVIRONMENT.database_url)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # FULL: a commit that was answered survives a power cut.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        # Small pages (of a new database): one accepted message touches some fifteen of them, and all are written.
        # A checkpoint waits for the disk twice, so it comes after every 16 MB and not after every 2.
        "init_command": "PRAGMA page_size=2048; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
        "PRAGMA wal_autocheckpoint=8000;",
    }
# Also with SQLite: the last connection that closes moves the whole write-ahead log into the database.
DATABASES["default"]["CONN_MAX_AGE"] = 300
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
CACHES = {"default": {"BACKEND": "adminapp.cache.JsonCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Static files: from packages and our own folder, with hashed names, served by the web processes themselves.
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
FILE_UPLOAD_PERMISSIONS = 0o600  # of the static files gathered there, which Django would let everybody read
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Who may come in.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "status"
ACCOUNT_ADAPTER = "adminapp.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_FORMS = {
    "login": "adminapp.account_forms.LoginForm",
    "reauthenticate": "adminapp.account_forms.ReauthenticateForm",
    "change_password": "adminapp.account_forms.ChangePasswordForm",
}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_SESSION_REMEMBER = True  # the cookie lives as long as the session may; sessions.py bounds both
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False  # this session stays; the password's change ends all others
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
# By address first, so that nobody can lock an administrator out from elsewhere; the limit by account is a
# last stop for guesses spread over many addresses.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "5/m/ip,30/h/ip,100/h/key",
    "change_password": "5/m/user",
    "reauthenticate": "10/m/user",
}
SESSION_COOKIE_AGE = 30 * 60  # idle
SESSION_ABSOLUTE_AGE = 12 * 60 * 60

# Headers and cookies. adminapp.edge gives the cookies their __Host- names on TLS and drops Secure on loopback HTTP.
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "adminapp.errors.csrf_failure"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31536000
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],  # the sandboxed preview of a mail
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
# A request may carry attachments of 10 MB, which base64 makes a third longer.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # subdomains of this host are not ours to bind to TLS
    "security.W008",  # adminapp.edge redirects to TLS; loopback and trusted proxies stay on HTTP
    "security.W021",  # nor is the preload list
]

(DATA_DIR / "logs").mkdir(exist_ok=True)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "adminapp.log.RedactingFilter"}, "no_probes": {"()": "adminapp.log.NoProbes"}},
    "formatters": {
        "line": {
            "()": "adminapp.log.OneLineFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["no_probes", "redact"]},
        "file": {
            # Reopens the file when logrotate moved it; several processes append whole lines.
            "class": "logging.handlers.WatchedFileHandler",
            "filename": str(DATA_DIR / "logs" / "adminapp.log"),
            "delay": True,
            "formatter": "line",
            "filters": ["no_probes", "redact"],
        },
    },
    "root": {"handlers": ["console", "file"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console", "file"], "level": "WARNING", "propagate": False},
        "celery": {"level": "WARNING"},  # else two lines for every hint
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}
