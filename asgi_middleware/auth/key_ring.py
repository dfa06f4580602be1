"""KeyRing: which prepared keys a token's header may mean (RFC 7515 4.1.4, RFC 7517 4 and 5, RFC 8725 3.1).

Facts this module rests on:

- ``kid`` is a hint that the sender chose. Here it is compared with the ids of keys that are known already, and used for
  nothing else.
- A JWK that names its ``alg`` is good for that one. One that does not is good for the one allowed algorithm that fits
  its type; where several fit, the token would choose between them, so the key is left out.
- Ids should be unique within a set but need not be (RFC 7517 4.5): equal ids are tried one after the other, three at
  most, so that a set cannot multiply the work of a forged token.
- Without ``kid`` a token means a key only where there is no choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from jwt import PyJWK

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.keys import VerificationKey, prepare_keys

LONGEST_KEY_ID: Final = 128
MOST_TRIED: Final = 3
_MOST_KEYS: Final = 100
_REMEMBERED_HEADERS: Final = 64
_ONE_ALGORITHM: Final = {"EdDSA", "Ed25519"}  # two names of one (RFC 9864)


class SignedHeader(NamedTuple):
    """A header that a good signature was found over, and the key that made it good."""

    key: VerificationKey
    members: Mapping[str, Any]


class KeyRing:
    """The keys of one issuer, by algorithm and id; filled once, then only read.

    Attributes:
        headers: Headers by their segment, each remembered after a signature over it was good. They live as long as the
            keys do: a rotation makes a new ring.
    """

    __slots__ = ("_all", "_by_id", "_open", "headers")

    def __init__(self) -> None:
        """Make an empty one."""
        self._by_id: dict[tuple[str, str], list[VerificationKey]] = {}
        self._open: dict[str, list[VerificationKey]] = {}
        self._all: dict[str, list[VerificationKey]] = {}
        self.headers: dict[bytes, SignedHeader] = {}

    def __len__(self) -> int:
        """Count the keys, each once for every algorithm."""
        return sum(map(len, self._all.values()))

    def __repr__(self) -> str:
        """Show how many keys there are."""
        return f"<KeyRing of {len(self)}>"

    def add(self, keys: Mapping[str, VerificationKey], key_id: str | None, *, any_id: bool = False) -> None:
        """Add one key for each of its algorithms.

        Args:
            keys: The prepared key by algorithm.
            key_id: Its id, or None.
            any_id: Whether a key without id serves tokens that carry one.
        """
        for name, key in keys.items():
            self._all.setdefault(name, []).append(key)
            if key_id is not None:
                self._by_id.setdefault((name, key_id), []).append(key)
            elif any_id:
                self._open.setdefault(name, []).append(key)

    def find(self, algorithm: str, key_id: str | None) -> list[VerificationKey]:
        """Give the keys that a header may mean, at most three."""
        found = () if key_id is None else self._by_id.get((algorithm, key_id), ())
        if not found:
            found = self._open.get(algorithm, ())
        if not found and key_id is None:
            found = self._all.get(algorithm, ())
            if len(found) != 1:
                return []
        return list(found[:MOST_TRIED])

    def remember(self, segment: bytes, header: SignedHeader) -> None:
        """Keep a header that was signed."""
        # An issuer that writes something new into every header empties this each time; that costs speed, not memory.
        if len(self.headers) >= _REMEMBERED_HEADERS:
            self.headers.clear()
        self.headers[segment] = header


def ring_of_one(key: object, algorithms: tuple[str, ...], problems: Problems) -> KeyRing:
    """Make the ring of the option ``key``: it serves every ``kid``, since there is no other."""
    ring = KeyRing()
    ring.add(prepare_keys(key, algorithms, problems), None, any_id=True)
    return ring


def ring_of_set(jwks: Iterable[object], algorithms: tuple[str, ...]) -> KeyRing:
    """Make the ring of a JWK Set. What is not usable is left out, as RFC 7517 5 asks, and the rest stays usable."""
    ring = KeyRing()
    for number, jwk in enumerate(jwks):
        if number >= _MOST_KEYS:
            break
        if isinstance(jwk, Mapping):
            key_id = jwk.get("kid")
            if key_id is None or (isinstance(key_id, str) and len(key_id) <= LONGEST_KEY_ID):
                ring.add(_usable(jwk, algorithms), key_id)
    return ring


def ring_of_many(keys: object, algorithms: tuple[str, ...], problems: Problems) -> KeyRing:
    """Make the ring of the option ``keys``: a JWK Set, keys by id, or a list of keys, all of them needed."""
    ring = KeyRing()
    if isinstance(keys, Mapping) and isinstance(keys.get("keys"), list | tuple):
        ring = ring_of_set(keys["keys"], algorithms)
        if algorithms and not len(ring):
            _refuse(problems, "holds no key that is usable with the algorithms", "check kty, use and alg of its keys")
        return ring
    if isinstance(keys, Mapping):
        listed = list(keys.items())
    elif isinstance(keys, Iterable) and not isinstance(keys, str | bytes):
        listed = [(_own_id(key), key) for key in keys]
    else:
        listed = []
    if not listed:
        fix = 'pass a JWK Set, a dict such as {"2026-01": key}, a list of keys, or a KeySet'
        _refuse(problems, "is not a set of keys", fix)
    for key_id, key in listed:
        if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= LONGEST_KEY_ID):
            _refuse(problems, "has an id that is not a text of at most 128 characters", "shorten the id")
        else:
            ring.add(_each(key, algorithms, problems), key_id, any_id=True)
    if sum(key_id is None for key_id, _ in listed) > MOST_TRIED:
        _refuse(
            problems,
            f"holds more than {MOST_TRIED} keys without id, which a forged token would all be tried with",
            "give the keys ids: a dict by kid, or JWKs with kid",
        )
    return ring


def _each(key: object, algorithms: tuple[str, ...], problems: Problems) -> dict[str, VerificationKey]:
    """Prepare one of several keys for the algorithms that it fits; it must fit one."""
    if isinstance(key, Mapping):
        found = _usable(key, algorithms)
        if found or not algorithms:
            return found
    prepared: dict[str, VerificationKey] = {}
    wrong: list[Problems] = []
    for name in algorithms:
        own = Problems("keys")
        prepared.update(prepare_keys(key, (name,), own))
        if own:
            wrong.append(own)
    if not prepared or isinstance(key, Mapping):
        for own in wrong[:1]:
            for problem in own.found():
                problems.add("keys", problem.value, problem.message, fix=problem.fix, code=problem.code)
        if isinstance(key, Mapping) and not wrong:
            message = "has a JWK without alg that fits several of the algorithms"
            _refuse(problems, message, "add alg to the JWK", "key_algorithm")
        return {}
    return prepared


def _usable(jwk: Mapping[Any, Any], algorithms: tuple[str, ...]) -> dict[str, VerificationKey]:
    """Prepare a JWK of a set for what it is good for; nothing where that is not clear."""
    fitting = prepare_keys(jwk, algorithms, Problems("JWK"))
    if len(fitting) > 1 and "alg" not in jwk and not fitting.keys() <= _ONE_ALGORITHM:
        return {}
    return fitting


def _own_id(key: object) -> Any:
    if isinstance(key, Mapping):
        return key.get("kid")
    return key.key_id if isinstance(key, PyJWK) else None


def _refuse(problems: Problems, message: str, fix: str, code: str = "keys_not_usable") -> None:
    problems.add("keys", "<keys>", message, fix=fix, code=code)
