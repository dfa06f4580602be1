"""Redaction: what of a request may stand in a log.

The rule is allow, not deny: of headers only those named by the user are written, and bodies never. What is left to
hide is
inside the values: secrets in a query string, in the query of a Referer, in a path.

The parameters that OpenTelemetry wants hidden keep their name and lose their value (semantic conventions 1.44, HTTP
spans, ``url.query``); those of OAuth 2 (RFC 6749 4, RFC 7523 2), OpenID Connect and the usual names for passwords and
keys are added.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote_plus

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import find_all
from asgi_middleware._core.types import RawHeaders
from asgi_middleware.logging.cleaning import clean_text

DEFAULT_PARAMETERS: Final = frozenset(
    {
        "access_token", "api_key", "assertion", "auth", "AWSAccessKeyId", "bearer", "client_assertion", "client_secret",
        "code", "code_verifier", "credential", "credentials", "csrf_token", "id_token", "id_token_hint", "jwt", "key",
        "otp", "passwd", "password", "pin", "pwd", "refresh_token", "secret", "session", "session_id", "sid", "sig",
        "signature", "state", "subject_token", "ticket", "token", "X-Amz-Credential", "X-Amz-Security-Token",
        "X-Amz-Signature", "X-Goog-Credential", "X-Goog-Signature",
    }
)  # fmt: skip
"""Query parameters whose value is hidden by default, without regard to case, hyphens and underscores."""

DEFAULT_HEADERS: Final = frozenset(
    {
        "api-key", "authorization", "cookie", "proxy-authorization", "sec-websocket-protocol", "set-cookie",
        "x-amz-security-token", "x-api-key", "x-auth-token", "x-csrf-token", "x-csrftoken", "x-xsrf-token",
    }
)  # fmt: skip
"""Headers whose value is hidden by default even when they are asked for. A subprotocol may carry a token."""

_WORDS: Final = re.compile(r"[^\w-]+")
# Base64url of a JSON object, and what follows it in a compact token (RFC 7519 3).
_TOKEN: Final = re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]*)*")
_USER_INFO: Final = re.compile(r"(?<=//)[^/?#@]*(?:@[^/?#@]*)*@")
_AUTHORITY: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_QUERY_OR_FRAGMENT: Final = re.compile("[?#]")
_MARKS: Final = re.compile("([?#])")
_URL_HEADERS: Final = frozenset({b"referer", b"location", b"content-location", b"link", b"refresh"})
_PARTS: Final = re.compile("[?#&;]")
_SHORTEST_TOKEN: Final = 9
_DEEPEST: Final = 3
_MOST_NAMES: Final = 1024
# What needs neither cleaning nor decoding, and can hold no URL with a query of its own.
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~&=,:/*!"
_FOLD: Final = str.maketrans("", "", "-_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is hidden from the log, and how long a value may be.

    To add a parameter, take the default set along::

        from asgi_middleware.logging import DEFAULT_PARAMETERS, Redaction

        redaction = Redaction(parameters=DEFAULT_PARAMETERS | {"voucher"})

    Attributes:
        query: ``"redact"`` (the default) hides the values of `parameters`; ``"drop"`` leaves the query out; ``"keep"``
            writes it as it came, cleaned.
        parameters: Query parameters to hide, by name or by any part of a name such as ``user[password]``.
        headers: Headers to hide even when they are asked for.
        replacement: What stands in place of a hidden value.
        max_length: The most characters of one value, 16 to 65536; 2048 holds nearly all real URLs.
    """

    query: Literal["redact", "drop", "keep"] = "redact"
    parameters: Collection[str] = DEFAULT_PARAMETERS
    headers: Collection[str] = DEFAULT_HEADERS
    replacement: str = "REDACTED"
    max_length: int = 2048

    def check(self, problems: Problems) -> None:
        """Note what is wrong with these options."""
        problems.one_of("redaction.query", self.query, ("redact", "drop", "keep"))
        problems.strings("redaction.parameters", self.parameters)
        problems.strings("redaction.headers", self.headers)
        problems.integer("redaction.max_length", self.max_length, minimum=16, maximum=65536)
        if not isinstance(self.replacement, str) or not self.replacement.isprintable():
            problems.add("redaction.replacement", self.replacement, "is not a printable string", fix="use 'REDACTED'")


def hide_tokens(text: str, replacement: str = "REDACTED") -> str:
    """Hide whatever looks like a JSON Web Token."""
    return _TOKEN.sub(replacement, text) if "eyJ" in text else text


class Redactor:
    """A :class:`Redaction` made ready for use."""

    __slots__ = ("_harmless", "_headers", "_parameters", "_query", "_replacement", "max_length")

    def __init__(self, redaction: Redaction) -> None:
        """Fold the names once."""
        self._query = redaction.query
        self._harmless: set[bytes] = set()
        self._parameters = frozenset(_fold(name) for name in redaction.parameters)
        self._headers = frozenset(name.lower().encode("latin-1", "replace") for name in redaction.headers)
        self._replacement = redaction.replacement
        self.max_length = redaction.max_length

    def text(self, text: str) -> str:
        """Clean a text and hide the tokens in it."""
        return clean_text(hide_tokens(text, self._replacement), self.max_length)

    def path(self, path: str) -> str:
        """Clean a path. A target in absolute form (RFC 9112 3.2.2) loses its authority, which may name a user."""
        if path.startswith("/") and path.isprintable() and "eyJ" not in path and len(path) <= self.max_length:
            return path
        if not path.startswith("/"):
            path = _AUTHORITY.sub("", path, count=1)
        return self.text(path)

    def query(self, query: bytes | str | None) -> str | None:
        """Give the query with its secrets hidden, or None where there is none to show."""
        if not query or self._query == "drop":
            return None
        limit = self.max_length
        if type(query) is bytes and len(query) <= limit:
            # Most queries are one parameter whose name was seen before, with a value too short for a token.
            name, _, value = query.partition(b"=")
            if value.isalnum() and len(value) < _SHORTEST_TOKEN and name in self._harmless:
                return query.decode()
            plain = not query.translate(None, _PLAIN) and b"eyJ" not in query
            if plain and (self._query == "keep" or self._is_harmless(query)):
                return query.decode()
        # Cut first, so that a long query costs no more than a short one: what is cut is a tail, never a name.
        text = query[: limit * 4] if isinstance(query, str) else bytes(query[: limit * 4]).decode("latin-1")
        return self.text(self._hide_parameters(text)) if self._query == "redact" else clean_text(text, limit)

    def _is_harmless(self, query: bytes) -> bool:
        """Tell whether none of the parameters of a plain query is a secret; names are learned, values never."""
        harmless = self._harmless
        for pair in query.split(b"&"):
            name = pair.partition(b"=")[0]
            if name not in harmless:
                if self._is_secret(name.decode()):
                    return False
                if len(harmless) < _MOST_NAMES:
                    harmless.add(name)
        return True

    def url(self, url: str) -> str:
        """Clean a URL: no user, and no secret in query or fragment."""
        url = _USER_INFO.sub(f"{self._replacement}@", url)
        mark = _QUERY_OR_FRAGMENT.search(url)
        if mark is None:
            return self.text(url)
        base, rest = url[: mark.end()], url[mark.end() :]
        if self._query == "drop":
            return self.text(url[: mark.start()])
        if self._query == "redact":
            query, hash_mark, fragment = rest.partition("#")
            rest = self._hide_parameters(query) + hash_mark + self._hide_parameters(fragment)
        return self.text(base + rest)

    def headers(self, headers: RawHeaders | None, names: Iterable[bytes]) -> dict[str, str]:
        """Give the named headers that are there, cleaned, secrets hidden; several lines are joined with a comma."""
        shown = {}
        for name in names:
            values = find_all(headers or (), name)
            if values:
                value = self._replacement
                if name not in self._headers:
                    joined = b", ".join(values).decode("latin-1")
                    value = self.url(joined) if name in _URL_HEADERS else self.text(joined)
                shown[name.decode("ascii")] = value
        return shown

    def _hide_parameters(self, query: str) -> str:
        if ";" in query:
            return ";".join(["&".join(map(self._hide_value, part.split("&"))) for part in query.split(";")])
        return "&".join(map(self._hide_value, query.split("&")))

    def _hide_value(self, pair: str) -> str:
        """Hide the value of a parameter; also of one in a URL that is a value itself: ``next=/cb?code=...``."""
        name, _, value = pair.partition("=")
        if value and self._is_secret(name):
            return f"{name}={self._replacement}"
        if "%" in value and self._holds_secret(value):
            return f"{name}={self._replacement}"
        if "?" in value or "#" in value:
            parts = _MARKS.split(pair)  # text, mark, text, mark, ..., text
            for position in range(2, len(parts), 2):
                inner, _, value = parts[position].partition("=")
                if value and self._is_secret(inner):
                    return f"{''.join(parts[:position])}{inner}={self._replacement}"
        return pair

    def _holds_secret(self, value: str) -> bool:
        """Tell whether a value, once or twice percent-encoded, has a secret parameter inside, as a nested URL may."""
        for _ in range(_DEEPEST):
            plain = unquote_plus(value)
            if plain == value:
                return False
            for pair in _PARTS.split(plain):
                name, _, inner = pair.partition("=")
                if inner and self._is_secret(name):
                    return True
            value = plain
        return True  # who encodes thrice hides something

    def _is_secret(self, name: str) -> bool:
        secret = self._parameters
        if name.isalnum():  # one word, with nothing in it to fold but the case
            return name.lower() in secret
        plain = unquote_plus(name) if "%" in name or "+" in name else name
        return _fold(plain) in secret or any(_fold(word) in secret for word in _WORDS.split(plain))


def _fold(name: str) -> str:
    return name.lower().translate(_FOLD)
