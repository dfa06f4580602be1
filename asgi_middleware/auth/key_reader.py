"""The steps by which an issuer's keys are read, without doing any: what to read next, and what the answers mean.

Whoever drives the steps does the reading, in a thread or on an event loop (:func:`drive`, :func:`drive_async`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from asgi_middleware.auth.discovery import key_location, locations
from asgi_middleware.auth.fetching import MAX_SIZE, FetchError, Response
from asgi_middleware.auth.json_strict import parse_object

SHORTEST_TTL: Final = 60.0
LONGEST_TTL: Final = 86_400.0
# Metadata hardly change. They are read again after a day, and after any failure to read the keys.
_LOCATION_SECONDS: Final = 86_400.0
_MAX_AGE: Final = re.compile(r'(?:^|[,\s])max-age="?(\d{1,9})"?(?:$|[,\s;])', re.IGNORECASE)
_NOT_STORED: Final = re.compile(r"(?:^|[,\s])(?:no-store|no-cache)(?:$|[,\s;=])", re.IGNORECASE)


class Request(NamedTuple):
    """One document to be read: its address, and further headers."""

    url: str
    headers: Mapping[str, str] = {}


class Keys(NamedTuple):
    """What reading brought.

    Attributes:
        jwks: The members of the set.
        digest: Tells one set from another.
        ttl: Seconds that the answer itself gives; None where it says nothing.
        url: Where they were read.
        entity_tag: Names this version of them there, or None.
    """

    jwks: tuple[Any, ...]
    digest: bytes
    ttl: float | None
    url: str
    entity_tag: str | None


Steps: TypeAlias = Generator[Request, Response, Keys]


class KeyReader:
    """Reads the keys at one address, or at the one that an issuer's metadata name. Used by one thread at a time."""

    __slots__ = ("_issuer", "_located_at", "_location", "_loopback_http", "_same_origin", "_url")

    def __init__(self, url: str | None, issuer: str | None, *, loopback_http: bool, same_origin: bool) -> None:
        """Take checked addresses, one of the two."""
        self._url, self._issuer = url, issuer
        self._loopback_http, self._same_origin = loopback_http, same_origin
        self._location: str | None = None
        self._located_at = 0.0

    def steps(self, now: float, known: Keys | None) -> Steps:
        """Give the steps of one fetch; they raise :class:`FetchError` where no keys come out.

        Args:
            now: The time.
            known: What is at hand, so that it need not be sent again.
        """
        try:
            url = self._url or (yield from self._locate(now))
            same = None if known is None or known.url != url else known.entity_tag
            response = yield Request(url) if same is None else Request(url, {"if-none-match": same})
        except FetchError:
            self._location = None
            raise
        ttl = lifetime(response.headers.get("cache-control", ""))
        if response.status == 304:
            if known is None or same is None:
                raise FetchError("the answer is 304, which was not asked for")
            return known._replace(ttl=ttl)
        digest = hashlib.sha256(response.body).digest()
        return Keys(key_members(response.body), digest, ttl, url, response.headers.get("etag"))

    def _locate(self, now: float) -> Generator[Request, Response, str]:
        if self._location is not None and now < self._located_at + _LOCATION_SECONDS:
            return self._location
        issuer = self._issuer or ""
        first, second = locations(issuer)
        try:
            response = yield Request(first)
        except FetchError:
            response = yield Request(second)
        metadata = parse_object(response.body)
        location = key_location(
            metadata or {}, issuer, loopback_http=self._loopback_http, same_origin=self._same_origin
        )
        self._location, self._located_at = location, now
        return location


def key_members(body: bytes) -> tuple[Any, ...]:
    """Give the members of a JWK Set.

    Raises:
        FetchError: It is none, or it is empty: both are what a broken provider answers, and neither withdraws keys.
    """
    document = parse_object(body)
    members = None if document is None else document.get("keys")
    if type(members) is not list or not members:
        raise FetchError("the answer is no JWK Set with keys in it")
    return tuple(members)


def lifetime(cache_control: str) -> float | None:
    """Give the seconds that Cache-Control allows, within bounds, or None where it says nothing (RFC 9111 5.2.2).

    ::

        assert lifetime("public, max-age=900") == 900
        assert lifetime("no-store") == 60
        assert lifetime("") is None
    """
    if _NOT_STORED.search(cache_control):
        return SHORTEST_TTL
    found = _MAX_AGE.search(cache_control)
    return None if found is None else min(max(float(found[1]), SHORTEST_TTL), LONGEST_TTL)


def drive(steps: Steps, read: Callable[[Request], Response]) -> Keys:
    """Do all steps, each by `read`, in this thread."""
    try:
        request = next(steps)
        while True:
            try:
                response = _checked(read(request))
            except Exception as error:  # noqa: BLE001 -- whatever it is, this document could not be had
                request = steps.throw(_as_fetch_error(error))
            else:
                request = steps.send(response)
    except StopIteration as end:
        keys: Keys = end.value
        return keys


async def drive_async(steps: Steps, read: Callable[[Request], Awaitable[Response]]) -> Keys:
    """Do all steps, each by awaiting `read`."""
    try:
        request = next(steps)
        while True:
            try:
                response = _checked(await read(request))
            except Exception as error:  # noqa: BLE001 -- as above
                request = steps.throw(_as_fetch_error(error))
            else:
                request = steps.send(response)
    except StopIteration as end:
        keys: Keys = end.value
        return keys


def _checked(response: Response) -> Response:
    if len(response.body) > MAX_SIZE:
        raise FetchError("the answer is larger than 1 MiB")
    return response


def _as_fetch_error(error: Exception) -> FetchError:
    return error if isinstance(error, FetchError) else FetchError(f"reading failed with {type(error).__name__}")
