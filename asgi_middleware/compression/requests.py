"""What the request allows, and what of it the app may see.

Facts this module rests on:

- BREACH needs an attacker's page that makes the victim's browser send many requests with the victim's credentials, and
  that sees their length. Such requests carry ``Sec-Fetch-Site: cross-site`` (W3C Fetch Metadata 2.2) beside a Cookie or
  an Authorization. Without compression there is nothing to measure.
- ``Cache-Control: no-transform`` in a request asks that the content be left as it is (RFC 9111 5.2.1.6).
- A range is cut from the plain body. A client that holds the beginning of an encoded one must not get the rest of a
  plain one: where the condition cannot tell the two apart (If-Range with a date or a weak tag, RFC 9110 13.1.5; a date
  in If-Unmodified-Since; a tag whose suffix the app does not see), the whole is sent. Ignoring Range is always allowed
  (RFC 9110 14.2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product
from typing import Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import header_list, without
from asgi_middleware._core.types import HeaderList, RawHeaders, Scope
from asgi_middleware.compression.entity_tags import EtagMode, without_suffixes
from asgi_middleware.compression.fields import CHANGED, read_fields

_TAG_CONDITIONS: Final = frozenset({b"if-match", b"if-none-match"})
_RANGE_HEADERS: Final = frozenset({b"range", b"if-range"})
# Messages that put raw bytes beside encoded ones; `http.response.pathsend` stands for a whole body instead.
_RAW_SENDS: Final = "http.response.zerocopysend"


def spellings(*names: bytes) -> frozenset[bytes]:
    """Give every spelling of some names: one look-up is right for all, and costs less than the lower case of a name."""
    found: set[bytes] = set()
    for name in names:
        letters = [{lower, upper} for lower, upper in zip(name, name.upper(), strict=True)]
        found.update(map(bytes, product(*letters)))
    return frozenset(found)


def is_cross_site(fields: Mapping[bytes, bytes]) -> bool:
    """Tell whether the browser says that another site caused the request."""
    return b"cross-site" in fields.get(b"sec-fetch-site", b"")


def forbids_transform(cache_control: bytes) -> bool:
    """Tell whether a Cache-Control line names the directive ``no-transform``."""
    lowered = cache_control.lower()
    return b"no-transform" in lowered and any(
        directive.strip(b" \t") == b"no-transform" for directive in lowered.split(b",")
    )


def sends_raw(scope: Scope) -> bool:
    """Tell whether the server offers the app to put raw bytes beside encoded ones."""
    extensions = scope.get("extensions")
    return bool(extensions) and _RAW_SENDS in extensions


def headers_for_app(
    headers: RawHeaders, fields: Mapping[bytes, bytes], mode: EtagMode, hidden: Collection[bytes], *, encodable: bool
) -> HeaderList | None:
    """Give the request headers that the app may act on; None where all are fine.

    Args:
        headers: The request's raw headers.
        fields: Their look-up.
        mode: How encoded responses are tagged.
        hidden: Lower-case names that the app is not to see.
        encodable: Whether the response to this request may be encoded.
    """
    changed: HeaderList | None = None
    if encodable and b"range" in fields and _is_vague(fields, mode):
        hidden = _RANGE_HEADERS.union(hidden)
    if not fields.keys().isdisjoint(hidden):
        changed = without(headers, hidden)
    if mode == "suffix" and not _TAG_CONDITIONS.isdisjoint(fields):
        changed = [
            (name, without_suffixes(value) if name.lower() in _TAG_CONDITIONS else value)
            for name, value in (header_list(headers) if changed is None else changed)
        ]
    return changed


def scope_for_app(
    scope: Scope,
    headers: RawHeaders,
    exchange: Exchange | None,
    mode: EtagMode,
    hidden: Collection[bytes],
    *,
    encodable: bool,
) -> Scope:
    """Give the scope without what would make an encoded response wrong: a copy, where there is any such thing.

    Args:
        scope: The scope as it came.
        headers: Its headers.
        exchange: Told of the copy, if it follows the scope.
        mode: How encoded responses are tagged.
        hidden: Lower-case names that the app is not to see.
        encodable: Whether the response to this request may be encoded.
    """
    changed = headers_for_app(headers, read_fields(headers, CHANGED), mode, hidden, encodable=encodable)
    raw_sends = encodable and sends_raw(scope)
    if changed is None and not raw_sends:
        return scope
    inner = dict(scope)
    if changed is not None:
        inner["headers"] = changed
    if raw_sends:
        inner["extensions"] = {name: value for name, value in scope["extensions"].items() if name != _RAW_SENDS}
    if exchange is not None and exchange.scope is not None:
        exchange.scope = inner
    return inner


def _is_vague(fields: Mapping[bytes, bytes], mode: EtagMode) -> bool:
    """Tell whether the condition of a Range could be meant for the encoded body and still hold for the plain one."""
    if_range, if_match = fields.get(b"if-range"), fields.get(b"if-match")
    if if_range is not None:
        return mode == "keep" or not if_range.startswith(b'"')
    if if_match is not None:
        return mode == "keep" or (mode == "suffix" and without_suffixes(if_match) != if_match)
    return b"if-unmodified-since" in fields
