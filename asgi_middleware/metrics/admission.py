"""Admission: who may scrape. By network, and by a bearer token or a function."""

from __future__ import annotations

import hmac
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import find_all
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import Scope

Authorize: TypeAlias = str | Callable[[Scope], bool | Awaitable[bool]]

_logger = logging.getLogger("asgi_middleware.metrics")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # b64token (RFC 6750 2.1)
_BEARER: Final = b"bearer"

_TOKEN_MISSING: Final = Refusal(401, "token_missing", headers=[(b"www-authenticate", b"Bearer")])
_TOKEN_INVALID: Final = Refusal(401, "token_invalid", headers=[(b"www-authenticate", b'Bearer error="invalid_token"')])
_FORBIDDEN: Final = Refusal(403, "scrape_forbidden")


class Admission:
    """Decides about one scrape after the other.

    Args:
        authorize: A bearer token, a function of the scope, or None.
        networks: The networks that clients must be in, such as "10.0.0.0/8"; None for any.
        problems: Where wrong options are noted.
    """

    __slots__ = ("_authorize", "_networks", "_token")

    def __init__(self, authorize: Authorize | None, networks: Iterable[str] | None, problems: Problems) -> None:
        if isinstance(authorize, str):
            if _TOKEN.fullmatch(authorize) is None:
                problems.add(
                    "authorize",
                    "(a token)",  # a secret is never shown
                    "is no bearer token",
                    fix="use letters, digits and -._~+/ (RFC 6750 2.1)",
                    code="invalid_token",
                )
        else:
            problems.callable("authorize", authorize, optional=True)
        self._token = authorize.encode("ascii", "replace") if isinstance(authorize, str) else None
        self._authorize = None if isinstance(authorize, str) else authorize
        self._networks = None if networks is None else _networks(networks, problems)

    async def refusal(self, scope: Scope) -> Refusal | None:
        """Give the refusal of a scrape, or None if it may pass.

        Args:
            scope: The scrape's, its headers as a list.
        """
        if self._networks is not None and not _is_inside(scope.get("client"), self._networks):
            return _FORBIDDEN
        if self._token is not None:
            given = find_all(scope["headers"], b"authorization")
            # Without credentials of this scheme the challenge names no error (RFC 6750 3).
            if not any(value.partition(b" ")[0].lower() == _BEARER for value in given):
                return _TOKEN_MISSING
            if len(given) > 1 or not _holds(given[0], self._token):
                return _TOKEN_INVALID
        elif self._authorize is not None:
            try:
                allowed = self._authorize(scope)
                if inspect.isawaitable(allowed):
                    allowed = await allowed
            except Exception:
                _logger.exception("authorize raised; the scrape is refused")
                allowed = False
            if allowed is not True:
                return _FORBIDDEN
        return None


def _networks(given: Iterable[str], problems: Problems) -> tuple[IPv4Network | IPv6Network, ...]:
    networks = []
    for text in problems.strings("networks", given):
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            problems.add(
                "networks",
                text,
                f"is no network ({error})",
                fix="write for example '10.0.0.0/8' or '::1'",
                code="invalid_network",
            )
    return tuple(networks)


def _is_inside(client: Any, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Tell whether the peer's address is in one of these networks; a Unix socket's peer has none."""
    try:
        address = ip_address(client[0])
    except (TypeError, ValueError, IndexError):
        return False
    # A socket for both families gives ::ffff:10.0.0.1 (RFC 4291 2.5.5.2).
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in network for network in networks)


def _holds(given: bytes, token: bytes) -> bool:
    """Tell whether bearer credentials are this token; compared in constant time."""
    return hmac.compare_digest(given.partition(b" ")[2].strip(b" "), token)
