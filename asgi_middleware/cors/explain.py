"""Explaining: what the server and the browser do about one request, step by step.

The server's half are the very decisions that requests get; the browser's half are the steps of the Fetch standard.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from asgi_middleware._core import fetch
from asgi_middleware._core.headers import is_field_value, is_token
from asgi_middleware._core.types import HeaderList
from asgi_middleware.cors import reasons
from asgi_middleware.cors.responses import Decision, Pairs, merge
from asgi_middleware.cors.rules import Rules

# The headers of an answer that shows which of them scripts can read.
_SAMPLE: Final = ((b"content-type", b"application/json"), (b"x-example", b"1"))
_NEEDS_PERMISSION: Final = b"\x00"  # a value that no list of harmless ones has


class Step(NamedTuple):
    """One step of an explanation.

    Attributes:
        side: Who takes it.
        text: What happens, a sentence.
        passed: Whether it goes on from here.
        code: The reason or the failure, where there is one.
    """

    side: Literal["browser", "server"]
    text: str
    passed: bool = True
    code: str = ""


class Explanation(NamedTuple):
    """What comes of one request from another origin.

    Attributes:
        allowed: Whether the script gets to read the response.
        reason: The reason that the server notes, as in the Exchange.
        failure: The code of the browser's step that fails; None where none does.
        section: The section of the Fetch standard of that step.
        preflighted: Whether the browser asks first.
        reaches_app: Whether the request itself reaches the app. It may although nobody may read the answer.
        steps: What happens, in order.
    """

    allowed: bool
    reason: str
    failure: str | None
    section: str | None
    preflighted: bool
    reaches_app: bool
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Give the steps, one a line, and the outcome."""
        lines = [
            f"{number:2}. {step.side:<7}  {'' if step.passed else 'STOP: '}{step.text}"
            for number, step in enumerate(self.steps, 1)
        ]
        if self.allowed:
            lines.append("=> The script can read the response.")
        else:
            where = f" Fetch standard {self.section}: {self.failure}." if self.failure else ""
            reached = " The request reaches the app all the same." if self.reaches_app else ""
            lines.append(f"=> The script gets a network error. Server: {self.reason}.{where}{reached}")
        return "\n".join(lines)


def explain(
    rules: Rules,
    origin: str,
    method: str,
    headers: Iterable[str],
    *,
    credentials: bool,
    function_allows: bool | None,
) -> Explanation:
    """Explain one request; see :meth:`asgi_middleware.cors.CORSPolicy.explain`."""
    return _Account(rules, origin, credentials=credentials, function_allows=function_allows).tell(method, headers)


class _Account:
    """One explanation in the making."""

    def __init__(self, rules: Rules, origin: str, *, credentials: bool, function_allows: bool | None) -> None:
        self.rules = rules
        self.origin = origin.encode("utf-8", "surrogateescape")
        self.credentials = credentials
        self.function_allows = function_allows
        self.steps: list[Step] = []

    def tell(self, method: str, headers: Iterable[str]) -> Explanation:
        """Go through the request."""
        sent = fetch.normalize_method(method.encode("utf-8", "surrogateescape"))
        failure = self._script(sent)
        if failure is not None:
            return self._end(reasons.NO_ORIGIN, failure, preflighted=False, reaches_app=False)
        unsafe = fetch.unsafe_names(self._settable(headers))
        preflighted = fetch.needs_preflight(sent, unsafe)
        decision = self._decide()
        if preflighted:
            why = "the method" if sent not in fetch.SAFELISTED_METHODS else "the headers"
            also = f" and {', '.join(name.decode() for name in unsafe)}" if unsafe else ""
            self._say("browser", f"asks first, because of {why}: a preflight for {_shown(sent)}{also}")
            answer = self._answer(decision, sent, unsafe)
            failure = fetch.preflight_check(
                self.origin,
                sent,
                unsafe,
                204 if answer.allowed else 403,
                answer.headers if answer.allowed else (),
                credentials=self.credentials,
            )
            self._browser(failure, "the preflight's answer allows the request")
            if failure is not None:
                return self._end(answer.reason, failure, preflighted=True, reaches_app=False)
        else:
            self._say("browser", f"sends {_shown(sent)} at once: nothing about it needs permission")
        return self._actual(decision, preflighted=preflighted)

    def _actual(self, decision: Decision, *, preflighted: bool) -> Explanation:
        text = "passes the request on to the app; the response gets " + _listed(decision.headers)
        self._say("server", text, code=decision.reason)
        response = merge(_SAMPLE, decision)
        failure = fetch.cors_check(self.origin, response, credentials=self.credentials)
        self._browser(failure, "the response passes the CORS check")
        if failure is None:
            readable = dict(fetch.readable_headers(response, credentials=self.credentials))
            others = "every header but Set-Cookie" if b"x-example" in readable else self._exposed(response)
            self._say("browser", f"lets the script read the body and {others}")
        return self._end(decision.reason, failure, preflighted=preflighted, reaches_app=True)

    def _exposed(self, response: HeaderList) -> str:
        listed = dict(response).get(b"access-control-expose-headers", b"").decode()
        return f"the safelisted headers{f', and {listed}' if listed and listed != '*' else ' only'}"

    def _script(self, method: bytes) -> fetch.Failure | None:
        """Check what no browser sends at all."""
        failure = None
        if not is_token(method):
            failure = fetch.Failure("not_a_method", "5.4", f"{_shown(method)} is not a method")
        elif method.upper() in fetch.FORBIDDEN_METHODS:
            failure = fetch.Failure("forbidden_method", "2.2.1", f"no script can send {_shown(method)}")
        elif not is_field_value(self.origin) or b"," in self.origin or b" " in self.origin:
            failure = fetch.Failure("not_an_origin", "3.2", "a browser sends one origin")
        if failure is not None:
            self._browser(failure, "")
        return failure

    def _settable(self, headers: Iterable[str]) -> list[fetch.Header]:
        """Read the headers, without those that a browser does not let a script set."""
        kept = []
        for header in headers:
            name, colon, value = header.partition(":")
            lower = name.strip().lower().encode("utf-8", "surrogateescape")
            if not is_token(lower):
                self._say("browser", f"rejects {name.strip()!r}, which is no header name; it is left out here")
            elif fetch.is_forbidden_request_header(lower):
                self._say("browser", f"ignores {name.strip()}: only the browser sets it")
            else:
                kept.append((lower, value.strip().encode("utf-8", "surrogateescape") if colon else _NEEDS_PERMISSION))
        return kept

    def _decide(self) -> Decision:
        decision = self.rules.decide(self.origin)
        if decision.allowed or self.function_allows is None:
            return decision
        return self.rules.allow(self.origin) if self.function_allows else decision

    def _answer(self, origin: Decision, method: bytes, unsafe: tuple[bytes, ...]) -> Decision:
        asked = (b",".join(unsafe),) if unsafe else ()
        answer = self.rules.decide_preflight(origin, self.origin, ((method,), asked, False))
        if answer.allowed:
            self._say("server", f"answers the preflight with 204 and {_listed(answer.headers)}", code=answer.reason)
        else:
            text = f"refuses the preflight with 403 and no CORS header: {reasons.DETAILS[answer.reason]}"
            self._say("server", text.removesuffix("."), passed=False, code=answer.reason)
        return answer

    def _browser(self, failure: fetch.Failure | None, success: str) -> None:
        if failure is None:
            self._say("browser", success)
        else:
            self._say("browser", failure.text, passed=False, code=failure.code)

    def _say(self, side: Literal["browser", "server"], text: str, *, passed: bool = True, code: str = "") -> None:
        self.steps.append(Step(side, text, passed, code))

    def _end(self, reason: str, failure: fetch.Failure | None, *, preflighted: bool, reaches_app: bool) -> Explanation:
        code, section = (None, None) if failure is None else (failure.code, failure.section)
        return Explanation(failure is None, reason, code, section, preflighted, reaches_app, tuple(self.steps))


def _listed(headers: Pairs) -> str:
    if not headers:
        return "no CORS header"
    return "; ".join(f"{_titled(name)}: {_shown(value)}" for name, value in headers)


def _titled(name: bytes) -> str:
    return "-".join(part.capitalize() for part in name.decode("ascii").split("-"))


def _shown(value: bytes) -> str:
    return ascii(value.decode("latin-1"))[1:-1]
