"""Which origins a policy lets in, and whether it is safe to let them in with credentials.

Facts this module rests on:

- ``*`` with credentials means nothing to a browser, and reflecting any origin instead gives every site the user's
  session (Fetch standard 3.3.5). An expression that matches everybody does the same.
- Any website can make a sandboxed frame, whose origin is ``null``.
- A page over plain http can be rewritten by whoever stands on the network between. With credentials that attacker acts
  as the user, although the API itself is reached over https. Pages of the own machine are safe from that.
- An expression that a client's bytes are held against can be slow: a repetition within a repetition takes time that
  doubles with every byte.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Collection, Iterable
from typing import Final, TypeGuard

from asgi_middleware._core.config import Problems
from asgi_middleware.cors.origins import OriginSet

# Nobody's origins (RFC 2606 2): an expression that matches one of them has left out whose origins it means.
_STRANGERS: Final = ("https://stranger.invalid", "http://stranger.invalid")
_LOOPBACK: Final = re.compile(
    r"http://(?:localhost|(?:\*\.|[a-z0-9_.-]+\.)localhost|127(?:\.[0-9]+){3}|\[::1\])(?::.*)?"
)
_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_QUANTIFIER: Final = re.compile(r"[*+]|\{[0-9]*,[0-9]*\}")
_FIX: Final = "list the origins that you trust, for example ['https://app.example.com', 'https://*.example.com']"


class CarelessRegexWarning(UserWarning):
    """An ``allow_origin_regex`` that matches more than it seems to, or that can be made slow."""


def read_origins(
    problems: Problems,
    allow_origins: object,
    *,
    other_ways: Collection[str],
    credentials: object,
    allow_public_suffixes: bool,
    allow_insecure: bool,
) -> OriginSet:
    """Read `allow_origins`, and see whether it may go with credentials.

    Args:
        problems: Where to note what is wrong.
        allow_origins: The option.
        other_ways: The options besides this one that allow origins.
        credentials: Whether credentials may come along.
        allow_public_suffixes: Whether subdomains of a public suffix may be allowed.
        allow_insecure: Whether http origins may be allowed with credentials.
    """
    option = "allow_origins"
    if isinstance(allow_origins, OriginSet):
        origins = allow_origins
    else:
        entries = tuple(allow_origins) if _is_collection(allow_origins) else allow_origins
        origins = OriginSet(
            entries,  # type: ignore[arg-type]
            option=option,
            problems=problems,
            dangerously_allow_public_suffixes=allow_public_suffixes,
        )
        if entries == () and not other_ways:
            fix = "list at least one origin, or leave the class out"
            problems.add(option, [], "allows nobody", fix=fix, code="no_origins")
    for other in other_ways if origins.allows_any else ():
        message, fix = f"leaves {other} without effect", "remove one of the two"
        problems.add(option, "*", message, fix=fix, code="wildcard_with_others")
    if credentials is not True:
        return origins
    if origins.allows_any:
        problems.add(
            option,
            "*",
            "cannot go with allow_credentials=True: every website could act as your user",
            fix=_FIX,
            code="wildcard_with_credentials",
        )
    if b"null" in origins.exact:
        problems.add(
            option,
            "null",
            "cannot go with allow_credentials=True: any website can make a frame whose origin is 'null'",
            fix="remove 'null', or serve the page from an origin of its own",
            code="null_with_credentials",
        )
    for entry in () if allow_insecure else origins.entries:
        if entry.startswith("http://") and _LOOPBACK.fullmatch(entry) is None:
            problems.add(
                option,
                entry,
                "is a page that anybody on the network can rewrite, and with allow_credentials=True act as your user",
                fix=f"serve it over https and write {'https' + entry[4:]!r}, or set "
                "dangerously_allow_insecure_origins=True",
                code="insecure_with_credentials",
            )
    return origins


def read_regex(problems: Problems, allow_origin_regex: object, *, credentials: object) -> re.Pattern[str] | None:
    """Read `allow_origin_regex`, and see whether it may go with credentials."""
    regex = _compiled(problems, allow_origin_regex)
    if regex is None:
        return None
    if credentials is True and any(map(regex.fullmatch, _STRANGERS)):
        problems.add(
            "allow_origin_regex",
            regex.pattern,
            "matches anybody's origin and cannot go with allow_credentials=True: every website could act as your user",
            fix=_FIX,
            code="wildcard_with_credentials",
        )
    return regex


def warn_if_careless(regex: re.Pattern[str]) -> None:
    """Warn of an expression that matches more than it seems to, or that can be made slow."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("asgi_middleware."):
        level, frame = level + 1, frame.f_back  # in the name of whoever makes the policy
    for fault in careless(regex):
        text = f"allow_origin_regex={regex.pattern!r} {fault}"
        warnings.warn(text, CarelessRegexWarning, stacklevel=level)


def careless(regex: re.Pattern[str]) -> list[str]:
    """Say what is careless about an expression: clauses, empty where nothing is."""
    faults = []
    if any(map(regex.fullmatch, _STRANGERS)):
        faults.append("matches anybody's origin: write allow_origins='*', or list patterns")
    plain = _CLASS.sub("c", re.sub(r"\\.", "e", regex.pattern))
    if re.search(r"\.(?![*+?{])[A-Za-z0-9]", plain):
        faults.append("has a dot that is not escaped, which matches any character: write \\. for a dot")
    if _has_nested_repetition(plain):
        faults.append("repeats a repetition, which a long Origin can make slow enough to stall the process")
    return faults


def _has_nested_repetition(plain: str) -> bool:
    """Tell whether a group that holds an unbounded repetition is itself repeated."""
    groups: list[bool] = []  # for each open group: does it hold a repetition?
    at = 0
    while at < len(plain):
        if plain[at] == "(":
            groups.append(False)
        elif plain[at] == ")" and groups:
            repeats = groups.pop()
            if repeats and _QUANTIFIER.match(plain, at + 1):
                return True
            if repeats and groups:
                groups[-1] = True
        elif groups and _QUANTIFIER.match(plain, at):
            groups[-1] = True
        at += 1
    return False


def _compiled(problems: Problems, allow_origin_regex: object) -> re.Pattern[str] | None:
    """Give the expression, which may be a str or a compiled pattern of str."""
    option = "allow_origin_regex"
    if allow_origin_regex is None:
        return None
    if _is_text_pattern(allow_origin_regex):
        return allow_origin_regex
    if not isinstance(allow_origin_regex, str) or not allow_origin_regex:
        problems.add(
            option,
            allow_origin_regex,
            "is not a regular expression",
            fix="pass a str or re.compile(...) of a str; patterns such as 'https://*.example.com' need no expression",
            code="not_a_regex",
        )
        return None
    try:
        return re.compile(allow_origin_regex)
    except re.error as error:
        problems.add(
            option,
            allow_origin_regex,
            f"is not a regular expression ({error})",
            fix="correct it, or list patterns such as 'https://*.example.com' in allow_origins",
            code="not_a_regex",
        )
        return None


def _is_text_pattern(value: object) -> TypeGuard[re.Pattern[str]]:
    pattern: object = getattr(value, "pattern", None)
    return isinstance(pattern, str) and isinstance(value, re.Pattern)


def _is_collection(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
