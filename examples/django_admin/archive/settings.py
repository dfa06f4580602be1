"""Django's settings. What differs from one deployment to the next comes from the environment."""

import os
from pathlib import Path

DATA = Path(os.environ["ARCHIVE_DATA"])  # the database and the uploaded files
TOKEN_KEY = Path(os.environ["ARCHIVE_TOKEN_KEY"]).read_text(encoding="utf-8")  # the provider's public key, as PEM
METRICS_TOKEN = os.environ["ARCHIVE_METRICS_TOKEN"]  # what Prometheus shows
SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ["DJANGO_ALLOWED_HOSTS"].split()

# Cookies over https only; ARCHIVE_PLAIN_HTTP=1 is for trying it on this machine.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("ARCHIVE_PLAIN_HTTP") != "1"

INSTALLED_APPS = [
    "archive",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "asgi_middleware.integrations.django.TokenUserMiddleware",  # request.user is the token's, where there is one
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "asgi_middleware.integrations.django.RouteMiddleware",  # log lines and metrics name the URL pattern
]
JWT_USER = "archive.users.from_token"
LOGGING_CONFIG = None  # asgi.py sets logging up
DEBUG_PROPAGATE_EXCEPTIONS = True  # ProblemDetailsMiddleware answers them, LoggingMiddleware logs them

ROOT_URLCONF = "archive.urls"
LOGIN_URL = "admin:login"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MEDIA_ROOT = DATA / "media"
STATIC_URL = "/static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
