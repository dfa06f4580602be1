"""One small document over HTTPS, in a thread: no redirect, a limit in bytes, a limit in seconds for all of it.

`httpx2`, or `httpx`, does it where it is installed, so that its settings for proxies and certificates hold; else the
standard library does. Both give the same answer or the same error, and neither lets a server choose where to read.
"""

from __future__ import annotations

import inspect
import ipaddress
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from asgi_middleware._core.config import Problems

MAX_SIZE: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024
_CLIENTS: Final = ("httpx2", "httpx")  # the same interface; the second is the older one
_HEADERS: Final = {"accept": "application/json, application/jwk-set+json", "accept-encoding": "identity"}


class FetchError(Exception):
    """A document could not be had. The text says why and quotes nothing that came from the network."""


class Response(NamedTuple):
    """What a server answered: 200, or 304 where an entity tag was sent.

    Attributes:
        status: 200 or 304.
        headers: By lower-case name.
        body: At most 1 MiB; empty with 304.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


Get = Callable[[str, Mapping[str, str], float], Response]


def is_trustworthy(url: str, *, loopback_http: bool) -> bool:
    """Tell whether keys may be read from `url`: https, or http on this very machine where that is allowed."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable():
        return False
    if " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback_http and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(url: object, issuer: object, problems: Problems, *, loopback_http: bool) -> None:
    """Check the address of a key set: there is one, and keys may be read from it."""
    if (url is None) == (issuer is None):
        problems.add(
            "url",
            url,
            "must be given, or discover, and not both",
            fix='write KeySet("https://idp.example/jwks.json") or KeySet(discover="https://idp.example")',
            code="one_address",
        )
        return
    option, value = ("url", url) if issuer is None else ("discover", issuer)
    if not isinstance(value, str) or not is_trustworthy(value, loopback_http=loopback_http):
        problems.add(
            option,
            value,
            "is not an https address",
            fix="write https://...; loopback_http=True allows http://127.0.0.1 for tests",
            code="not_https",
        )
    elif option == "discover" and "?" in value:
        problems.add(
            option, value, "has a query", fix="write the issuer as its tokens do (RFC 8414 2)", code="not_an_issuer"
        )


@cache
def choose() -> Get:
    """Give the function that reads a document here, with all that it needs imported.

    Not at the first fetch: that would be in a thread, and a process that forks during an import hands its child half a
    module.
    """
    for name in _CLIENTS:
        if find_spec(name) is not None:
            with suppress(Exception):  # settings that it does not take are said at the fetch, where it is bounded
                import_module(name).Client().close()  # this imports the rest of it
            return with_httpx
    for name in ("http.client", "ssl", "urllib.request"):
        import_module(name)
    return with_urllib


def with_httpx(url: str, headers: Mapping[str, str], timeout: float) -> Response:
    """Read `url` by httpx2, or by httpx where that is what is installed.

    Args:
        url: Where to read.
        headers: Further request headers.
        timeout: Seconds for all of it.

    Raises:
        FetchError: No usable answer came.
    """
    httpx = import_module(next(name for name in _CLIENTS if find_spec(name) is not None))
    deadline = time.monotonic() + timeout
    sent = {**_HEADERS, **headers}
    try:
        with (
            httpx.Client(follow_redirects=False, timeout=timeout) as client,
            client.stream("GET", url, headers=sent) as response,
        ):
            # Raw bytes: a small coded body could be a large document.
            found = response.headers
            body = b"" if response.status_code == 304 else _read(response.iter_raw(), found, deadline)
            return _checked(response.status_code, found, body)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError):
        # The texts of these quote addresses and what the server sent.
        raise FetchError("the request failed") from None


def with_urllib(url: str, headers: Mapping[str, str], timeout: float) -> Response:
    """Read `url` by the standard library; as :func:`with_httpx`."""
    # Imported only where keys are remote: they are not light.
    import http.client  # noqa: PLC0415 -- see above
    import ssl  # noqa: PLC0415 -- the same
    import urllib.request  # noqa: PLC0415 -- the same

    deadline = time.monotonic() + timeout
    request = urllib.request.Request(url, headers={**_HEADERS, **headers})  # noqa: S310 -- is_trustworthy saw the URL
    opener = urllib.request.OpenerDirector()
    handlers: tuple[Any, ...] = (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    )
    for handler in handlers:
        opener.add_handler(handler)
    try:
        with opener.open(request, timeout=timeout) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            body = b"" if response.status == 304 else _read(iter(lambda: response.read1(_CHUNK), b""), found, deadline)
            return _checked(response.status, found, body)
    except (OSError, http.client.HTTPException, ValueError):
        raise FetchError("the request failed") from None


def _read(chunks: Iterable[bytes], headers: Mapping[str, str], deadline: float) -> bytes:
    """Join a body within the limits. A server that sends one byte now and then must not hold the thread for long."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("the answer is coded, which was not asked for")
    body = b"".join(_limited(chunks, deadline))
    announced = headers.get("content-length")
    if announced is not None and announced != str(len(body)):
        raise FetchError("the answer is cut off")  # the standard library does not see it, read chunk by chunk
    return body


def _limited(chunks: Iterable[bytes], deadline: float) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_SIZE:
            raise FetchError("the answer is larger than 1 MiB")
        if time.monotonic() > deadline:
            raise FetchError("the answer took too long")
        yield chunk


def _checked(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    if status not in {200, 304}:
        # Neither is a redirect followed: where keys come from is the options' business.
        raise FetchError(f"the answer has status {status}")
    return Response(status, headers, body)


def as_response(found: object) -> Response:
    """Give what a fetcher of the user's own brought in the form of an answer."""
    if isinstance(found, Mapping):
        found = json.dumps(dict(found))
    if isinstance(found, str):
        found = found.encode()
    if not isinstance(found, bytes):
        if inspect.iscoroutine(found):
            found.close()
        raise FetchError("the fetch function gave neither bytes nor a mapping")
    return Response(200, {}, found)
