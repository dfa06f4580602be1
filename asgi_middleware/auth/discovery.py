"""Where an issuer publishes its keys (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

Facts this module rests on:

- OpenID Connect appends its well-known path to the issuer; RFC 8414 3.1 puts its own between host and path. A provider
  may have either.
- The ``issuer`` in the document must be the very text that was asked for (RFC 8414 3.3). Otherwise one issuer of a host
  could publish keys in the name of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from asgi_middleware.auth.fetching import FetchError, is_trustworthy


def locations(issuer: str) -> tuple[str, str]:
    """Give the addresses of an issuer's metadata, the likelier one first.

    ::

        assert locations("https://idp.example/a") == (
            "https://idp.example/a/.well-known/openid-configuration",
            "https://idp.example/.well-known/oauth-authorization-server/a",
        )
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    host = f"{parts.scheme}://{parts.netloc}"
    return (f"{host}{path}/.well-known/openid-configuration", f"{host}/.well-known/oauth-authorization-server{path}")


def key_location(metadata: Mapping[str, Any], issuer: str, *, loopback_http: bool, same_origin: bool) -> str:
    """Give the ``jwks_uri`` of an issuer's metadata.

    Args:
        metadata: The document.
        issuer: The issuer identifier that was asked for.
        loopback_http: Whether http on this machine will do.
        same_origin: Whether the keys must be at the issuer's own origin.

    Raises:
        FetchError: The metadata are not this issuer's, or name no address that keys may be read from.
    """
    if metadata.get("issuer") != issuer:
        raise FetchError("the metadata are another issuer's")
    location = metadata.get("jwks_uri")
    if type(location) is not str or not is_trustworthy(location, loopback_http=loopback_http):
        raise FetchError("the metadata name no address that keys may be read from")
    if same_origin and urlsplit(location)[:2] != urlsplit(issuer)[:2]:
        raise FetchError("the metadata name an address of another origin")
    return location
