"""What each case gives on each server: the one table that drives the tests and makes the documentation's page.

A row says what a case should give. Where a server cannot, the row says what it gives there, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matrix.cases import bodies, concerns, connections, names, sockets
from matrix.probing import Probe
from matrix.variants import VARIANTS, Variant


@dataclass(frozen=True)
class Unlike:
    """What some servers give instead.

    Attributes:
        variants: Their names.
        outcome: What they give; None where the case cannot be run.
        reason: Why.
    """

    variants: frozenset[str]
    outcome: str | None
    reason: str


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        case: What observes it, and gives what it saw in a few words.
        title: What it is about.
        outcome: What it should give.
        unlike: Where it gives something else.
    """

    case: Callable[[Probe], str]
    title: str
    outcome: str
    unlike: tuple[Unlike, ...] = ()

    @property
    def name(self) -> str:
        return self.case.__name__

    def expected(self, variant: Variant) -> tuple[str | None, Unlike | None]:
        """Give what the case gives on this server, and the entry that says why where it is unlike."""
        for unlike in self.unlike:
            if variant.name in unlike.variants:
                return unlike.outcome, unlike
        return self.outcome, None


def _variants(*starts: str, without: frozenset[str] = frozenset()) -> frozenset[str]:
    found = frozenset(variant.name for variant in VARIANTS if variant.name.startswith(starts))
    return found - without


HTTP2 = frozenset(variant.name for variant in VARIANTS if variant.http2)
HTTP1 = _variants("") - HTTP2
UVICORN = _variants("uvicorn", without=HTTP2)
HYPERCORN = _variants("hypercorn", without=HTTP2)
DAPHNE = _variants("daphne")
GRANIAN = _variants("granian", without=HTTP2)
GUNICORN = _variants("gunicorn", without=HTTP2)
UVICORN_2, HYPERCORN_2 = _variants("uvicorn") & HTTP2, _variants("hypercorn") & HTTP2
GRANIAN_2, GUNICORN_2 = _variants("granian") & HTTP2, _variants("gunicorn") & HTTP2

ONLY_1 = Unlike(HTTP2, None, "HTTP/1 alone has this.")
NO_SOCKETS = Unlike(
    HTTP2, None, "A WebSocket starts from HTTP/1.1; no Python client starts one from HTTP/2 (RFC 8441)."
)

CONNECTIONS = (
    Row(connections.keep_alive, "Requests one after the other on one connection", "kept apart"),
    Row(
        connections.at_once_on_one_connection,
        "Requests at once on one connection (pipelined on HTTP/1.1)",
        "kept apart",
    ),
    Row(connections.large_body_then_get, "A POST of 300 KB, then a GET on the same connection", "kept apart"),
    Row(connections.many_connections, "Eight connections at once", "kept apart"),
    Row(
        connections.app_reads_no_body,
        "A GET whose app reads the body",
        "read as empty",
        (Unlike(UVICORN_2, "waits for ever", "zttp, still experimental, does not say that a request has no body."),),
    ),
    Row(
        connections.http_1_0,
        "HTTP/1.0",
        "200, logged as 1.0",
        (ONLY_1, Unlike(GRANIAN, "200, logged as 1", "The server calls this version `1`.")),
    ),
    Row(connections.client_gone_before_start, "The client leaves before the response", "logged as client_disconnect"),
    Row(
        connections.client_gone_in_mid_body,
        "The client leaves during the response, and the app listens",
        "logged as client_disconnect",
    ),
    Row(
        connections.client_gone_unheard,
        "The client leaves during the response, and the app only sends",
        "logged as ok",
        (
            Unlike(DAPHNE | GUNICORN, "logged as cancelled", "The server cancels the app after a grace period."),
            Unlike(GUNICORN_2, "logged as client_disconnect", "The server's `send` raises."),
        ),
    ),
    Row(
        connections.client_gone_in_upload,
        "The client leaves during its own upload",
        "logged as client_disconnect",
        (
            ONLY_1,
            Unlike(DAPHNE, "app not called", "The server calls the app only when it has the whole body."),
        ),
    ),
    Row(connections.client_gone_after_end, "The client leaves after the response", "logged as ok"),
)

_CODE_LOST = "The server tells the app 1006 for every close by the client."
_NO_DENIAL = "The server does not offer denial responses (`websocket.http.response`)."
_NO_REASON = "The server drops the reason of a close."
WEBSOCKETS = (
    Row(
        sockets.websocket_by_subprotocol,
        "Accepted with a token as a subprotocol",
        "echoed, logged as ok",
        (NO_SOCKETS, Unlike(HYPERCORN, "echoed, logged as client_disconnect", _CODE_LOST)),
    ),
    Row(
        sockets.websocket_by_header,
        "Accepted with a token in the header; empty messages",
        "both echoed",
        (NO_SOCKETS,),
    ),
    Row(
        sockets.websocket_refused_by_auth,
        "Refused: no token",
        "401 credentials_missing, logged as refused",
        (NO_SOCKETS, Unlike(DAPHNE | GUNICORN, "403, logged as refused", _NO_DENIAL)),
    ),
    Row(
        sockets.websocket_refused_by_app,
        "Refused by the app before the accept",
        "403, logged as refused",
        (NO_SOCKETS,),
    ),
    Row(
        sockets.websocket_app_fails,
        "The app raises before the accept",
        "500 internal_error, logged as error",
        (NO_SOCKETS, Unlike(DAPHNE | GUNICORN, "403, logged as error", _NO_DENIAL)),
    ),
    Row(
        sockets.websocket_accepted_to_be_closed,
        'Refused with `reject="accept_close"`',
        "4401 credentials_missing",
        (NO_SOCKETS, Unlike(DAPHNE, "4401", _NO_REASON)),
    ),
    Row(
        sockets.websocket_closed_by_app,
        "Closed by the app with a code",
        "4000 done, logged as ok 4000",
        (NO_SOCKETS, Unlike(DAPHNE, "4000, logged as ok 4000", _NO_REASON)),
    ),
    Row(
        sockets.websocket_closed_by_client,
        "Closed by the client with a code",
        "logged as ok 4001",
        (NO_SOCKETS, Unlike(HYPERCORN, "logged as client_disconnect 1006", _CODE_LOST)),
    ),
    Row(
        sockets.websocket_broken_off,
        "Broken off without a close",
        "logged as client_disconnect 1006",
        (
            NO_SOCKETS,
            Unlike(
                UVICORN | GRANIAN,
                "logged as ok 1005",
                "The server tells the app 1005, as for a close frame without a code.",
            ),
        ),
    ),
)

_READS_FIRST = "The server reads the whole body before it calls the app."
BODIES = (
    Row(bodies.body_of_the_limit, "A body of exactly the limit", "read whole"),
    Row(bodies.chunked_over_the_limit, "A streamed body over the limit", "413 body_too_large, logged as refused"),
    Row(bodies.declared_over_the_limit, "A declared length over the limit", "413 body_too_large, logged as refused"),
    Row(
        bodies.sending_before_reading,
        "A streamed body over the limit, from a client that reads last",
        "413",
        (ONLY_1,),
    ),
    Row(
        bodies.expect_continue,
        "`Expect: 100-continue` with a length over the limit",
        "413",
        (
            ONLY_1,
            Unlike(HYPERCORN, "100, then 413", "The server asks for the body before it calls the app."),
            Unlike(DAPHNE, "waits for the body", _READS_FIRST),
        ),
    ),
    Row(bodies.head, "HEAD: the head of GET, no body", "200 gzip"),
    Row(bodies.no_content, "204", "204"),
    Row(bodies.not_modified, "304, its ETag kept", "304 with its ETag"),
)

_NOT_OFFERED = "The server does not offer it."
EXTENSIONS = (
    Row(
        bodies.early_hints,
        "Early hints (103)",
        "103 with the link",
        (Unlike(HTTP1 | GRANIAN_2 | GUNICORN_2, "not offered", _NOT_OFFERED),),
    ),
    Row(
        bodies.trailers,
        "Trailers",
        "whole, logged as ok",
        (Unlike(HTTP1 | GRANIAN_2, "not offered", _NOT_OFFERED),),
    ),
    Row(
        bodies.pathsend,
        "Files sent by the server (`http.response.pathsend`)",
        "whole, logged as ok",
        (Unlike(_variants("") - GRANIAN - GRANIAN_2, "not offered", _NOT_OFFERED),),
    ),
    Row(bodies.extensions_stay, "What is offered stays the same between requests", "unchanged"),
    Row(
        concerns.lifespan,
        "Lifespan: start-up and shutdown",
        "started and shut down",
        (Unlike(DAPHNE, "not run", "The server has no lifespan."),),
    ),
)

_STRICT = "The server refuses such bytes itself."
NAMES = (
    Row(names.encoded_line_break_in_path, "`%0A` and a forged log line in the path", "200, one clean line"),
    Row(names.invalid_utf8_in_path, "Escapes in the path that are not UTF-8", "200, one clean line"),
    Row(
        names.obs_text_in_path,
        "Bytes above 127 in the path",
        "400 of the server",
        (Unlike(HTTP2, "closed", _STRICT),),
    ),
    Row(
        names.obs_text_in_headers,
        "Bytes above 127 in Origin, Cookie, Accept-Encoding, traceparent",
        "200, one clean line",
        (Unlike(DAPHNE, "400 of the server", _STRICT), Unlike(GUNICORN_2, "closed", _STRICT)),
    ),
    Row(
        names.obs_text_in_request_id,
        "Bytes above 127 in X-Request-ID",
        "200, replaced",
        (Unlike(DAPHNE, "400 of the server", _STRICT), Unlike(GUNICORN_2, "closed", _STRICT)),
    ),
    Row(
        names.obs_text_in_token,
        "Bytes above 127 in the token",
        "400",
        (Unlike(DAPHNE, "400 of the server", _STRICT), Unlike(GUNICORN_2, "closed", _STRICT)),
    ),
)

CONCERNS = (
    Row(
        concerns.protected_route,
        "A protected route with a token, with an expired one, with none",
        "200; 401; 401, readable",
    ),
    Row(concerns.preflight, "A preflight from an allowed origin, from another", "204; 403"),
    Row(concerns.codings, "Codings", "gzip, br, zstd, identity"),
    Row(concerns.events_one_by_one, "Server-sent events, compressed", "one by one in br"),
    Row(concerns.metrics, "The page that Prometheus scrapes", "200"),
    Row(concerns.exception_with_an_answer, "An exception that has an answer", "409 sold_out, logged as refused"),
    Row(concerns.unhandled_exception, "An unhandled exception", "500 internal_error, logged as error"),
    Row(
        concerns.exception_in_mid_body,
        "An exception after the response has begun",
        "cut off, logged as error",
        (
            Unlike(
                HYPERCORN_2,
                "left waiting, logged as error",
                "The server leaves the response open until the connection has been idle for long.",
            ),
            Unlike(
                DAPHNE,
                "left waiting, logged as error",
                "The server leaves the response open, and from then on cancels no app whose client has left.",
            ),
        ),
    ),
)

SECTIONS: dict[str, tuple[Row, ...]] = {
    "Connections": CONNECTIONS,
    "WebSockets": WEBSOCKETS,
    "Bodies and bodiless responses": BODIES,
    "What servers may offer": EXTENSIONS,
    "Hostile bytes": NAMES,
    "Concerns": CONCERNS,
}
ROWS: tuple[Row, ...] = tuple(row for rows in SECTIONS.values() for row in rows)
