"""Propagation: the request's id and trace in outgoing calls and in jobs handed to workers.

Facts this module rests on:

- Every outgoing call gets a ``parent-id`` of its own (W3C Trace Context 3.2.2.4). So that a callee's ``parent_span_id``
  leads back to the caller's access line, that line lists the ids it gave away as ``child_span_ids``.
- Where an OpenTelemetry span is active, it is the parent, and its ``tracestate`` goes along.
- A header that the caller of the client has set itself stays. A ``tracestate`` belongs to its ``traceparent``: neither
  is sent with another one's partner (3.3).
- Ids tell strangers who asked for what, and clients follow redirects to strangers (W3C Trace Context, "Privacy
  Considerations"). So hooks can be held to hosts, and take their headers off again when a redirect leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from sys import modules
from typing import TYPE_CHECKING, Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import Exchange, current_exchange
from asgi_middleware.logging.context import bind_request, correlation_id, unbind_request
from asgi_middleware.logging.otel import API, active_span
from asgi_middleware.logging.request_ids import generate_request_id, is_safe_request_id
from asgi_middleware.logging.trace_context import TraceContext, continued, new_trace

if TYPE_CHECKING:
    import aiohttp

_REQUEST_ID: Final = "X-Request-ID"
_MOST_CHILDREN: Final = 32
_EXTENSION: Final = "asgi_middleware"


def inject_headers(
    headers: MutableMapping[str, str] | None = None, *, header_name: str | None = _REQUEST_ID
) -> MutableMapping[str, str]:
    """Add the current request's id and trace to the headers of an outgoing call, and give the headers.

    For clients without hooks below, and for messages of queues. A header that is there already stays. Outside a request
    nothing is added, save for the trace of an active OpenTelemetry span::

        from urllib.request import Request

        from asgi_middleware.logging import inject_headers

        request = Request("http://stock.internal/items", headers=inject_headers())

    Args:
        headers: The headers to add to, of any case; None for a new dict.
        header_name: The header for the id; None for none.
    """
    if headers is None:
        headers = {}
    taken = {name.lower(): name for name in headers}
    exchange = current_exchange.get()
    request_id = correlation_id.get()
    if header_name is not None and request_id is not None and header_name.lower() not in taken:
        headers[header_name] = request_id
    if "traceparent" not in taken:
        trace = _parent_of_calls(exchange)
        if trace is not None:
            if "tracestate" in taken:
                del headers[taken["tracestate"]]
            headers["traceparent"] = trace.traceparent
            if trace.tracestate:
                headers["tracestate"] = trace.tracestate
    return headers


def httpx_event_hooks(
    *, header_name: str | None = _REQUEST_ID, hosts: Iterable[str] | None = None
) -> dict[str, list[Callable[[Any], None]]]:
    """Give the ``event_hooks`` of an ``httpx.Client``, or of an ``httpx2.Client``, that inject into every request.

    ::

        import httpx

        from asgi_middleware.logging import httpx_event_hooks

        client = httpx.Client(event_hooks=httpx_event_hooks(hosts=["*.internal"]))

    Args:
        header_name: The header for the id; None for none.
        hosts: The hosts that get the ids: names, and ``*.name`` for all below one. None for every host.

    Raises:
        ConfigurationError: An option is wrong.
    """
    hook = _httpx_hook("httpx_event_hooks", header_name, hosts)
    return {"request": [hook]}


def httpx_async_event_hooks(
    *, header_name: str | None = _REQUEST_ID, hosts: Iterable[str] | None = None
) -> dict[str, list[Callable[[Any], Awaitable[None]]]]:
    """Give the ``event_hooks`` of an ``httpx.AsyncClient``, or of an ``httpx2.AsyncClient``.

    As :func:`httpx_event_hooks`, for the client whose hooks are awaited.
    """
    hook = _httpx_hook("httpx_async_event_hooks", header_name, hosts)

    async def inject(request: Any) -> None:
        hook(request)

    return {"request": [inject]}


def aiohttp_trace_config(
    *, header_name: str | None = _REQUEST_ID, hosts: Iterable[str] | None = None
) -> aiohttp.TraceConfig:
    """Give a ``TraceConfig`` for an ``aiohttp.ClientSession`` that injects into every request.

    ::

        import aiohttp

        from asgi_middleware.logging import aiohttp_trace_config


        async def main():
            async with aiohttp.ClientSession(trace_configs=[aiohttp_trace_config()]) as session:
                ...

    Args:
        header_name: The header for the id; None for none.
        hosts: As for :func:`httpx_event_hooks`.

    Raises:
        ConfigurationError: An option is wrong.
    """
    from aiohttp import TraceConfig  # noqa: PLC0415 -- only who calls this has it

    is_wanted = _check("aiohttp_trace_config", header_name, hosts)

    async def start(session: Any, context: Any, params: Any) -> None:  # noqa: ARG001 -- aiohttp's signature
        context.injected = _inject(params.headers, header_name) if is_wanted(params.url.host) else ()

    async def redirect(session: Any, context: Any, params: Any) -> None:  # noqa: ARG001 -- the same
        for name in context.injected:
            params.headers.popall(name, None)
        target = params.response.headers.get("Location") or params.response.headers.get("URI") or ""
        context.injected = ()
        if is_wanted(_host_after(params.url, target)):
            context.injected = _inject(params.headers, header_name)

    config = TraceConfig()
    config.on_request_start.append(start)
    config.on_request_redirect.append(redirect)
    return config


@contextmanager
def continue_request(headers: Mapping[str, str], *, header_name: str = _REQUEST_ID) -> Iterator[Exchange]:
    """Work on behalf of the request that sent these headers: in a queue's worker, a job, a consumer of messages.

    Log calls in the block carry the id and the trace, and outgoing calls pass them on. Without an id, or with an unsafe
    one, a new one is made; the same with the trace::

        from asgi_middleware.logging import continue_request, inject_headers

        message = {"headers": inject_headers(), "body": "42"}  # in the handler

        with continue_request(message["headers"]):  # in the worker
            ...

    Args:
        headers: What :func:`inject_headers` gave, of any case.
        header_name: The header for the id.

    Yields:
        The Exchange, with `request_id`, `trace`, and the `fields` that the block adds.
    """
    found = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    exchange = Exchange()
    request_id = found.get(header_name.lower(), "")
    exchange.request_id = request_id if is_safe_request_id(request_id) else generate_request_id()
    traceparent, tracestate = (found.get(name, "").encode("ascii", "replace") for name in ("traceparent", "tracestate"))
    exchange.trace = continued([traceparent], [tracestate]) or new_trace()
    bound = bind_request(exchange, clear=False)
    try:
        yield exchange
    finally:
        unbind_request(bound)


def _parent_of_calls(exchange: Exchange | None) -> TraceContext | None:
    """Give what an outgoing call has as its parent; a new child's id is noted for the access line."""
    span = active_span() if API in modules else None
    if span is not None:
        return TraceContext(*span)
    if exchange is None or exchange.trace is None:
        return None
    trace: TraceContext = exchange.trace
    child = trace.child()
    children = exchange.fields.setdefault("child_span_ids", [])
    if len(children) < _MOST_CHILDREN:
        children.append(child.span_id)
    return child


def _inject(headers: MutableMapping[str, str], header_name: str | None) -> tuple[str, ...]:
    """Inject into a client's own headers, and give the names of what was added."""
    before = {name.lower() for name in headers}
    inject_headers(headers, header_name=header_name)
    return tuple({name.lower() for name in headers} - before)


def _httpx_hook(owner: str, header_name: str | None, hosts: Iterable[str] | None) -> Callable[[Any], None]:
    is_wanted = _check(owner, header_name, hosts)

    def inject(request: Any) -> None:
        # A redirect's request has the headers and the extensions of the one before.
        for name in request.extensions.get(_EXTENSION, ()):
            request.headers.pop(name, None)
        added = _inject(request.headers, header_name) if is_wanted(request.url.host) else ()
        request.extensions = {**request.extensions, _EXTENSION: added}

    return inject


def _check(owner: str, header_name: str | None, hosts: Iterable[str] | None) -> Callable[[str | None], bool]:
    """Check the options of a hook, and give the test of a host."""
    problems = Problems(owner)
    if header_name is not None:
        problems.header_name("header_name", header_name)
    names = None if hosts is None else problems.strings("hosts", hosts)
    for name in names or ():
        if not name.removeprefix("*.") or set(name.removeprefix("*.")) & set("*/ ?#@"):
            problems.add("hosts", name, "is not a host", fix="write 'api.example', or '*.example' for all below it")
    problems.raise_if_any()
    if names is None:
        return lambda _: True
    exact = frozenset(name.lower() for name in names if not name.startswith("*."))
    below = tuple(name[1:].lower() for name in names if name.startswith("*."))
    return lambda host: host is not None and (host.lower() in exact or host.lower().endswith(below))


def _host_after(url: Any, location: str) -> str | None:
    """Give the host that a redirect leads to; None for a target that the client will refuse."""
    try:
        host: str | None = url.join(type(url)(location)).host
    except ValueError:
        return None
    return host
