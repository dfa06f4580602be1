"""The order of ASGI messages: one small state machine for each protocol and direction.

Each is fed the messages one by one and answers with the fault, if a message may not come at this point. Facts:

- Early hints come before the response start (servers can send 103 only then).
- ``http.response.pathsend`` is a whole body; ``zerocopysend`` is a piece of one.
- Trailers come after the last body message, if the start said ``trailers``.
- A WebSocket is accepted, closed, or denied by a response, and none of these twice. What an app sends after the client
  has gone is the server's to ignore or to refuse; it breaks no rule.
- Types not invented yet may come at any time.
"""

from __future__ import annotations

from typing import Any, Final

from asgi_middleware.testing.grammar import Fault

_PIECES: Final = ("http.response.body", "http.response.zerocopysend")


class Sent:
    """The messages from an app's side of one connection."""

    __slots__ = ("_phase", "_trailers", "_trailers_done", "ended", "protocol", "started")

    def __init__(self, protocol: str) -> None:
        """Start with nothing sent."""
        self.protocol = protocol
        self.started = False
        self.ended = False
        self._trailers = False
        self._trailers_done = False
        self._phase = ""

    def feed(self, message: dict[str, Any]) -> Fault | None:
        """Take the next message; give the fault if it may not come now."""
        match self.protocol:
            case "http":
                return self._http(message["type"], message, "http.response")
            case "websocket":
                return self._websocket(message["type"], message)
            case "lifespan":
                return self._lifespan(message["type"])
            case _:
                return None

    def _http(self, kind: str, message: dict[str, Any], prefix: str) -> Fault | None:
        if kind == f"{prefix}.start":
            if self.started:
                return Fault("second-start", kind, "a second response start")
            self.started = True
            self._trailers = bool(message.get("trailers"))
            return None
        if kind == f"{prefix}.body" or kind in _PIECES:
            return self._piece(kind, last=not message.get("more_body", False))
        if kind == "http.response.pathsend":
            return self._piece(kind, last=True)
        if kind == "http.response.early_hint" and self.started:
            return Fault("early-hint-order", kind, "early hints after the response start")
        if kind == "http.response.trailers":
            if not self.ended or not self._trailers or self._trailers_done:
                return Fault("trailers-order", kind, "trailers that were not announced, or before the body's end")
            self._trailers_done = not message.get("more_trailers", False)
        return None

    def _piece(self, kind: str, *, last: bool) -> Fault | None:
        if not self.started:
            return Fault("before-start", kind, f"{kind} before the response start")
        if self.ended:
            return Fault("after-end", kind, f"{kind} after the end of the response")
        self.ended = last
        return None

    def _websocket(self, kind: str, message: dict[str, Any]) -> Fault | None:
        if kind.startswith("websocket.http.response."):
            if self._phase in {"accepted", "closed"}:
                return Fault("websocket-order", kind, f"{kind} after the connection was {self._phase}")
            self._phase = "denied"
            return self._http(kind, message, "websocket.http.response")
        allowed = {"websocket.accept": ("",), "websocket.send": ("accepted",), "websocket.close": ("", "accepted")}
        if kind in allowed:
            if self._phase not in allowed[kind]:
                return Fault("websocket-order", kind, f"{kind} when the connection is {self._phase or 'not accepted'}")
            self.started = True
            self.ended = kind == "websocket.close"
            self._phase = "closed" if self.ended else "accepted"
        return None

    def _lifespan(self, kind: str) -> Fault | None:
        step = kind.removeprefix("lifespan.").partition(".")[0]
        expected = {"": "startup", "startup": "shutdown"}.get(self._phase)
        if step in {"startup", "shutdown"}:
            if step != expected:
                return Fault("lifespan-order", kind, f"{kind} out of order")
            self._phase = step
        return None


class Received:
    """The messages that go to an app on one connection."""

    __slots__ = ("_phase", "protocol")

    def __init__(self, protocol: str) -> None:
        """Start with nothing received."""
        self.protocol = protocol
        self._phase = ""

    def feed(self, message: dict[str, Any]) -> Fault | None:
        """Take the next message; give the fault if it may not come now."""
        kind = message["type"]
        before, self._phase = self._phase, kind
        match kind:
            case "http.request":
                if before in {"end", "http.disconnect"}:
                    return Fault("receive-order", kind, "http.request after the end of the body")
                if not message.get("more_body", False):
                    self._phase = "end"
            case "websocket.connect" if before:
                return Fault("receive-order", kind, "a second websocket.connect")
            case "websocket.receive" if before not in {"websocket.connect", "websocket.receive"}:
                return Fault("receive-order", kind, f"websocket.receive after {before or 'nothing'}")
            case "lifespan.startup" if before:
                return Fault("receive-order", kind, "a second start-up")
        return None
