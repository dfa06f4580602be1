"""The access line: the event of a usual HTTP request as JSON text, written without building the event.

Most of an event is the same from request to request: names, punctuation, method, protocol, status. Those stand here as
finished pieces of JSON, and a line is put together from them in one step. It says what `AccessEvents.describe` says, by
the same names and in the same order, at a third of what a dict and an encoder take. For whatever is odd, that one is
asked.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from time import time
from typing import Any, Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.routes import route_of
from asgi_middleware.logging.access_event import EVENTS, LONGEST_WORD, METHODS, SCHEMES, VERSIONS, AccessEvents
from asgi_middleware.logging.cleaning import clean_text
from asgi_middleware.logging.endings import LEVELS
from asgi_middleware.logging.fast_road import FastRoad
from asgi_middleware.logging.observation import HTTPObservation
from asgi_middleware.logging.redaction import Redactor
from asgi_middleware.logging.timestamps import THREE_DIGITS
from asgi_middleware.logging.traffic import NOTEWORTHY, milliseconds

_OPENINGS: Final = {level: f'Z","level":"{level}","event":"{EVENTS["http"]}","request_id":"' for level in LEVELS}
_METHODS: Final = {method: f'","outcome":"ok","method":"{method}","path":"' for method in METHODS}
_STATUSES: Final[dict[int | None, str]] = {status: f'","status":{status},"duration_ms":' for status in range(100, 400)}
_PROTOCOLS: Final = {
    scheme: {version: f',"scheme":"{scheme}","http_version":"{version}"' for version in VERSIONS} for scheme in SCHEMES
}
_NO_REQUEST_BODY: Final = ',"request_bytes":0,"request_chunks":0,"response_bytes":'
_UNEXPLAINED: Final = ',"compression":null'
# Numbers below 1000 as text, at a quarter of what writing them out costs.
_NUMBERS: Final = [str(number) for number in range(1000)]
_FEW: Final = len(_NUMBERS)
_URGENT: Final = LEVELS["error"]
_MOST_VALUES: Final = 1024
_LONGEST_KEPT: Final = 256


class Members(dict[str, str]):
    """Members of a line by their value, for values that come again and again; bounded, since strangers choose some."""

    __slots__ = ("_limit", "_name")

    def __init__(self, name: str, limit: int) -> None:
        """Name them.

        Args:
            name: The field's name.
            limit: The most characters of a value.
        """
        super().__init__()
        self._name = name
        self._limit = limit

    def __missing__(self, value: str) -> str:
        """Make the member of a value, and keep it."""
        member = f',"{self._name}":{encode_basestring(clean_text(str(value), self._limit))}'
        if type(value) is str and len(value) <= _LONGEST_KEPT:
            if len(self) >= _MOST_VALUES:
                self.clear()
            self[value] = member
        return member


class AccessLine:
    """Writes the lines of requests that went well, with what is to be shown and to be hidden."""

    __slots__ = ("_clients", "_compressions", "_cors", "_events", "_redactor", "_routes", "_subjects")

    def __init__(self, events: AccessEvents, redactor: Redactor) -> None:
        """Keep what each line needs.

        Args:
            events: Describe what most requests lack.
            redactor: What to hide.
        """
        self._events = events
        self._redactor = redactor
        self._clients = Members("client", LONGEST_WORD)
        self._routes = Members("route", redactor.max_length)
        self._subjects = Members("subject", redactor.max_length)
        self._cors = Members("cors", redactor.max_length)
        self._compressions = Members("compression", redactor.max_length)

    def write(  # noqa: C901, PLR0912, PLR0915 -- one step: a call costs as much as three statements
        self, observation: HTTPObservation, level: str, rate: float | None, now: float
    ) -> bool:
        """Write the event of a request that went well, by the fast road; False where it must go by the general one.

        Args:
            observation: What passed.
            level: The event's level.
            rate: With sampling, what part of its like the line stands for.
            now: When the app returned.
        """
        road, exchange, number = observation.road, observation.exchange, LEVELS[level]
        if road is None or not road.flat or not road.is_clear():
            return False
        if exchange.error is not None or exchange.refusal is not None or observation.disconnected:
            return False
        trace, request_id = exchange._trace, exchange.request_id  # noqa: SLF001 -- perhaps the ids alone: see there
        if trace is None or type(request_id) is not str:
            return False
        scope, size, chunks = observation.scope, observation.response_bytes, observation.response_chunks
        begun, started, ended = observation.begun, observation.started, observation.ended
        if started is None or ended is None or size is None or chunks >= _FEW:
            return False
        try:
            method, status = _METHODS[scope["method"]], _STATUSES[observation.status]
            protocol = _PROTOCOLS[scope["scheme"]][scope["http_version"]]
            path, query, client = scope["path"], scope["query_string"], scope["client"]
        except KeyError:
            return False
        if number < road.level:
            return True
        if type(trace) is tuple:
            _, trace_id, span_id = trace
            parent = ""
        else:
            trace_id, span_id = trace.trace_id, trace.span_id
            parent = "" if trace.parent_id is None else f',"parent_span_id":"{trace.parent_id}"'
        if request_id is not observation.request_id:  # somebody else's: it may hold anything
            request_id = encode_basestring(request_id)[1:-1]
        path = self._redactor.path(path)
        if '"' in path or "\\" in path:
            path = encode_basestring(path)[1:-1]
        query = self._redactor.query(query) if query else None
        if query is None:
            query = ""
        elif '"' in query or "\\" in query:
            query = f',"query":{encode_basestring(query)}'
        else:
            query = f',"query":"{query}"'
        address = client[0] if client else None
        client = "" if address is None else self._clients[str(address)]
        late = now - ended
        sizes = _NO_REQUEST_BODY if late < NOTEWORTHY and not observation.request_chunks else _sizes(observation, late)
        route, cors, compression = route_of(exchange), exchange.cors, exchange.compression
        decisions, rest = "", "}\n"
        if route is not None or cors is not None or compression is not None or exchange.subject is not None:
            decisions = self._decisions(exchange, route)
        if (
            exchange._fields is not None
            or exchange._timings is not None  # noqa: SLF001 -- most requests have none
            or rate is not None
            or observation.client_request_id is not None
            or self._events.shows_headers
        ):
            rest = self._rest(observation, rate, road)
        total, first = int((ended - begun) * 1e6 + 0.5), int((started - begun) * 1e6 + 0.5)
        clock = time()
        whole = int(clock)
        second, text = road.stamps.second
        if whole != second:
            text = road.stamps.turn(whole)
        micro = int((clock - whole) * 1e6)
        line = (
            f'{{"timestamp":"{text}{THREE_DIGITS[micro // 1000]}{THREE_DIGITS[micro % 1000]}{_OPENINGS[level]}'
            f'{request_id}","trace_id":"{trace_id}","span_id":"{span_id}{method}{path}{status}'
            f"{_NUMBERS[total // 1000] if total < 1_000_000 else total // 1000}.{THREE_DIGITS[total % 1000]}"
            f'{protocol}{parent}{query}{client},"ttfb_ms":'
            f"{_NUMBERS[first // 1000] if first < 1_000_000 else first // 1000}.{THREE_DIGITS[first % 1000]}"
            f'{sizes}{size},"response_chunks":{_NUMBERS[chunks]}{decisions}{rest}'
        ).encode()
        if number < _URGENT:
            road.lines.write(line)
        else:
            road.lines.write_now(line)
        return True

    def _decisions(self, exchange: Exchange, route: str | None) -> str:
        """Write what the router and our other classes decided."""
        text = "" if route is None else self._routes[str(route)]
        if exchange.subject is not None:
            text += self._subjects[str(exchange.subject)]
        if exchange.cors is not None:
            text += self._cors[exchange.cors]
        figures = exchange.compression
        if figures is None:
            return text
        if figures.encoding is not None:
            text += self._compressions[figures.encoding]
            if figures.original_size is not None:  # as after HEAD
                text += f',"original_bytes":{figures.original_size}'
            return f'{text},"compression_ms":{milliseconds(figures.seconds)}'
        return text + (_UNEXPLAINED if figures.skip_reason is None else self._compressions[figures.skip_reason])

    def _rest(self, observation: HTTPObservation, rate: float | None, road: FastRoad) -> str:
        """Write the end of the line, with what most lines lack."""
        more: dict[str, Any] = {}
        self._events.add_rest(more, observation.exchange, observation)
        if rate is not None:
            more["sampling_rate"] = rate
        if observation.client_request_id is not None:
            more["client_request_id"] = observation.client_request_id
        return f",{road.dumps(more)[1:].decode()}" if more else "}\n"


def _sizes(traffic: HTTPObservation, late: float) -> str:
    """Write what else passed: after the response, and from the client."""
    after = f',"after_response_ms":{milliseconds(late)}' if late >= NOTEWORTHY else ""
    read = f'"request_bytes":{traffic.request_bytes},"request_chunks":{traffic.request_chunks}'
    return f'{after},{read},"response_bytes":'
