"""Issuer: whose tokens are taken, and the keys that are good for this issuer's tokens and no other's (RFC 8725 3.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.claim_rules import names as names_of
from asgi_middleware.auth.claims import UNSET, Unset
from asgi_middleware.auth.errors import Reason, TokenError
from asgi_middleware.auth.key_reader import Keys
from asgi_middleware.auth.key_ring import KeyRing, ring_of_many, ring_of_one, ring_of_set
from asgi_middleware.auth.key_set import KeySet
from asgi_middleware.auth.keys import SYMMETRIC, VerificationKey, check_algorithms


class Issuer:
    """One of several issuers, for the option ``issuers`` of ``TokenVerifier``.

    Its keys verify its own tokens only: a token that names issuer A and is signed by issuer B is refused.

    ::

        from asgi_middleware.auth import Issuer, KeySet, TokenVerifier

        verifier = TokenVerifier(
            issuers=[
                Issuer("https://login.example", keys=KeySet(discover="https://login.example")),
                Issuer("https://jobs.example", key="k" * 32, algorithms=["HS256"]),
            ],
            algorithms=["RS256"],
            audience="https://api.example",
        )

    Args:
        issuer: The exact ``iss`` of its tokens, or, for a provider whose issuer differs by tenant, a function that gets
            the ``iss`` and gives True for those that are its own. The function is asked before the signature is known
            to be good, so it must only compare; what tenants are let in may depend on other claims, by a validator.
        key: As for ``TokenVerifier``.
        keys: As for ``TokenVerifier``.
        algorithms: What it signs with; the verifier's where left out.
        audience: What its tokens call this service; the verifier's where left out.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    __slots__ = ("_algorithms", "_key", "_keys", "audience", "issuer", "matches")

    def __init__(
        self,
        issuer: str | Callable[[str], bool],
        *,
        key: Any = None,
        keys: Any = None,
        algorithms: Iterable[str] | None = None,
        audience: str | Iterable[str] | Unset | None = UNSET,
    ) -> None:
        problems = Problems("Issuer")
        if not (callable(issuer) or (isinstance(issuer, str) and issuer)):
            problems.add(
                "issuer", issuer, "is neither a name nor a function", fix="write the tokens' iss", code="issuer_empty"
            )
        names = () if algorithms is None else check_algorithms(algorithms, problems)
        if algorithms is not None:
            _ = source_of(key, keys, names, problems)
        if audience is not UNSET:
            names_of("audience", audience, problems)
        problems.raise_if_any()
        self.issuer: Final = issuer if isinstance(issuer, str) else None
        self.matches: Final = None if isinstance(issuer, str) else issuer
        self.audience: Final = audience
        self._key, self._keys = key, keys
        self._algorithms = None if algorithms is None else names

    def __repr__(self) -> str:
        """Show the issuer, never its keys."""
        return f"Issuer({self.issuer or self.matches!r})"

    @property
    def names_algorithms(self) -> bool:
        """Whether it has algorithms of its own."""
        return self._algorithms is not None

    def source(self, algorithms: tuple[str, ...], problems: Problems) -> StaticKeys | RemoteKeys:
        """Give where its keys come from; `algorithms` are the verifier's."""
        own = Problems("Issuer")
        names = algorithms if self._algorithms is None else self._algorithms
        source = source_of(self._key, self._keys, names, own)
        for problem in own.found():
            problems.add(
                f"issuers: {problem.option}", problem.value, problem.message, fix=problem.fix, code=problem.code
            )
        return source


class StaticKeys:
    """Keys that were given at construction.

    Attributes:
        ring: The keys.
    """

    __slots__ = ("_algorithms", "ring")

    def __init__(self, ring: KeyRing, algorithms: tuple[str, ...]) -> None:
        """Take the ring, and the algorithms that it was made for."""
        self.ring = ring
        self._algorithms = algorithms

    def usable_for(self, seconds: float) -> float:
        """Give for how many of `seconds` the keys may be used."""
        return seconds

    def find(self, ring: KeyRing, algorithm: str, key_id: str | None) -> list[VerificationKey]:
        """Give the keys that a header may mean.

        Raises:
            TokenError: There are none.
        """
        found = ring.find(algorithm, key_id)
        if not found:
            raise TokenError(Reason.KEY if algorithm in self._algorithms else Reason.ALGORITHM)
        return found


class RemoteKeys:
    """Keys of a :class:`KeySet`, prepared for one verifier's algorithms."""

    __slots__ = ("_algorithms", "_made", "key_set")

    def __init__(self, key_set: KeySet, algorithms: tuple[str, ...]) -> None:
        """Take the key set; nothing is fetched yet."""
        self.key_set = key_set
        self._algorithms = algorithms
        self._made: tuple[Keys, KeyRing] | None = None

    @property
    def ring(self) -> KeyRing | None:
        """The keys, the same object as long as they are the same; None where a fetch must be waited for.

        Raises:
            Unavailable: No keys can be had now.
        """
        keys = self.key_set.current()
        if keys is None:
            return None
        made = self._made
        if made is None or made[0] is not keys:
            made = self._made = (keys, ring_of_set(keys.jwks, self._algorithms))
        return made[1]

    def usable_for(self, seconds: float) -> float:
        """Give for how many of `seconds` the keys may be used."""
        return min(seconds, self.key_set.usable_for())

    def find(self, ring: KeyRing, algorithm: str, key_id: str | None) -> list[VerificationKey] | None:
        """Give the keys that a header may mean, None where a fetch may bring one.

        Raises:
            TokenError: There are none, and a fetch would not change that.
            Unavailable: There are none, and no fetch succeeds at the moment.
        """
        if algorithm not in self._algorithms:
            raise TokenError(Reason.ALGORITHM)
        found = ring.find(algorithm, key_id)
        if found:
            return found
        if key_id is not None:
            if self.key_set.may_look_for(key_id):
                return None
            self.key_set.raise_if_failing()
        raise TokenError(Reason.KEY)


def source_of(key: object, keys: object, algorithms: tuple[str, ...], problems: Problems) -> StaticKeys | RemoteKeys:
    """Give where keys come from, by the options ``key`` and ``keys``, of which there is one."""
    if key is not None and keys is not None:
        problems.add(
            "keys", "<keys>", "is given beside key", fix="put the key into keys, or leave one out", code="key_and_keys"
        )
    if isinstance(keys, KeySet):
        if not SYMMETRIC.isdisjoint(algorithms):
            problems.add(
                "keys",
                keys,
                "publishes keys, and an HMAC secret must not be published",
                fix="name what the issuer signs with, for example RS256",
                code="public_secret",
            )
        return RemoteKeys(keys, algorithms)
    if keys is not None:
        return StaticKeys(ring_of_many(keys, algorithms, problems), algorithms)
    return StaticKeys(ring_of_one(key, algorithms, problems), algorithms)


def check_issuers(given: object, problems: Problems) -> tuple[Issuer, ...]:
    """Give the issuers, checked: each of the right type, and no name twice."""
    if isinstance(given, Issuer | Mapping) or not isinstance(given, Iterable):
        problems.add("issuers", given, "is not a list of Issuer", fix="write issuers=[Issuer(...)]", code="not_a_list")
        return ()
    issuers = tuple(given)
    seen: set[str] = set()
    for issuer in issuers:
        if not isinstance(issuer, Issuer):
            problems.add("issuers", issuer, "is not an Issuer", fix="write Issuer(...)", code="not_an_issuer")
        elif issuer.issuer is not None:
            if issuer.issuer in seen:
                problems.add(
                    "issuers", issuer, "is named twice", fix="name it once, with all keys", code="issuer_twice"
                )
            seen.add(issuer.issuer)
    return tuple(issuer for issuer in issuers if isinstance(issuer, Issuer))
