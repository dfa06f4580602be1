"""Django's admin with one user, on SQLite."""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.conf import settings
from stacked import ORIGIN, stacked

settings.configure(
    SECRET_KEY="for tests",
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1"],
    CSRF_TRUSTED_ORIGINS=[ORIGIN],
    LOGGING_CONFIG=None,
    ROOT_URLCONF="admin_urls",
    STATIC_URL="/static/",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(os.environ["TEST_FOLDER"]) / "admin.db",
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "asgi_middleware.integrations.django.RouteMiddleware",
    ],
    TEMPLATES=[
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
    ],
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 -- needs the settings
from django.core.asgi import get_asgi_application  # noqa: E402 -- the same
from django.core.management import call_command  # noqa: E402 -- the same
from django.db import connections  # noqa: E402 -- the same

call_command("migrate", verbosity=0)
get_user_model().objects.create_superuser("ada", "ada@example.org", "a long password")
connections.close_all()

app = stacked(get_asgi_application(), exempt=["/admin", "/admin/**"])
