"""Tokens for the showcase, signed with a development key.

Whoever asks gets a token. That is what makes the showcase easy to try, and what must never happen anywhere else.
"""

import re
import secrets
import time
from math import ceil

import jwt

KEY = secrets.token_bytes(32)
"""Made anew at every start: it protects nothing, and no token outlives the process."""

ALGORITHM = "HS256"
AUDIENCE = "showcase"
LIFETIME = 3600
"""Seconds; the longest, and what a token gets that asks for nothing else."""

WARNING = "DEVELOPMENT KEY: anyone who can reach this server gets a token. Never do this in production."

SCOPES = ("admin",)
_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)


def issue(user: str = "ada", scope: str = "", lifetime: int = LIFETIME) -> str:
    """Sign a token for `user` that grants the space-separated scopes of `scope`, for some seconds.

    Raises:
        ValueError: The name or a scope is not one that the showcase knows, or the lifetime is out of range.
    """
    if not _NAME.fullmatch(user):
        raise ValueError("user: 1 to 64 of the characters A-Z a-z 0-9 _ . @ -")
    if not set(scope.split()) <= set(SCOPES):
        raise ValueError(f"scope: known are {', '.join(SCOPES)}")
    if not 1 <= lifetime <= LIFETIME:
        raise ValueError(f"lifetime: 1 to {LIFETIME} seconds")
    now = time.time()
    # Whole seconds, as verifiers read them: this one lives for at least as long as was asked for.
    claims = {"sub": user, "aud": AUDIENCE, "iat": int(now), "exp": ceil(now) + lifetime}
    if scope:
        claims["scope"] = scope
    return jwt.encode(claims, KEY, ALGORITHM)
