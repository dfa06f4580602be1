"""Whose token it is: ``JWT_USER`` in the settings names this function."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser

from asgi_middleware.auth import JWTAuth


def from_token(auth: JWTAuth) -> AbstractBaseUser | None:
    """Give the active user whose name is the token's subject; None for anybody else."""
    return get_user_model().objects.filter(username=auth.claims["sub"], is_active=True).first()
