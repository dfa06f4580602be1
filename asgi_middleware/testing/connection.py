"""One observed connection: everything that crossed the class under test, on either side, with its moment.

The record keeps and counts. What can be said at once (a message was not sent on before ``send`` returned) is noted
here; what needs the whole connection is judged afterwards, in ``laws`` and ``responses``.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextvars import Context
from typing import Any, Final, Literal

import anyio

from asgi_middleware._core.types import ASGIApp
from asgi_middleware.testing.grammar import Fault, message_faults
from asgi_middleware.testing.passed import Passed, shown, size_of
from asgi_middleware.testing.profiles import Profile
from asgi_middleware.testing.report import Violation
from asgi_middleware.testing.sequences import Received, Sent
from asgi_middleware.testing.snapshots import changed_at, freeze

Party = Literal["middleware", "app", "server"]

_MOST_HELD: Final = 1 << 20  # bytes of a body between the two sides
_LONGEST_TRACE: Final = 12
# What a class may change by its nature: it is compared by content, not message by message.
_RESPONSE: Final = (
    "http.response.start",
    "http.response.body",
    "websocket.http.response.start",
    "websocket.http.response.body",
    "websocket.accept",
)


class Connection:
    """What the two observers saw of one connection.

    Attributes:
        scope: The server's scope; `frozen_scope` is its snapshot.
        app: The app for this connection; None for the sandwich's own.
        given: The scope, receive and send that the class was called with.
        from_server: Messages that the class took; `to_app` those that reached the app.
        from_app: Messages that the app sent; `to_server` those that came out.
        app_calls: How often the app was called.
        app_error: What the app raised; `error` what came out of the class.
        weighed: Whether the body cannot be compressed, so that bytes not yet out are bytes held.
        found: The violations so far.
    """

    def __init__(self, scope: Any, case: str = "", app: ASGIApp | None = None) -> None:
        """Begin with the server's scope."""
        self.scope = scope
        self.case = case
        self.frozen_scope = self._last_scope = freeze(scope)
        protocol = scope.get("type") if isinstance(scope, dict) else None
        self.protocol: str = protocol if isinstance(protocol, str) else ""
        self.given: tuple[Any, Any, Any] = (scope, None, None)
        self.app_given: tuple[Any, Any, Any] | None = None
        self.frozen_app_scope: Any = None
        self.from_server: list[Passed] = []
        self.to_app: list[Passed] = []
        self.from_app: list[Passed] = []
        self.to_server: list[Passed] = []
        self.app_calls = 0
        self.app_error: BaseException | None = None
        self.server_error: BaseException | None = None
        self.error: BaseException | None = None
        self.value: object = None
        self.app = app
        self.task: object = None
        self.app_task: object = None
        self.contexts: dict[str, Context] = {}
        self.deepcopied = False
        self.weighed = False
        self.found: list[Violation] = []
        self._late: list[tuple[Passed, Violation]] = []
        self._trace: list[str] = []
        self._asking = 0
        self._held = 0
        self._faulty: set[str] = set()
        self._app_order = Sent(self.protocol)
        self._outer_order = Sent(self.protocol)
        self._server_order = Received(self.protocol)
        self._inner_order = Received(self.protocol)

    def watch(self) -> None:
        """Take the snapshot of the scope anew, once it is complete."""
        self.frozen_scope = self._last_scope = freeze(self.scope)

    # ------------------------------------------------------------ the four borders

    def taken(self, message: Any) -> None:
        """Note a message that the class took from the server."""
        self.from_server.append(Passed(message))
        self.note("server gives", message)
        for fault in self._faults(message, self._server_order, from_app=False):
            self._blame("server", fault)

    def asked(self) -> None:
        """Note that the class calls the server's receive."""
        if not self.app_calls and any(passed.kind == "http.response.start" for passed in self.to_server):
            return  # it refuses, and takes what the client still sends so that it sees the answer (RFC 9112 9.6)
        if not self._asking and self.protocol != "websocket":
            self.violate("early-receive", self.protocol, "the class called receive before the app did")
        elif not self._asking and self.app_calls:
            self.violate("early-receive", self.protocol, "the class called receive while the app did not wait in it")

    def app_asks(self) -> None:
        """Note that the app waits in receive."""
        self._asking += 1

    def app_got(self, message: Any = None) -> None:
        """Note that the app's receive ended; with the message, if it gave one."""
        self._asking -= 1
        if message is None:
            return
        self._unchanged(self.from_server[-1:], "server")
        passed = Passed(message)
        self.to_app.append(passed)
        self.note("app gets", message)
        for fault in self._faults(message, self._inner_order, from_app=False):
            self._blame("middleware", fault)

    def app_sends(self, message: Any) -> Passed:
        """Note a message from the app, before the class has it."""
        passed = Passed(message)
        self.from_app.append(passed)
        self.note("app sends", message)
        self._held += size_of(message)
        for fault in self._faults(message, self._app_order, from_app=True):
            self._blame("app", fault)
        return passed

    def raised_into_app(self, error: BaseException, where: str) -> None:
        """Judge an exception that the app met in its receive or send: it must be the server's, or a cancellation."""
        if error is self.server_error or is_cancellation(error):
            return
        if self.server_error is None:
            self.blame_for(error, "exception-invented", f"the class raised in {where}")
        else:
            self.blame_for(error, "exception-replaced", f"the server raised {self.server_error!r} in {where}; out came")

    def app_sent(self, passed: Passed, before: int) -> None:
        """Judge at once what came out when the app's send returned.

        Args:
            passed: The app's message.
            before: How many messages had come out before it.
        """
        self._unchanged([passed], "app")
        if self.server_error is not None and not is_cancellation(self.server_error):
            text = f"{self.server_error!r} of the server's send did not reach the app"
            self.violate("exception-swallowed", type(self.server_error).__name__, text)
            self.server_error = None
            return
        if self.weighed and self._held > _MOST_HELD:
            self.weighed = False
            self.violate("body-held", passed.kind, f"the class holds {self._held} bytes of the body")
        came_out = self.to_server[before:]
        kind = passed.kind
        if kind.endswith("http.response.start"):
            if not any(other.kind == kind for other in self.to_server):
                self.violate("start-held", kind, "send returned, and the response start had not come out")
        elif kind.endswith("http.response.body"):
            streamed = passed.message.get("more_body") and size_of(passed.message) and not self.bodiless
            if streamed and not any(size_of(other.message) for other in came_out):
                self.violate("chunk-held", kind, "send returned, and nothing of the piece had come out")
        elif kind not in _RESPONSE and not any(passed.same_as(other) for other in came_out):
            self._late.append(
                (passed, self._violation("message-delayed", kind, f"send returned, and {kind} had not come out"))
            )

    def came_out(self, message: Any) -> None:
        """Note a message that the class sends to the server."""
        passed = Passed(message)
        self.to_server.append(passed)
        self.note("server gets", message)
        self._held -= size_of(message)
        for fault in self._faults(message, self._outer_order, from_app=True):
            if fault.rule not in self._faulty:  # what the app did wrong, the class may pass on
                self._blame("middleware", fault)

    def refused_by(self, profile: Profile, message: Any) -> None:
        """Note a message that the server of this profile does not take; the apps of the battery send none such."""
        try:
            profile.check(message)
        except (TypeError, RuntimeError) as error:
            self.violate("message-key", str(message.get("type")), f"{error}")

    def enter_app(self, scope: Any) -> None:
        """Note the scope that the app gets; what the class did to the server's until now is the class's doing."""
        self._scope_unchanged()
        self.frozen_app_scope = freeze(scope)
        if self.app_calls > 1:  # what the app does, it does right, however often it is called
            self._app_order, self._inner_order = Sent(self.protocol), Received(self.protocol)

    def leave_app(self, scope: Any) -> None:
        """Note that the app is done. What it wrote into a scope that it shares with the server is its own doing."""
        if freeze(scope) != self.frozen_app_scope:
            self._last_scope = freeze(self.scope)

    def _scope_unchanged(self) -> None:
        place = changed_at(self._last_scope, freeze(self.scope))
        if place is not None:
            key = place.partition(".")[0].partition("[")[0]
            self.violate("scope-mutated", key, f"the server's scope was changed in place at {place}")
            self._last_scope = freeze(self.scope)

    # ------------------------------------------------------------ notes

    def note(self, who: str, message: Any = None) -> None:
        """Add a line to the trace."""
        self._trace.append(who if message is None else f"{who} {shown(message)}")

    def violate(self, rule: str, subject: str, message: str, party: Party = "middleware") -> None:
        """Note a violation with the trace until now."""
        self.found.append(self._violation(rule, subject, message, party))

    def _violation(self, rule: str, subject: str, message: str, party: Party = "middleware") -> Violation:
        return Violation(rule, subject, message, party, self.case, self.trace)

    @property
    def trace(self) -> tuple[str, ...]:
        """The messages until now, one line each; of a long conversation its begin and its end."""
        lines = self._trace
        half = _LONGEST_TRACE // 2
        if len(lines) <= 2 * half:
            return tuple(lines)
        return (*lines[:half], f"... {len(lines) - 2 * half} more ...", *lines[-half:])

    def blame_for(self, error: BaseException, rule: str, text: str) -> None:
        """Note a violation by an exception, with the place that raised it."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        self.violate(rule, type(error).__name__, f"{text}: {error!r}{place}")

    @property
    def bodiless(self) -> bool:
        """Whether the answer has no body by its method or its status (RFC 9110 6.4.1)."""
        method = self.scope.get("method")
        if isinstance(method, str) and method.upper() == "HEAD":
            return True
        return any(each.frozen.get("status") in {204, 304} for each in self.to_server if each.kind.endswith(".start"))

    @property
    def complete(self) -> bool:
        """Whether the app ended its answer."""
        return self._app_order.ended

    @property
    def complete_outside(self) -> bool:
        """Whether the class ended its answer."""
        return self._outer_order.ended

    def at_end(self) -> None:
        """Judge, when the call is over, what was changed in place, and what came out late."""
        self._scope_unchanged()
        # A message that never came out was not late: that is another rule.
        self.found += [late for passed, late in self._late if any(passed.same_as(other) for other in self.to_server)]
        self._unchanged(self.from_server, "server")
        self._unchanged(self.from_app, "app")

    def _unchanged(self, passed: list[Passed], owner: str) -> None:
        for each in passed:
            place = None if each.spoiled else changed_at(each.frozen, freeze(each.message))
            if place is not None:
                each.spoiled = True
                self.violate("message-mutated", each.kind, f"the {owner}'s {each.kind} was changed in place at {place}")

    def _faults(self, message: Any, order: Sent | Received, *, from_app: bool) -> Iterator[Fault]:
        faults = message_faults(message, self.protocol, from_app=from_app)
        yield from faults
        if not any(fault.rule == "message-shape" for fault in faults):
            fault = order.feed(message)
            if fault is not None:
                yield fault

    def _blame(self, party: Party, fault: Fault) -> None:
        if party == "app":
            self._faulty.add(fault.rule)
        self.violate(fault.rule, fault.subject, fault.message, party)


def is_cancellation(error: BaseException | None) -> bool:
    """Tell whether the exception is the event loop's cancellation."""
    return isinstance(error, anyio.get_cancelled_exc_class())
