"""RedisRevocationStore: revocations shared by all processes of a service, in Redis or Valkey (extra ``redis``).

Facts this module rests on:

- A token is asked for by at most three names, in one command (MGET): one round trip whatever there is to look at.
- Names are hashed: no subject stands in the store in clear, no name can be longer than another, and none can be made to
  look like another kind. The braces keep all names in one slot of a cluster.
- Redis forgets each entry by itself when no token that it concerns can be valid any longer.
- A connection belongs to the event loop that opened it, and to the process: one that closes its own takes nobody
  else's along. On trio, for which there is no client, a blocking one does the same in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from asgi_middleware._core.config import Problems
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.revocation import check_retention, is_up_to, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMES: Final = ("redis://", "rediss://", "unix://", "valkey://", "valkeys://")
_ALWAYS: Final = b"inf"
# The later time wins, and the later end: two revocations of one subject may come in any order.
_PUT: Final = """
local old = redis.call('GET', KEYS[1])
local value = ARGV[1]
if old and (old == 'inf' or (value ~= 'inf' and tonumber(old) > tonumber(value))) then value = old end
local left = redis.call('TTL', KEYS[1])
local seconds = tonumber(ARGV[2])
if left > seconds then seconds = left end
redis.call('SET', KEYS[1], value, 'EX', seconds)
return 1
"""


class RedisRevocationStore:
    """Revocations in Redis or Valkey, for the option ``revocation``; needs the package ``redis``.

    It is asked by one command a token. How long to wait for it, and what happens when it does not answer, is up to
    :class:`Revocation`, which by default refuses with 503.

    ::

        from asgi_middleware.auth import RedisRevocationStore, TokenVerifier

        store = RedisRevocationStore("redis://127.0.0.1:6379/0")
        verifier = TokenVerifier(key="k" * 32, algorithms=["HS256"], audience="https://api.example", revocation=store)


        async def log_out(token):
            await store.revoke(token)

    Args:
        url: Where it is: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password and number of the
            database as redis-py reads them.
        prefix: What its keys begin with, so that services can share a server.
        retention: Seconds for which a revocation is kept where no end is known, 60 to 31622400 (366 days); 30 days by
            default. It must be at least the longest lifetime of a token: a token that outlives it is good again.
        max_connections: The most connections for each event loop, 1 to 1000; who finds none free waits.
        timeout: Seconds for opening a connection and for each answer, 0.01 to 60, as a limit below the one of
            :class:`Revocation`.
        clock: Gives the current time in seconds since 1970; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed, and the address is never shown.
        ImportError: The package ``redis`` is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "revoked",
        retention: float = 2_592_000,
        max_connections: int = 20,
        timeout: float = 2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        problems = Problems("RedisRevocationStore")
        if not isinstance(url, str) or not url.startswith(_SCHEMES):
            problems.add("url", "<url>", "is no address", fix='write "redis://host:6379/0"', code="not_an_address")
        if not (isinstance(prefix, str) and prefix and not set(prefix) & set("{}")):
            problems.add(
                "prefix", prefix, "is empty or has braces", fix='write a word, such as "revoked"', code="not_a_prefix"
            )
        check_retention(retention, problems)
        problems.integer("max_connections", max_connections, minimum=1, maximum=1000)
        problems.number("timeout", timeout, minimum=0.01, maximum=60)
        problems.callable("clock", clock)
        problems.raise_if_any()
        from redis import Redis  # noqa: F401, PLC0415 -- optional: found missing here, not at the first request

        self._url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self._prefix, self._retention, self._clock = prefix, retention, clock
        self._max_connections, self._timeout = max_connections, timeout
        self._pool = WorkerPool(4, name="asgi-middleware-revocation")
        self._process = os.getpid()
        # By asyncio's loop, or by the token of a trio run.
        self._clients: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def __repr__(self) -> str:
        """Show the prefix; the address may hold a password."""
        return f"RedisRevocationStore(prefix={self._prefix!r})"

    async def revoke(self, token: VerifiedToken) -> None:
        """Revoke this one token, by its ``jti``, until it expires.

        Raises:
            ValueError: The token has no ``jti``.
            redis.RedisError: The store could not be written.
        """
        if token.token_id is None:
            raise ValueError("a token without jti is revoked by its subject or session")
        left = token.expires_at + 300 - self._clock()
        await self._put("jti", token.issuer, token.token_id, _ALWAYS, left)

    async def revoke_id(self, issuer: str | None, token_id: str) -> None:
        """Revoke the token with this ``jti``."""
        await self._put("jti", issuer, token_id, _ALWAYS)

    async def revoke_subject(self, issuer: str | None, subject: str, *, before: float | None = None) -> None:
        """Revoke all tokens of a subject that were issued up to now, or up to the time `before`."""
        up_to = self._clock() if before is None else before
        await self._put("sub", issuer, subject, b"%.3f" % up_to)

    async def revoke_session(self, issuer: str | None, session_id: str) -> None:
        """Revoke all tokens of a session, by their ``sid`` (OpenID Connect Back-Channel Logout 2.4)."""
        await self._put("sid", issuer, session_id, _ALWAYS)

    async def is_revoked(self, token: VerifiedToken) -> bool:
        """Tell whether `token` is revoked: one round trip.

        Raises:
            redis.RedisError: The store gave no answer.
            OSError: It could not be reached.
        """
        keys = [self._key(kind, token.issuer, name) for kind, name in names_of(token)]
        if not keys:
            return False
        found: Sequence[bytes | None] = await self._call("mget", keys)
        return any(value is not None and is_up_to(token.issued_at, float(value)) for value in found)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        loop, on_asyncio = _running()
        client = self._clients.pop(loop, None)
        if client is None:
            return
        if on_asyncio:
            await client.aclose()
        else:
            await self._pool.run(client.close)

    async def _put(self, kind: str, issuer: str | None, name: str, up_to: bytes, seconds: float | None = None) -> None:
        kept = self._retention if seconds is None else seconds
        await self._call("eval", _PUT, 1, self._key(kind, issuer, name), up_to, max(1, int(kept) + 1))

    def _key(self, kind: str, issuer: str | None, name: str) -> str:
        # The length in front makes the two texts one in a single way.
        text = f"{len(issuer or '')}:{issuer or ''}{name}".encode("utf-8", "surrogatepass")
        return f"{{{self._prefix}}}:{kind}:{hashlib.sha256(text).hexdigest()}"

    async def _call(self, command: str, *arguments: Any) -> Any:
        if self._process != os.getpid():
            self._after_fork()
        loop, on_asyncio = _running()
        client = self._clients.get(loop)
        if client is None:
            import redis.asyncio  # noqa: PLC0415 -- optional, see above

            client = self._clients[loop] = self._made(redis.asyncio if on_asyncio else redis)
        call = getattr(client, command)
        return await (call(*arguments) if on_asyncio else self._pool.run(call, *arguments))

    def _made(self, library: Any) -> Any:
        pool = library.BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._max_connections,
            timeout=self._timeout,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
        )
        return library.Redis.from_pool(pool)

    def _after_fork(self) -> None:
        # The sockets are the parent's: they are left alone, not closed by a farewell that the parent's server reads.
        self._process = os.getpid()
        self._clients = WeakKeyDictionary()


def _running() -> tuple[Any, bool]:
    """Give what stands for the running event loop, and whether it is one of asyncio."""
    try:
        return asyncio.get_running_loop(), True
    except RuntimeError:
        import trio  # noqa: PLC0415 -- it runs: the very loop that called is its

        return trio.lowlevel.current_trio_token(), False
