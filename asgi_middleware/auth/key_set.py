"""KeySet: an issuer's public keys, read from its address and kept fresh (RFC 7517 5).

Facts this module rests on:

- Whoever sends tokens can write any ``kid``. Unknown ones may cause one fetch in `cooldown` seconds for all clients
  together, beside the fetches that are due anyway; and an id that such a fetch did not bring is not looked for again
  for a while. What a fetch brought that began before the token came says nothing of its id.
- A provider that is down must not take the service down: keys that were good stay in use for `stale` seconds beyond
  their time, and no longer, since a key may have been withdrawn for a reason.
- An answer that holds no keys (an error page, an empty set, half a document) is a failure and replaces nothing. One
  that does replaces all: a key that is gone from it verifies nothing from then on.
- A fetch belongs to nobody: it runs in a thread of its own, so that several event loops share it, and no request that
  is cancelled takes it along.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakSet

from asgi_middleware._core.config import Problems
from asgi_middleware._core.waiting import time_limit
from asgi_middleware.auth.errors import Unavailable
from asgi_middleware.auth.fetching import FetchError, Get, Response, as_response, check_address, choose
from asgi_middleware.auth.flight import Flight
from asgi_middleware.auth.key_reader import (
    LONGEST_TTL,
    SHORTEST_TTL,
    KeyReader,
    Keys,
    Request,
    drive,
    drive_async,
)

Fetch: TypeAlias = Callable[[str], Any]
"""A user's own way to read a document: address -> its bytes (or the parsed object), or an awaitable of that."""

_AHEAD: Final = 0.8  # of the time to live: then a refresh begins, while requests go on with the keys at hand
_FIRST_BACKOFF: Final = 2.0
_LONGEST_BACKOFF: Final = 60.0
_ABSENT_SECONDS: Final = 300.0
_MOST_ABSENT: Final = 256
_log: Final = logging.getLogger(__name__)
_key_sets: WeakSet[KeySet] = WeakSet()


class _State(NamedTuple):
    keys: Keys  # the same object for as long as the provider publishes the same
    refresh_at: float
    usable_until: float


class KeySet:
    """An issuer's public keys behind an address, for the option ``keys`` of ``TokenVerifier`` and of ``Issuer``.

    Keys are fetched when the app starts (or when the first token comes), again in the background before their time is
    over, and when a token names a key that is not known. Any number of requests share one fetch. Requests are answered
    with 503 where no key can be had, never with 401.

    ::

        from asgi_middleware.auth import KeySet, TokenVerifier

        keys = KeySet(discover="https://idp.example")  # or KeySet("https://idp.example/jwks.json")
        verifier = TokenVerifier(keys=keys, algorithms=["RS256"], audience="https://api.example")

    May be shared by verifiers, threads and event loops, on asyncio and trio, and goes on working after a fork.

    Args:
        url: The address of a JWK Set; this or `discover` is needed. https only, save for `loopback_http`.
        discover: Instead of `url`: the issuer, whose metadata name the address (OpenID Connect Discovery or RFC 8414).
            It is also the ``iss`` that tokens must have, unless the verifier names one.
        ttl: Seconds for which keys are fresh where the answer has no ``Cache-Control: max-age``, 60 to 86400. An
            answer's own max-age is held to the same bounds.
        stale: Seconds for which keys may be used beyond that while no new ones can be had, 0 to 604800. An hour
            outlasts most outages, and bounds for how long a withdrawn key is believed.
        cooldown: Seconds between two fetches for unknown key ids, 1 to 3600. Other fetches do not count: a key that is
            new a moment after start-up is found at once.
        timeout: Seconds for one fetch, all steps together, 0.1 to 60.
        same_origin: With `discover`, take keys from the issuer's own origin only.
        loopback_http: Allow plain http to this machine, for tests and local providers.
        fetch: A function of your own that reads an address, in place of httpx or the standard library: it gets the
            address and gives bytes or the parsed object, or an awaitable of that. A plain function is called in a
            thread. It has to follow no redirects.
        clock: Gives seconds that never go back; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        discover: str | None = None,
        ttl: float = 600,
        stale: float = 3600,
        cooldown: float = 30,
        timeout: float = 5,
        same_origin: bool = False,
        loopback_http: bool = False,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        problems = Problems("KeySet")
        problems.boolean("loopback_http", loopback_http)
        problems.boolean("same_origin", same_origin)
        check_address(url, discover, problems, loopback_http=loopback_http is True)
        problems.number("ttl", ttl, minimum=SHORTEST_TTL, maximum=LONGEST_TTL)
        problems.number("stale", stale, minimum=0, maximum=604_800)
        problems.number("cooldown", cooldown, minimum=1, maximum=3600)
        problems.number("timeout", timeout, minimum=0.1, maximum=60)
        problems.callable("fetch", fetch, optional=True)
        problems.callable("clock", clock)
        problems.raise_if_any()
        self.issuer: Final = discover
        self._url = url
        self._ttl, self._stale, self._cooldown, self._timeout = ttl, stale, cooldown, timeout
        self._loopback_http, self._same_origin = loopback_http, same_origin
        self._fetch = fetch
        self._on_loop = inspect.iscoroutinefunction(fetch) or inspect.iscoroutinefunction(
            getattr(fetch, "__call__", None)  # noqa: B004 -- an object whose __call__ is a coroutine function
        )
        self._get: Get | None = choose() if fetch is None else None
        self._reader = KeyReader(url, discover, loopback_http=loopback_http, same_origin=same_origin)
        self._clock = clock
        self._state: _State | None = None
        self._retry_at = self._lookup_at = float("-inf")
        self._failures = 0
        self._absent: dict[str, float] = {}
        self._start_over()
        _key_sets.add(self)

    def __repr__(self) -> str:
        """Show whether there are keys."""
        return f"<KeySet: {'no' if self._state is None else len(self._state.keys.jwks)} keys>"

    # ------------------------------------------------------------ what verifiers ask

    def current(self) -> Keys | None:
        """Give the keys, or None where a fetch must be waited for. Never waits; may start a refresh.

        As long as the provider publishes the same, it is the same object.

        Raises:
            Unavailable: There are no keys, and the last fetch failed a moment ago.
        """
        now = self._clock()
        state = self._state
        if state is None or now >= state.usable_until:
            if self._flight is None and now < self._retry_at:
                raise Unavailable("keys_unavailable", self._retry_at - now)
            return None
        if now >= state.refresh_at and now >= self._retry_at:
            flight = self._flight
            if flight is None or flight.is_lost():
                self._begin()
        return state.keys

    def usable_for(self) -> float:
        """Give the seconds for which the keys at hand may be used at most."""
        state = self._state
        return 0.0 if state is None else state.usable_until - self._clock()

    def raise_if_failing(self) -> None:
        """Raise where the last fetch failed, so that an unknown key id may well be a new one.

        Raises:
            Unavailable: It did.
        """
        if self._failures:
            raise Unavailable("keys_unavailable", self._retry_at - self._clock())

    def may_look_for(self, key_id: str) -> bool:
        """Tell whether an unknown key id is worth a fetch, or one is under way."""
        now = self._clock()
        return self._flight is not None or (now >= self._retry_at and self._is_worth_a_fetch(key_id, now))

    async def look_for(self, key_id: str) -> None:
        """Wait for a fetch that may bring an unknown key id. Raises nothing.

        After a fetch for unknown ids that succeeded the id is known, or not worth another one for a while. After one
        that was under way for another reason it may have to be asked again.
        """
        flight = self._begin(key_id)
        if flight is None:
            return
        await flight.wait(self._timeout * 2 + 1)
        if self._failures or flight is not self._lookup:
            return
        if len(self._absent) >= _MOST_ABSENT:
            self._absent.clear()
        self._absent[key_id] = self._clock() + _ABSENT_SECONDS

    def start(self) -> None:
        """Start a fetch where there are no keys, or none that are fresh; do not wait for it."""
        self._begin()

    async def refresh(self) -> None:
        """Wait for keys where there are none, or none that are fresh. Raises nothing: see :meth:`current` for the rest.

        While a failure is too fresh for another try, it does not wait.
        """
        flight = self._begin()
        if flight is not None:
            await flight.wait(self._timeout * 2 + 1)

    def load(self) -> None:
        """Do as :meth:`refresh` in a program without an event loop: it blocks meanwhile."""
        flight = self._begin()
        if flight is not None:
            flight.wait_blocking(self._timeout * 2 + 1)

    def _is_due(self, now: float) -> bool:
        return self._state is None or now >= self._state.refresh_at

    def _is_worth_a_fetch(self, key_id: str, now: float) -> bool:
        return now >= self._lookup_at and now >= self._absent.get(key_id, now)

    # ------------------------------------------------------------ fetching

    def _start_over(self) -> None:
        """Begin without a fetch under way: a forked child has none of its parent's threads."""
        self._lock = threading.Lock()
        self._flight: Flight | None = None
        self._lookup: Flight | None = None  # the last fetch that was for an unknown id

    def _begin(self, key_id: str | None = None) -> Flight | None:
        """Give the fetch that is under way, or start one; None where none is wanted, or a failure is too fresh.

        Args:
            key_id: The unknown id that it is for; None where keys are due.
        """
        with self._lock:
            flight = self._flight
            if flight is not None and not flight.is_lost():
                return flight
            now = self._clock()
            # Asked under the lock, since what was missing a moment ago may have come.
            is_wanted = self._is_due(now) if key_id is None else self._is_worth_a_fetch(key_id, now)
            if now < self._retry_at or not is_wanted:
                return None
            flight = self._flight = Flight(self._timeout * 3 + 5)
            if key_id is not None:
                self._lookup = flight
        try:
            if self._on_loop:
                flight.on_loop(lambda: self._work_on_loop(flight))
            else:
                flight.in_thread(lambda: self._work(flight))
        except (RuntimeError, ImportError):  # no thread can be started, or no event loop runs here
            self._end(flight, None)
        return flight

    def _work(self, flight: Flight) -> None:
        keys = None
        deadline = time.monotonic() + self._timeout
        try:
            keys = drive(
                self._reader.steps(self._clock(), self._known()), lambda request: self._read(request, deadline)
            )
        except FetchError as error:
            _log.warning("a key set could not be read: %s", error)
        finally:
            self._end(flight, keys)

    async def _work_on_loop(self, flight: Flight) -> None:
        keys = None
        try:
            async with time_limit(self._timeout):
                keys = await drive_async(self._reader.steps(self._clock(), self._known()), self._read_async)
        except (FetchError, TimeoutError) as error:
            _log.warning("a key set could not be read: %s", error)
        finally:
            self._end(flight, keys)

    def _read(self, request: Request, deadline: float) -> Response:
        left = deadline - time.monotonic()
        if left <= 0:
            raise FetchError("it took too long")
        if self._get is not None:
            return self._get(request.url, request.headers, left)
        return as_response(self._fetch(request.url))  # type: ignore[misc]  # one of the two is there

    async def _read_async(self, request: Request) -> Response:
        return as_response(await self._fetch(request.url))  # type: ignore[misc]

    def _end(self, flight: Flight, keys: Keys | None) -> None:
        """Take over what a fetch brought, None for nothing, and wake who waits for it."""
        now = self._clock()
        with self._lock:
            if self._flight is not flight:  # it came back after it was given up
                flight.end()
                return
            if keys is None:
                self._retry_at = now + min(_FIRST_BACKOFF * 2**self._failures, _LONGEST_BACKOFF)
                self._failures = min(self._failures + 1, 10)
            else:
                self._take(keys, now)
                if flight is self._lookup:  # one that failed counts for nothing: it has a back-off of its own
                    self._lookup_at = now + self._cooldown
            self._flight = None
        flight.end()

    def _known(self) -> Keys | None:
        state = self._state
        return None if state is None else state.keys

    def _take(self, keys: Keys, now: float) -> None:
        state = self._state
        ttl = self._ttl if keys.ttl is None else keys.ttl
        if state is None or state.keys.digest != keys.digest:
            self._absent.clear()
        else:
            keys = state.keys
        self._state = _State(keys, now + ttl * _AHEAD, now + ttl + self._stale)
        self._failures = 0
        self._retry_at = float("-inf")


def _after_fork() -> None:
    for keys in tuple(_key_sets):
        keys._start_over()  # noqa: SLF001 -- same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
