"""ServerTimingMiddleware: where a response's time went, for the browser's developer tools.

Facts this module rests on (W3C, Server Timing; RFC 9110 5.6, 6.5, 6.6):

- A metric is ``name;dur=1.2;desc="words"``: a token, milliseconds, a quoted string. Each parameter comes once.
- Scripts of other origins see the metrics only with Timing-Allow-Origin.
- The head leaves before a streamed response is finished: its whole time can only stand in a trailer. Trailers go to
  clients that said ``TE: trailers``, through servers that offer ``http.response.trailers``.
- Durations tell strangers what a server does, and how long a look-up took tells whether something was found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import Exchange, current_exchange, enter
from asgi_middleware._core.headers import find, find_all, header_list, is_token
from asgi_middleware._core.messages import ends_response
from asgi_middleware._core.types import ASGIApp, HeaderList, Message, Receive, Scope, Send

_SERVER_TIMING: Final = b"server-timing"
_BODILESS: Final = frozenset({204, 205, 304})
_LONGEST_NAME: Final = 64
_LONGEST_DESCRIPTION: Final = 128


class ServerTimingMiddleware:
    """Send the times of ``timing("name")`` blocks, and the total, in the Server-Timing header.

    It is off until `enabled` says otherwise: what it sends tells clients about the inside of the server. Give a
    function that lets your own people see it, and leave it off for everyone else.

    A response with a Content-Length has its total in the head. The head of a stream has ``ttfb``, the time to the first
    byte; its total follows in a trailer where server and client both speak trailers.

    Example::

        from asgi_middleware import ServerTimingMiddleware, timing


        async def app(scope, receive, send):
            with timing("db", "primary"):
                ...
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"hello"})


        app = ServerTimingMiddleware(app, enabled=True)  # server-timing: db;dur=0.1;desc="primary", total;dur=0.2

    Args:
        app: The ASGI application.
        enabled: True for every request, or a function that takes the scope and tells whether this one may see it.
        total: The name of the whole time; None to leave it out.
        timing_allow_origin: The origins whose scripts may read the metrics, or "*"; empty to send no
            Timing-Allow-Origin.
        trailers: Whether a stream's total is sent in a trailer, where that can be.
        max_metrics: How many metrics a response has at most, at least 1; the first ones are sent.

    Raises:
        ConfigurationError: An option is wrong.

    Source: W3C, Server Timing; W3C, Resource Timing ("Timing-Allow-Origin").
    """

    __slots__ = ("_allow_origin", "_enabled", "_max_metrics", "_total", "_trailers", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        enabled: bool | Callable[[Scope], bool] = False,
        total: str | None = "total",
        timing_allow_origin: Iterable[str] | str = (),
        trailers: bool = True,
        max_metrics: int = 32,
    ) -> None:
        problems = Problems(type(self).__name__)
        self.app = app
        if not isinstance(enabled, bool):
            problems.callable("enabled", enabled)
        if total is not None and (not isinstance(total, str) or not total.isascii() or not is_token(total.encode())):
            problems.add("total", total, "cannot name a metric", fix="use a token, such as 'total' (RFC 9110 5.6.2)")
        origins = ("*",) if timing_allow_origin == "*" else problems.strings("timing_allow_origin", timing_allow_origin)
        for origin in origins:
            if origin != "*" and not _is_origin(origin):
                problems.add(
                    "timing_allow_origin",
                    origin,
                    "is no origin",
                    fix='write "https://host" without a path, or "*"',
                    code="invalid_origin",
                )
        problems.boolean("trailers", trailers)
        problems.integer("max_metrics", max_metrics, minimum=1)
        problems.raise_if_any()
        self._enabled = enabled
        self._total = total
        self._allow_origin = [(b"timing-allow-origin", ", ".join(origins).encode())] if origins else []
        self._trailers = trailers
        self._max_metrics = max_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with the header, where it is enabled; everything else passes untouched."""
        enabled = self._enabled
        if scope["type"] != "http" or enabled is False or not (enabled is True or self._lets_see(enabled, scope)):
            await self.app(scope, receive, send)
            return
        scope, exchange = enter(scope)
        if not exchange.claim("server timing"):
            await self.app(scope, receive, send)
            return
        response = _TimedResponse(self._metrics, self._allow_origin, send, exchange)
        response.may_trail = self._trailers and _takes_trailers(scope)
        response.is_head = scope.get("method") == "HEAD"
        token = current_exchange.set(exchange)
        try:
            await self.app(scope, receive, response.send)
        finally:
            current_exchange.reset(token)

    def _lets_see(self, enabled: Any, scope: Scope) -> bool:
        try:
            return bool(enabled(scope))
        except Exception:  # noqa: BLE001 -- a broken check shows nothing, and breaks nothing
            return False

    def _metrics(self, exchange: Exchange, seconds: float | None, name: str | None = None) -> bytes:
        """Give the field value: the blocks so far, then the time since the request arrived."""
        descriptions = exchange.describe_timings()
        metrics = [
            format_metric(block, spent, descriptions.get(block))
            for block, spent in list(exchange.timings.items())[: self._max_metrics]
        ]
        name = name or self._total
        if self._total is not None and name is not None and seconds is not None:
            metrics = [*metrics[: self._max_metrics - 1], format_metric(name, seconds)]
        return b", ".join(metric for metric in metrics if metric)


class _TimedResponse:
    """One response on its way: its head gets the header, its end perhaps a trailer."""

    __slots__ = (
        "_allow_origin",
        "_begun",
        "_exchange",
        "_metrics",
        "_own_trailers",
        "_send",
        "_trailers",
        "is_head",
        "may_trail",
    )

    def __init__(self, metrics: Callable[..., bytes], allow_origin: HeaderList, send: Send, exchange: Exchange) -> None:
        self._metrics = metrics
        self._allow_origin = allow_origin
        self._send = send
        self._exchange = exchange
        self._trailers = self._own_trailers = self.may_trail = self.is_head = False
        self._begun = perf_counter()

    def send(self, message: Message) -> Awaitable[None]:
        """Stand in for the server's ``send``."""
        kind = message["type"]
        if kind == "http.response.start":
            return self._send(self._start(message))
        if self._own_trailers and ends_response(message):
            self._own_trailers = False
            return self._end(message)
        if self._trailers and kind == "http.response.trailers" and not message.get("more_trailers", False):
            return self._send({**message, "headers": [*header_list(message.get("headers")), self._trailer()]})
        return self._send(message)

    def _start(self, message: Message) -> Message:
        headers = header_list(message.get("headers"))
        status = message["status"]
        elapsed = perf_counter() - self._begun
        if self.is_head or status in _BODILESS or find(headers, b"content-length") is not None:
            field = self._metrics(self._exchange, elapsed)
        else:
            field = self._metrics(self._exchange, elapsed, "ttfb")
            self._trailers = self.may_trail
        promised = bool(message.get("trailers", False))
        added: dict[str, Any] = {}
        if self._trailers and not promised:
            self._own_trailers = True
            headers.append((b"trailer", _SERVER_TIMING))
            added["trailers"] = True
        if field:
            headers.append((_SERVER_TIMING, field))
        return {**message, **added, "headers": [*headers, *self._allow_origin]}

    async def _end(self, message: Message) -> None:
        await self._send(message)
        await self._send({"type": "http.response.trailers", "headers": [self._trailer()], "more_trailers": False})

    def _trailer(self) -> tuple[bytes, bytes]:
        return _SERVER_TIMING, self._metrics(self._exchange, perf_counter() - self._begun)


def format_metric(name: str, seconds: float, description: str | None = None) -> bytes:
    """Give one metric of the field; characters that may not stand there are replaced, so that nothing is injected.

    Args:
        name: What the time was spent on.
        seconds: How much; shown in milliseconds with one decimal.
        description: A few words, or None.
    """
    token = "".join(_token_character(character) for character in name[:_LONGEST_NAME])
    if not token:
        return b""
    text = f"{token};dur={max(0.0, seconds) * 1000:.1f}"
    if description:
        words = "".join(
            character if " " <= character <= "~" else "?" for character in description[:_LONGEST_DESCRIPTION]
        )
        quoted = words.replace("\\", "\\\\").replace('"', '\\"')
        text += f';desc="{quoted}"'
    return text.encode("ascii")


def _token_character(character: str) -> str:
    return character if character.isascii() and is_token(character.encode()) else "-"


def _takes_trailers(scope: Scope) -> bool:
    """Tell whether the server offers trailers and the client asks for them (RFC 9110 6.5.1)."""
    if "http.response.trailers" not in (scope.get("extensions") or {}):
        return False
    fields = b",".join(find_all(scope.get("headers") or (), b"te"))
    return any(member.strip().lower() == b"trailers" for member in fields.split(b","))


def _is_origin(origin: str) -> bool:
    scheme, separator, host = origin.partition("://")
    return bool(separator and host and scheme.isascii() and scheme.isalpha()) and all(
        "!" < character <= "~" and character not in '/,;"\\?#@' for character in host
    )
