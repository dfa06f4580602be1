"""Revocation: tokens taken back before they expire, by their id, their subject or their session.

Facts this module rests on:

- A token is revoked by ``(iss, jti)``, never by its text: the same token can be written in more than one way (an ECDSA
  signature has two values), and another issuer may use the same ``jti``.
- "Log this user out everywhere" cannot list tokens that nobody counted. It is a time instead: whatever was issued up to
  it is revoked, and whatever does not say when it was issued.
- Whoever asks a store over the network waits for it. So answers are kept for a moment, the wait is short, and a store
  that failed is left alone for a moment. A token that cannot be checked is not taken, unless that is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal, Protocol, runtime_checkable

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware._core.waiting import time_limit
from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.errors import Reason, TokenError, Unavailable

_MOST_ANSWERS: Final = 10_000
_LEFT_ALONE: Final = 1.0  # seconds without a question to a store that has just failed
_POLICIES: Final = ("refuse", "last_answer", "accept")


@runtime_checkable
class RevocationStore(Protocol):
    """What the option ``revocation`` takes: anything with this one method.

    A store may also have ``known(token) -> bool | None``, which answers at once from memory (None for "must be asked"),
    and ``async aclose()``, called when the app shuts down.
    """

    async def is_revoked(self, token: VerifiedToken) -> bool:
        """Tell whether a token that is good otherwise was taken back."""
        ...


class Revocation:
    """How a store is asked, for the option ``revocation`` where its defaults do not fit.

    ::

        from asgi_middleware.auth import MemoryRevocationStore, Revocation, TokenVerifier

        store = MemoryRevocationStore()
        verifier = TokenVerifier(
            key="k" * 32,
            algorithms=["HS256"],
            audience="https://api.example",
            revocation=Revocation(store, cache_ttl=5, on_error="last_answer"),
        )

    Args:
        store: What is asked. Its answers are remembered by issuer, id, subject, session and time of issue, so it should
            go by nothing else of a token.
        timeout: Seconds for one question, 0.01 to 10. A quarter of a second is far more than a healthy store needs.
            After a failure the store is left alone for a second.
        cache_ttl: Seconds for which "not revoked" is believed without asking again, 0 to 60: for so long a revoked
            token may still be taken. Two seconds spare most questions of a busy client. "Revoked" is believed for a
            minute.
        on_error: What happens while the store fails: ``"refuse"`` (the default) answers 503; ``"last_answer"`` goes by
            what was last said of this very token, however old, and refuses where nothing was; ``"accept"`` takes tokens
            unchecked, so that whoever can bring the store down can use a revoked token.
        clock: Gives seconds that never go back; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    __slots__ = ("_answers", "_cache_ttl", "_clock", "_down_until", "_known", "_on_error", "_timeout", "store")

    def __init__(
        self,
        store: RevocationStore,
        *,
        timeout: float = 0.25,
        cache_ttl: float = 2,
        on_error: Literal["refuse", "last_answer", "accept"] = "refuse",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        problems = Problems("Revocation")
        if not callable(getattr(store, "is_revoked", None)):
            problems.add(
                "store",
                store,
                "has no method is_revoked",
                fix="pass a MemoryRevocationStore, a RedisRevocationStore or a class of your own with that method",
                code="not_a_store",
            )
        problems.number("timeout", timeout, minimum=0.01, maximum=10)
        problems.number("cache_ttl", cache_ttl, minimum=0, maximum=60)
        problems.one_of("on_error", on_error, _POLICIES)
        problems.callable("clock", clock)
        problems.raise_if_any()
        self.store: Final = store
        self._known: Callable[[VerifiedToken], bool | None] | None = getattr(store, "known", None)
        self._timeout, self._cache_ttl, self._on_error, self._clock = timeout, cache_ttl, on_error, clock
        self._answers: dict[tuple[Any, ...], tuple[bool, float]] = {}
        self._down_until = float("-inf")

    def __repr__(self) -> str:
        """Show the policy."""
        return f"Revocation({type(self.store).__name__}, on_error={self._on_error!r})"

    def known(self, token: VerifiedToken) -> bool | None:
        """Tell at once whether `token` is revoked; None where the store must be asked.

        Raises:
            Unavailable: The store has just failed, and the policy is to refuse.
        """
        if self._known is not None:
            try:
                answer = self._known(token)
            except Exception:  # noqa: BLE001 -- then it does not know
                answer = None
            if answer is not None:
                return answer
        kept = self._answers.get(_identity(token))
        now = self._clock()
        if kept is not None and now < kept[1]:
            return kept[0]
        if now < self._down_until:
            return self._without_answer(kept)
        return None

    async def ask(self, token: VerifiedToken) -> bool:
        """Tell whether `token` is revoked, by asking the store where that is not known.

        Raises:
            Unavailable: The store failed, and the policy is to refuse.
        """
        known = self.known(token)
        if known is not None:
            return known
        identity = _identity(token)
        answer = None
        # A store may raise anything, and its text may quote a claim: what is raised here must not have it as context.
        with suppress(Exception):
            answer = await _within(self._timeout, self.store, token)
        if answer is None:
            self._down_until = self._clock() + _LEFT_ALONE
            return self._without_answer(self._answers.get(identity))
        self._down_until = float("-inf")
        if len(self._answers) >= _MOST_ANSWERS:
            self._answers.clear()
        self._answers[identity] = (answer, self._clock() + (60 if answer else self._cache_ttl))
        return answer

    async def check(self, token: VerifiedToken) -> None:
        """Raise where `token` is revoked.

        Raises:
            TokenError: It is.
            Unavailable: That cannot be said now.
        """
        if await self.ask(token):
            raise TokenError(Reason.REVOKED)

    def _without_answer(self, kept: tuple[bool, float] | None) -> bool:
        if kept is not None and (kept[0] or self._on_error == "last_answer"):
            return kept[0]
        if self._on_error == "accept":
            return False
        raise Unavailable("revocation_unavailable", _LEFT_ALONE)


def as_revocation(given: object, problems: Problems) -> Revocation | None:
    """Read the option `revocation`: a :class:`Revocation`, a store, or None."""
    if given is None or isinstance(given, Revocation):
        return given
    try:
        return Revocation(given)  # type: ignore[arg-type]
    except ConfigurationError as error:
        for problem in error.problems:
            problems.add("revocation", problem.value, problem.message, fix=problem.fix, code=problem.code)
        return None


def _identity(token: VerifiedToken) -> tuple[Any, ...]:
    return (token.issuer, token.token_id, token.subject, token.session_id, token.issued_at)


async def _within(seconds: float, store: RevocationStore, token: VerifiedToken) -> bool:
    async with time_limit(seconds):
        answer: object = await store.is_revoked(token)
    if answer is not True and answer is not False:
        raise TypeError("a store says True or False")
    return answer


class MemoryRevocationStore:
    """Revocations in this process's memory: for one process, and for tests. A restart forgets them.

    ::

        from asgi_middleware.auth import MemoryRevocationStore

        store = MemoryRevocationStore()
        store.revoke_subject("https://idp.example", "alice")  # everything that alice holds by now

    Args:
        retention: Seconds for which a revocation is kept where no end is known, 60 to 31622400 (366 days); 30 days by
            default. It must be at least the longest lifetime of a token: a token that outlives it is good again.
        clock: Gives the current time in seconds since 1970; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    __slots__ = ("_clock", "_entries", "_retention", "_sweep_at")

    def __init__(self, *, retention: float = 2_592_000, clock: Callable[[], float] = time.time) -> None:
        problems = Problems("MemoryRevocationStore")
        check_retention(retention, problems)
        problems.callable("clock", clock)
        problems.raise_if_any()
        self._retention, self._clock = retention, clock
        self._entries: dict[tuple[str, str, str], tuple[float, float]] = {}  # what -> (revoked up to, kept until)
        self._sweep_at = 1024

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<MemoryRevocationStore of {len(self._entries)}>"

    def revoke(self, token: VerifiedToken) -> None:
        """Revoke this one token, by its ``jti``, until it expires.

        Raises:
            ValueError: The token has no ``jti``.
        """
        if token.token_id is None:
            raise ValueError("a token without jti is revoked by its subject or session")
        self._put("jti", token.issuer, token.token_id, float("inf"), token.expires_at + 300)

    def revoke_id(self, issuer: str | None, token_id: str) -> None:
        """Revoke the token with this ``jti``."""
        self._put("jti", issuer, token_id, float("inf"))

    def revoke_subject(self, issuer: str | None, subject: str, *, before: float | None = None) -> None:
        """Revoke all tokens of a subject that were issued up to now, or up to the time `before`."""
        self._put("sub", issuer, subject, self._clock() if before is None else before)

    def revoke_session(self, issuer: str | None, session_id: str) -> None:
        """Revoke all tokens of a session, by their ``sid`` (OpenID Connect Back-Channel Logout 2.4)."""
        self._put("sid", issuer, session_id, float("inf"))

    def known(self, token: VerifiedToken) -> bool:
        """Tell whether `token` is revoked."""
        return bool(self._entries) and any(
            self._holds(kind, token.issuer, name, token.issued_at) for kind, name in names_of(token)
        )

    async def is_revoked(self, token: VerifiedToken) -> bool:
        """Tell whether `token` is revoked."""
        return self.known(token)

    def _holds(self, kind: str, issuer: str | None, name: str, issued_at: float | None) -> bool:
        found = self._entries.get((kind, issuer or "", name))
        return found is not None and self._clock() < found[1] and is_up_to(issued_at, found[0])

    def _put(self, kind: str, issuer: str | None, name: str, up_to: float, until: float | None = None) -> None:
        now = self._clock()
        key = (kind, issuer or "", name)
        before = self._entries.get(key, (0.0, 0.0))
        kept_until = max(before[1], now + self._retention if until is None else until)
        self._entries[key] = (max(before[0], up_to), kept_until)
        if len(self._entries) >= self._sweep_at:
            for name_of, entry in tuple(self._entries.items()):
                if entry[1] <= now:
                    self._entries.pop(name_of, None)
            self._sweep_at = max(1024, 2 * len(self._entries))


def names_of(token: VerifiedToken) -> tuple[tuple[str, str], ...]:
    """Give what `token` can be revoked by, as (kind, name)."""
    named = (("jti", token.token_id), ("sub", token.subject), ("sid", token.session_id))
    return tuple((kind, name) for kind, name in named if name is not None)


def is_up_to(issued_at: float | None, time_of: float) -> bool:
    """Tell whether a token was issued up to a time. ``iat`` counts whole seconds: the second itself is "up to"."""
    return issued_at is None or int(issued_at) <= time_of


def check_retention(retention: object, problems: Problems) -> None:
    """Check the option that both stores have."""
    problems.number("retention", retention, minimum=60, maximum=31_622_400)
