"""TokenVerifier: whether this is a token of ours, now (RFC 7515, RFC 7519, RFC 8725).

Facts this module rests on:

- Signing algorithms and keys come from PyJWT's public ``Algorithm`` objects. What surrounds them (splitting, base64url,
  JSON, claims) is done here: strictly, and once per key instead of once per token where it is constant.
- Nothing is believed before the signature holds. The header is read for one thing only, to find the key among those
  that are known; ``jku``, ``x5u``, ``jwk`` and ``x5c`` are never followed (RFC 8725 3.10). With several issuers the
  claims are read before, for ``iss`` alone, since it says whose keys may be tried.
- A header is remembered only after a signature over it was good. So the memory cannot be filled or flushed by
  strangers.
- What can be said at once is said without ``await``: only missing keys and an unknown revocation are worth waiting for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple, cast

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.claim_rules import ClaimRules
from asgi_middleware.auth.claims import UNSET, Unset, VerifiedToken
from asgi_middleware.auth.compact import HeaderRules, as_bytes, check_parts, first_good, read_claims, why
from asgi_middleware.auth.errors import Reason, TokenError, Unavailable
from asgi_middleware.auth.issuers import Issuer, RemoteKeys, check_issuers, source_of
from asgi_middleware.auth.key_set import KeySet
from asgi_middleware.auth.keys import check_algorithms
from asgi_middleware.auth.revocation import Revocation, RevocationStore, as_revocation
from asgi_middleware.auth.token_cache import TokenCache
from asgi_middleware.auth.trust import Trust, Trusted

DEFAULT_LEEWAY: Final = 30
DEFAULT_MAX_TOKEN_SIZE: Final = 8192
_MOST_WAITS: Final = 3
# Tokens are remembered as they stand in most requests, so that a known one need not be taken out of its header.
_SCHEME: Final = b"Bearer "


class _Missing(NamedTuple):
    """What must be fetched first: a key set, or one key of it."""

    key_set: KeySet
    key_id: str | None


class TokenVerifier:
    """Verifies JSON Web Tokens, strictly and fast. Needs no ASGI.

    It is stricter than most: a token without ``exp`` is refused, and so are text where a date must be a number, equal
    member names, padding, an unknown ``typ`` and every ``crit``. See ``docs/auth.md`` for the list.

    Safe to share between threads and event loops::

        from asgi_middleware.auth import TokenError, TokenVerifier

        verifier = TokenVerifier(key=b"k" * 32, algorithms=["HS256"], audience="https://api.example")
        try:
            token = verifier.verify(b"not.a.token")
        except TokenError as error:
            assert error.reason == "token_malformed"

    Args:
        key: What tokens are verified with: an HMAC secret (bytes or str), a public key as PEM or OpenSSH text, a public
            key object of `cryptography`, a JWK as a dict, or a ``jwt.PyJWK``.
        keys: Several of them instead: a JWK Set, a dict of keys by ``kid``, a list of keys (tried in turn where they
            have no id, three at most), or a :class:`KeySet` that fetches them.
        issuers: Several issuers instead, each with its own keys; see :class:`Issuer`.
        algorithms: The names that the issuer signs with, one family, no default (RFC 8725 3.1): HS256, HS384, HS512,
            RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519.
        audience: This service's name or names; the token must be meant for one of them. None says that this service has
            none: then a token that carries ``aud`` is refused, because it was made for someone else (RFC 7519 4.1.3).
        issuer: The expected ``iss``, or several; None (the default) accepts any, since the key already names the
            issuer. With ``KeySet(discover=...)`` the default is that issuer.
        leeway: Seconds of clock difference allowed for ``exp``, ``nbf`` and ``iat``, 0 to 300. 30 covers clocks that
            are kept by NTP and gives an attacker half a minute.
        require: Claims that must be there beside ``exp``, which always must.
        types: Accepted ``typ`` header values, compared without regard to case and to a leading ``application/``. A
            token without ``typ`` is accepted. Keeps other kinds of JWT out, such as DPoP proofs (RFC 8725 3.11).
        profile: ``"rfc9068"`` takes access tokens of that profile only: ``typ`` must be ``at+jwt``, and ``iss``,
            ``aud``, ``sub``, ``client_id``, ``iat`` and ``jti`` must be there. It keeps ID tokens out.
        max_age: Seconds after ``iat`` at which a token is too old, whatever its ``exp`` says; None for no such limit.
        max_lifetime: Seconds that may lie between ``iat`` and ``exp``; None for no such limit.
        max_token_size: Bytes, 256 to 1048576. Longer tokens are refused before anything is decoded. 8192 is what
            servers take for a whole header line.
        validators: Functions that get the claims of a token that is good otherwise and return True, or the token is
            refused. Their answer is remembered with the token, so it must depend on the claims alone.
        revocation: A :class:`RevocationStore` that is asked about each token, or a :class:`Revocation` that says how.
        cache_size: The most verified tokens to remember, 0 to 1000000; 0 verifies each token each time.
        cache_ttl: The most seconds to remember one, 1 to 3600; its dates and its keys end it before.
        clock: Gives the current time in seconds since 1970; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    __slots__ = (
        "_cache",
        "_clock",
        "_headers",
        "_leeway",
        "_max_token_size",
        "_only",
        "_revocation",
        "_trust",
    )

    def __init__(
        self,
        *,
        key: Any = None,
        keys: Any = None,
        issuers: Iterable[Issuer] = (),
        algorithms: Iterable[str] | None = None,
        audience: str | Iterable[str] | Unset | None = UNSET,
        issuer: str | Iterable[str] | None = None,
        leeway: float = DEFAULT_LEEWAY,
        require: Iterable[str] = (),
        types: Iterable[str] = ("JWT", "at+jwt"),
        profile: Literal["rfc9068"] | None = None,
        max_age: float | None = None,
        max_lifetime: float | None = None,
        max_token_size: int = DEFAULT_MAX_TOKEN_SIZE,
        validators: Iterable[Callable[[Mapping[str, Any]], object]] = (),
        revocation: RevocationStore | Revocation | None = None,
        cache_size: int = 1024,
        cache_ttl: float = 60,
        clock: Callable[[], float] = time.time,
    ) -> None:
        problems = Problems("TokenVerifier")
        problems.one_of("profile", profile, ("rfc9068", None))
        listed = check_issuers(issuers, problems)
        if listed and (key is not None or keys is not None or issuer is not None):
            problems.add(
                "issuers",
                listed,
                "is given beside key, keys or issuer",
                fix="put those into an Issuer",
                code="issuers_and_key",
            )
        names: tuple[str, ...] = ()
        if algorithms is not None or not listed or not all(each.names_algorithms for each in listed):
            names = check_algorithms(algorithms, problems)
        if listed and audience is UNSET:
            audience = next((each.audience for each in listed if each.audience is UNSET), listed[0].audience)
        if issuer is None and isinstance(keys, KeySet):
            issuer = keys.issuer
        rules = ClaimRules(
            audience=audience,
            issuer=issuer,
            leeway=leeway,
            require=require,
            access_token=profile == "rfc9068",
            max_age=max_age,
            max_lifetime=max_lifetime,
            validators=validators,
            problems=problems,
        )
        only = None if listed else Trusted(source_of(key, keys, names, problems), rules)
        several = [
            (each, Trusted(each.source(names, problems), rules.of(each.issuer, each.audience))) for each in listed
        ]
        self._trust = Trust(only, several)
        self._only = only
        self._headers = HeaderRules(types, access_token=profile == "rfc9068", problems=problems)
        problems.integer("max_token_size", max_token_size, minimum=256, maximum=1024 * 1024)
        self._revocation = as_revocation(revocation, problems)
        problems.integer("cache_size", cache_size, minimum=0, maximum=1_000_000)
        problems.number("cache_ttl", cache_ttl, minimum=1, maximum=3600)
        problems.callable("clock", clock)
        problems.raise_if_any()
        self._max_token_size = max_token_size
        self._cache = TokenCache(cache_size, cache_ttl) if cache_size else None
        self._leeway = leeway
        self._clock = clock

    def __repr__(self) -> str:
        """Show how many issuers there are, never a key."""
        return f"<TokenVerifier for {len(self._trust.all())} issuer(s)>"

    @property
    def max_token_size(self) -> int:
        """The length in bytes above which tokens are refused unread."""
        return self._max_token_size

    @property
    def leeway(self) -> float:
        """The seconds of clock difference that are allowed."""
        return self._leeway

    @property
    def clock(self) -> Callable[[], float]:
        """What gives the current time, in seconds since 1970."""
        return self._clock

    @property
    def rechecks(self) -> bool:
        """Whether :meth:`recheck` can ever refuse: whether there is a revocation store."""
        return self._revocation is not None

    @property
    def remote(self) -> bool:
        """Whether there is anything to warm up and to close: remote keys, or a revocation store."""
        return self._revocation is not None or bool(self._trust.key_sets())

    def valid_until(self, token: VerifiedToken) -> float:
        """Give the moment from which on a verified token is refused for its dates, in seconds since 1970."""
        return self._trust.all()[0].rules.window(token.claims)[1]

    def verify(self, token: bytes | str) -> VerifiedToken:
        """Give the verified token, without waiting for anything.

        With remote keys or a revocation store over the network, use :meth:`verify_async`; a program without an event
        loop calls ``KeySet.load()`` first.

        Args:
            token: The compact serialization, as it came.

        Raises:
            TokenError: The token is refused, with one of the :class:`Reason` words.
            Unavailable: Keys or the revocation store would have to be waited for. No other exception is raised for any
                input.
        """
        found = self._look(token)
        if type(found) is not VerifiedToken:
            raise Unavailable("keys_unavailable")
        checked = self._unless_revoked(found)
        if checked is None:
            raise Unavailable("revocation_unavailable")
        return checked

    def verify_now(self, token: bytes | str) -> VerifiedToken | None:
        """Give the verified token, or None where :meth:`verify_async` must be awaited instead.

        Raises:
            TokenError: The token is refused.
            Unavailable: Nothing can be said of it now, and waiting would not help.
        """
        found = self._look(token)
        return None if type(found) is _Missing else self._unless_revoked(cast("VerifiedToken", found))

    def recall(self, credentials: bytes) -> VerifiedToken | None:
        """Give the token of an Authorization header that was verified a moment ago and is good now.

        None says nothing of it: then it is to be verified. So it need not be read before, but its size is to be known.

        Raises:
            Unavailable: Nothing can be said of it now, and waiting would not help.
        """
        cache = self._cache
        if cache is not None:
            entry = cache.get(sha256(credentials).digest())
            if entry is not None:
                found, since, until, source, ring = entry
                if since <= self._clock() < until and source.ring is ring:
                    revocation = self._revocation
                    if revocation is None or revocation.known(found) is False:
                        return found
        return None

    async def verify_async(self, token: bytes | str) -> VerifiedToken:
        """Give the verified token; waits for keys and for the revocation store where that is needed.

        Raises:
            TokenError: The token is refused.
            Unavailable: No keys can be had, or the store does not answer.
        """
        for _ in range(_MOST_WAITS):
            found = self._look(token)
            if type(found) is VerifiedToken:
                await self.recheck(found)
                return found
            if type(found) is _Missing:
                if found.key_id is None:
                    await found.key_set.refresh()
                else:
                    await found.key_set.look_for(found.key_id)
        raise Unavailable("keys_unavailable")

    async def recheck(self, token: VerifiedToken) -> None:
        """Ask again whether a token that was good has been revoked since. Its expiry is not looked at.

        Raises:
            TokenError: It was revoked.
            Unavailable: That cannot be said now.
        """
        if self._revocation is not None:
            await self._revocation.check(token)

    async def warm_up(self) -> None:
        """Fetch the keys that are remote, so that the first request need not wait. Raises nothing."""
        key_sets = self._trust.key_sets()
        for key_set in key_sets:
            key_set.start()  # all at once, then wait for each
        for key_set in key_sets:
            await key_set.refresh()

    async def aclose(self) -> None:
        """Close the revocation store's connections. Raises nothing."""
        close = None if self._revocation is None else getattr(self._revocation.store, "aclose", None)
        if close is not None:
            with suppress(Exception):
                await close()

    def _look(self, token: bytes | str) -> VerifiedToken | _Missing:
        """Give the verified token by memory or by its signature, or say which keys are missing."""
        if type(token) is not bytes:
            token = as_bytes(token)
        if len(token) > self._max_token_size:
            raise TokenError(Reason.TOO_LARGE)
        now = self._clock()
        if self._cache is None:
            return self._verify(token, now, None)
        digest = sha256(_SCHEME + token).digest()
        entry = self._cache.get(digest)
        if entry is not None:
            found, since, until, source, ring = entry
            if since <= now < until and source.ring is ring:
                return found
        return self._verify(token, now, digest)

    def _unless_revoked(self, token: VerifiedToken) -> VerifiedToken | None:
        """Give the token, None where the store must be asked about it."""
        if self._revocation is None:
            return token
        revoked = self._revocation.known(token)
        if revoked:
            raise TokenError(Reason.REVOKED)
        return None if revoked is None else token

    def _verify(self, token: bytes, now: float, digest: bytes | None) -> VerifiedToken | _Missing:
        signed, _, signature = token.rpartition(b".")
        head, _, body = signed.partition(b".")
        trusted = self._only
        claims = None
        if trusted is None:
            check_parts(token)
            claims = read_claims(body)
            trusted = self._trust.named_by(claims)
        source, rules = trusted
        ring = source.ring
        if ring is None:
            return _Missing(cast("RemoteKeys", source).key_set, None)  # static keys are never missing
        header = ring.headers.get(head)
        if header is None:
            check_parts(token)
            members = self._headers.read(head)
            keys = source.find(ring, members["alg"], members.get("kid"))
            if keys is None:
                return _Missing(cast("RemoteKeys", source).key_set, members["kid"])
            header = first_good(keys, members, signed, signature)
            ring.remember(head, header)
        elif b"." in body or not header.key.check(signed, signature):
            check_parts(token)
            raise TokenError(why(signature))
        if claims is None:
            claims = read_claims(body)
        reason = rules.check(claims, now)
        if reason is not None:
            raise TokenError(reason)
        verified = VerifiedToken(claims, header.members)
        if digest is not None and self._cache is not None:
            since, until = rules.window(claims)
            until = min(until, now + source.usable_for(self._cache.ttl))
            self._cache.keep(digest, (verified, since, until, source, ring))
        return verified
