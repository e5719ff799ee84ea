"""Settings: one module, strict, everything that differs comes from the environment.

Variables (each secret may also be given as NAME_FILE): DATABASE_URL, REDIS_URL,
SECRET_KEY, FIELD_ENCRYPTION_KEYS, DUALWRITE_DATA, ALLOWED_HOSTS,
CSRF_TRUSTED_ORIGINS, TRUSTED_PROXIES, DEBUG, LOG_LEVEL, SECURE_COOKIES. Without
DATABASE_URL and REDIS_URL the embedded servers of the data directory are used.
"""

from __future__ import annotations

import os
from pathlib import Path

import environ
from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from portal import appearance, variables
from portal.logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(variables.read("DUALWRITE_DATA", str(BASE_DIR / "var"))).resolve()
DEBUG = variables.read_flag("DEBUG")

_embedded = variables.read_json(DATA_DIR / "embedded.json")
DATABASE_URL = variables.read("DATABASE_URL", _embedded.get("database_url", ""))
REDIS_URL = variables.read("REDIS_URL", _embedded.get("redis_url", ""))
SERVERS_CONFIGURED = bool(DATABASE_URL and REDIS_URL)
"""False while neither variables nor running embedded servers say where to go."""

_secret_key = variables.read("SECRET_KEY")
_encryption_keys = variables.read("FIELD_ENCRYPTION_KEYS")
if not (_secret_key and _encryption_keys):
    _generated = variables.generated_secrets(DATA_DIR)
    _secret_key = _secret_key or _generated["secret_key"]
    _encryption_keys = _encryption_keys or _generated["field_encryption_keys"]
SECRET_KEY = _secret_key
FIELD_ENCRYPTION_KEYS = variables.encryption_keys(_encryption_keys)

ALLOWED_HOSTS = variables.read_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = variables.read_list("CSRF_TRUSTED_ORIGINS")

TRUSTED_PROXIES = variables.read_networks("TRUSTED_PROXIES")

_PROCESS = os.environ.get("DUALWRITE_PROCESS", "")


def _database() -> dict[str, object]:
    if not DATABASE_URL:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "not_configured",
            "HOST": "127.0.0.1",
            "PORT": "1",
        }
    if not DATABASE_URL.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured(
            "DATABASE_URL must be postgresql://user:password@host:port/name."
        )
    try:
        found: dict[str, object] = dict(environ.Env.db_url_config(DATABASE_URL))
    except ValueError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read; write "
            "postgresql://user:password@host:port/name and percent-encode "
            "special characters of the password."
        ) from error
    if not found.get("NAME"):
        raise ImproperlyConfigured("DATABASE_URL names no database.")
    given = found.get("OPTIONS")
    options: dict[str, object] = dict(given) if isinstance(given, dict) else {}
    # Our own commits never wait for a standby: users' commits may wait for us.
    chosen = str(options.get("options", ""))
    if "synchronous_commit" not in chosen:
        options["options"] = f"{chosen} -c synchronous_commit=local".strip()
    options["application_name"] = f"dualwrite {_PROCESS or 'portal'}"
    if _PROCESS == "web":
        options["pool"] = {"min_size": 1, "max_size": 8, "timeout": 10}
    elif _PROCESS == "worker":
        found["CONN_MAX_AGE"] = 600
        found["CONN_HEALTH_CHECKS"] = True
    found["OPTIONS"] = options
    return found


if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must be redis://[:password@]host:port/0.")

DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "django_structlog",
    "portal",
    "portal.accounts",
    "portal.mailing",
    "portal.environments",
    "portal.maps",
    "portal.editor",
    "portal.runs",
    "portal.checks",
    "portal.errors",
    "portal.activity",
    "portal.alerts",
    "portal.comparisons",
    "portal.approvals",
    "portal.sync",
    "portal.history",
    "portal.synchronous",
    "portal.units",
    "portal.operations",
    "portal.trends",
    "portal.overview",
    "portal.setup",
]

MIDDLEWARE = [
    "portal.proxies.ProxyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.correlation.CorrelationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "portal.accounts.middleware.PeopleMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
ASGI_APPLICATION = "portal.asgi.application"

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
                "portal.accounts.context.limits",
            ]
        },
    }
]

# Sign-in
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "portal.accounts.backends.RoleBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_HANDLER = "portal.accounts.guessing.Handler"
SIGN_IN_FAILURES_BY_NAME = SIGN_IN_FAILURES_BY_ADDRESS = 50
AXES_CLIENT_IP_CALLABLE = "portal.proxies.address_of"
AXES_LOCKOUT_CALLABLE = "portal.problem_pages.locked_out"

# Language and time
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Static files: served by the web process itself, straight from where they lie
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True

# Security
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = variables.read_flag("SECURE_COOKIES")
CSRF_FAILURE_VIEW = "portal.problem_pages.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if SESSION_COOKIE_SECURE else 0
PERMISSIONS_POLICY = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), \
magnetometer=(), microphone=(), payment=(), usb=()"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

LOGGING = logging_settings(variables.read("LOG_LEVEL", "INFO").upper(), debug=DEBUG)

METRICS_TOKEN = variables.read("METRICS_TOKEN")

UNFOLD = appearance.UNFOLD

# Initial syncs
COPY_WORKERS = variables.read_whole(
    "COPY_WORKERS", max(2, os.cpu_count() or 2), least=1
)
RUN_HISTORY_DAYS = variables.read_whole("RUN_HISTORY_DAYS", 45, least=1)

# Retention in days, 0 for ever (see portal/retention.py)
ERRORS_KEPT_DAYS = variables.read_whole("ERRORS_KEPT_DAYS", 30)
CONFLICTS_KEPT_DAYS = variables.read_whole("CONFLICTS_KEPT_DAYS", 180)
ACTIVITY_KEPT_DAYS = variables.read_whole("ACTIVITY_KEPT_DAYS", 730)
HISTORY_KEPT_DAYS = variables.read_whole("HISTORY_KEPT_DAYS", 30)
HISTORY_KEPT_MEGABYTES = variables.read_whole("HISTORY_KEPT_MEGABYTES", 4096)
HISTORY_CHANGES_PER_SECOND = variables.read_whole("HISTORY_CHANGES_PER_SECOND", 100)

# Comparisons
COMPARE_HISTORY_DAYS = variables.read_whole("COMPARE_HISTORY_DAYS", 90, least=1)
COMPARE_KEPT_DIFFERENCES = variables.read_whole(
    "COMPARE_KEPT_DIFFERENCES", 10_000, least=0
)

# Mail: from here where a server is given, else as the portal's page says
MAIL = {
    "host": variables.read("SMTP_HOST"),
    "port": variables.read_whole("SMTP_PORT", 587, least=1),
    "security": variables.read_choice(
        "SMTP_SECURITY", ("starttls", "tls", "none"), "starttls"
    ),
    "username": variables.read("SMTP_USER"),
    "password": variables.read("SMTP_PASSWORD"),
    "sender": variables.read("MAIL_FROM"),
    "portal_url": variables.read_url("PORTAL_URL"),
}
EMAIL_BACKEND = "portal.mailing.backend.PortalBackend"
DEFAULT_FROM_EMAIL = "portal"  # stands for the sender of the mail settings
ALERTS_KEPT_DAYS = variables.read_whole("ALERTS_KEPT_DAYS", 180)

# Celery (see portal/celery.py)
CELERY_BROKER_URL = REDIS_URL or "redis://127.0.0.1:1/0"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_QUEUES = [Queue(name) for name in ("live", "initial", "default")]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "portal.sync.tasks.run_stream": {"queue": "live"},
    "portal.runs.tasks.copy_chunks": {"queue": "initial"},
    "portal.comparisons.tasks.run_comparison": {"queue": "initial"},
    "portal.setup.tasks.give_companies": {"queue": "initial"},
}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ANNOTATIONS = {
    "portal.sync.tasks.run_stream": {
        "acks_late": False,
        "reject_on_worker_lost": False,
    },
    "portal.comparisons.tasks.run_comparison": {
        "acks_late": False,
        "reject_on_worker_lost": False,
    },
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = 8  # room for the stream tasks beside the copies
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "ensure-streams": {
        "task": "portal.sync.tasks.ensure_streams",
        "schedule": 2.0,
        "options": {"expires": 4.0},
    },
    "resolve-units": {
        "task": "portal.units.tasks.resolve_units",
        "schedule": 10.0,
        "options": {"expires": 20.0},
    },
    "advance-runs": {
        "task": "portal.runs.tasks.advance_runs",
        "schedule": 2.0,
        "options": {"expires": 4.0},
    },
    "purge-runs": {
        "task": "portal.runs.tasks.purge_runs",
        "schedule": 3600.0,
        "options": {"expires": 600.0},
    },
    "advance-comparisons": {
        "task": "portal.comparisons.tasks.advance_comparisons",
        "schedule": 2.0,
        "options": {"expires": 4.0},
    },
    "forget-comparisons": {
        "task": "portal.comparisons.tasks.forget_comparisons",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "create-links": {
        "task": "portal.setup.tasks.create_links",
        "schedule": 2.0,
        "options": {"expires": 4.0},
    },
    "watch-canaries": {
        "task": "portal.sync.tasks.watch_canaries",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "purge": {
        "task": "portal.errors.tasks.purge",
        "schedule": crontab(hour=2, minute=40),
        "options": {"expires": 3600.0},
    },
    "carry-out-conflicts": {
        "task": "portal.conflicts.tasks.carry_out",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "evaluate-alert-rules": {
        "task": "portal.alerts.tasks.evaluate_rules",
        "schedule": 5.0,
        "options": {"expires": 10.0},
    },
    "tell-alerts": {
        "task": "portal.alerts.tasks.tell",
        "schedule": 2.0,
        "options": {"expires": 4.0},
    },
    "deliver-messages": {
        "task": "portal.alerts.tasks.deliver",
        "schedule": 3.0,
        "options": {"expires": 6.0},
    },
    "check-queues": {
        "task": "portal.sync.tasks.check_queues",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "watch-logs": {
        "task": "portal.sync.tasks.watch_logs",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "sample-trends": {
        "task": "portal.trends.tasks.sample",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "compare-after-gaps": {
        "task": "portal.comparisons.tasks.compare_after_gaps",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
}
