"""Playing a browser that runs a script of another origin: preflight, request, and what the script may see.

The steps are those of the Fetch standard (https://fetch.spec.whatwg.org/ 4.1, 4.8, 4.9). Real browsers are laxer in
places, so that an app which passes here passes in all of them, and a test in one of them does not show every fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asgi_middleware._core import fetch
from asgi_middleware._core.types import ASGIApp
from asgi_middleware.testing.driver import DEFAULT_TIMEOUT, http
from asgi_middleware.testing.result import Result

__all__ = ["CrossOriginResult", "assert_cors", "cross_origin_fetch"]


class CrossOriginResult:
    """What came of a script's request to another origin.

    Attributes:
        failure: The browser's step that failed, with its code and the section of the standard; None where none did.
        preflight: The preflight and its answer; None where the browser needed none.
        response: The request itself and its answer; None where the preflight forbade it.
        headers: The response headers that the script may read, names in lower case; empty after a failure.
    """

    def __init__(
        self,
        failure: fetch.Failure | None,
        preflight: Result | None,
        response: Result | None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """Collect what came of it."""
        self.failure = failure
        self.preflight = preflight
        self.response = response
        self.headers = dict(headers)

    @property
    def allowed(self) -> bool:
        """Whether the script got to see the response."""
        return self.failure is None

    @property
    def status(self) -> int | None:
        """The status that the script sees; None where it sees a network error."""
        return self.response.status if self.allowed and self.response is not None else None

    @property
    def body(self) -> bytes | None:
        """The body that the script sees; None where it sees a network error."""
        return self.response.body if self.allowed and self.response is not None else None

    def __str__(self) -> str:
        """Say what happened, with the headers that decided it."""
        lines = []
        for what, result in (("preflight", self.preflight), ("response", self.response)):
            if result is not None:
                lines.append(f"{what}: {result.status}")
                lines += [
                    f"  {name.decode('latin-1')}: {value.decode('latin-1')!a}"
                    for name, value in result.headers
                    if name.lower().startswith((b"access-control-", b"vary"))
                ]
                if result.exception is not None:
                    lines.append(f"  the app raised {result.exception!r}")
        outcome = "the script can read the response"
        if self.failure is not None:
            outcome = f"{self.failure.text} ({self.failure.code}, Fetch standard {self.failure.section})"
        return "\n".join([outcome, *lines])


async def cross_origin_fetch(
    app: ASGIApp,
    *,
    origin: str,
    method: str = "GET",
    path: str = "/",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    credentials: bool = False,
    cookie: str | None = None,
    body: bytes = b"",
    timeout: float = DEFAULT_TIMEOUT,
    **scope_keys: Any,
) -> CrossOriginResult:
    """Do what a browser does for ``fetch(url, {method, headers, credentials, body})`` on a page of another origin.

    Redirects are not followed; the checks are made on the redirect itself. What the app raises stands in the results::

        result = await cross_origin_fetch(app, origin="https://evil.example", credentials=True)
        assert not result.allowed

    Args:
        app: Any ASGI app.
        origin: The page's origin, or ``"null"``.
        method: The method as the script writes it.
        path: The path, with the query if there is one.
        headers: What the script sets. What only a browser may set is ignored, as a browser does.
        credentials: Whether the script asks for credentials (``credentials: "include"``).
        cookie: The value of ``Cookie`` that the browser has for the app; it goes along only with credentials.
        body: The request's body.
        timeout: Seconds before a hanging app fails the call.
        **scope_keys: As for :func:`http_scope`.

    Raises:
        ValueError: No browser can send this method.
    """
    page = origin.encode("latin-1")
    sent = fetch.normalize_method(method.encode("latin-1"))
    if sent.upper() in fetch.FORBIDDEN_METHODS:
        message = f"no script can send {method}"
        raise ValueError(message)
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    own = [(name, value) for name, value in given if not fetch.is_forbidden_request_header(name)]
    unsafe = fetch.unsafe_names(own)
    where, _, query = path.partition("?")
    keys: dict[str, Any] = {"query_string": query.encode("latin-1"), "timeout": timeout, "raise_exceptions": False}
    keys |= scope_keys
    host = (b"host", b"api.test")
    preflight = None
    if fetch.needs_preflight(sent, unsafe):
        asked = [host, *fetch.preflight_headers(page, sent, unsafe)]
        preflight = await http(app, "OPTIONS", where, headers=asked, **keys)
        failure = _no_response(preflight) or fetch.preflight_check(
            page, sent, unsafe, preflight.status or 0, preflight.headers, credentials=credentials
        )
        if failure is not None:
            return CrossOriginResult(failure, preflight, None)
    complete = [host, *own, (b"origin", page)]
    if body:
        complete.append((b"content-length", b"%d" % len(body)))
    if credentials and cookie is not None:
        complete.append((b"cookie", cookie.encode("latin-1")))
    response = await http(app, sent.decode("latin-1"), where, headers=complete, body=body, **keys)
    failure = _no_response(response) or fetch.cors_check(page, response.headers, credentials=credentials)
    readable = () if failure else fetch.readable_headers(response.headers, credentials=credentials)
    return CrossOriginResult(failure, preflight, response, readable)


async def assert_cors(
    app: ASGIApp,
    *,
    origin: str,
    method: str = "GET",
    path: str = "/",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    credentials: bool = False,
    **more: Any,
) -> CrossOriginResult:
    """Fail unless a script of `origin` may make this request and read its answer, and give what it sees.

    Works with any ASGI app and any CORS class::

        async def test_frontend_may_delete():
            result = await assert_cors(app, origin="https://app.example.com", method="DELETE", path="/items/1")
            assert result.status == 204

    Args:
        app: Any ASGI app.
        origin: The page's origin.
        method: The method as the script writes it.
        path: The path, with the query if there is one.
        headers: What the script sets.
        credentials: Whether the script asks for credentials.
        **more: As for :func:`cross_origin_fetch`, which does not fail.

    Raises:
        AssertionError: A step of the browser fails; the message names it and shows the headers.
    """
    result = await cross_origin_fetch(
        app, origin=origin, method=method, path=path, headers=headers, credentials=credentials, **more
    )
    if result.failure is not None:
        cause = next((r.exception for r in (result.response, result.preflight) if r is not None and r.exception), None)
        raise AssertionError(f"{method} {path} from {origin}: {result}") from cause
    return result


def _no_response(result: Result) -> fetch.Failure | None:
    if result.status is None:
        return fetch.Failure("no_response", "4.1", "the app sent no response")
    return None
