"""What the request allows, and what of it the app may see.

Facts this module rests on:

- BREACH needs an attacker's page that makes the victim's browser send many requests with the victim's credentials, and
  that sees their length. Such requests carry ``Sec-Fetch-Site: cross-site`` (W3C Fetch Metadata 2.2) beside a Cookie or
  an Authorization. Without compression there is nothing to measure.
- ``Cache-Control: no-transform`` in a request asks that the content be left as it is (RFC 9111 5.2.1.6).
- A range is cut from the plain body. A client that holds the beginning of an encoded one must not get the rest of a
  plain one: where the condition cannot tell the two apart (If-Range with a date or a weak tag, RFC 9110 13.1.5), the
  whole is sent. Ignoring Range is always allowed (RFC 9110 14.2).
"""

from __future__ import annotations

from typing import Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import HeaderIndex, header_list, without
from asgi_middleware._core.types import HeaderList, RawHeaders, Scope
from asgi_middleware.compression.entity_tags import EtagMode, without_suffixes

_TAG_CONDITIONS: Final = frozenset({b"if-match", b"if-none-match"})
_RANGE_HEADERS: Final = frozenset({b"range", b"if-range"})
# Messages that put raw bytes beside encoded ones; `http.response.pathsend` stands for a whole body instead.
_RAW_SENDS: Final = "http.response.zerocopysend"


def refusal_to_encode(index: HeaderIndex, method: str, *, guard_cross_site: bool) -> str | None:
    """Give the reason why nothing may be encoded for this request, or None.

    Args:
        index: The look-up of the request's headers.
        method: The request's method.
        guard_cross_site: Whether credentialed cross-site requests are answered plainly.
    """
    if (
        guard_cross_site
        and index.get(b"sec-fetch-site") == b"cross-site"
        and (b"cookie" in index or b"authorization" in index)
    ):
        return "cross_site"
    if b"cache-control" in index and any(map(forbids_transform, index.get_all(b"cache-control"))):
        return "no_transform"
    return "method" if method == "CONNECT" else None


def forbids_transform(cache_control: bytes) -> bool:
    """Tell whether a Cache-Control line names the directive ``no-transform``."""
    lowered = cache_control.lower()
    return b"no-transform" in lowered and any(
        directive.strip(b" \t") == b"no-transform" for directive in lowered.split(b",")
    )


def headers_for_app(headers: RawHeaders, index: HeaderIndex, mode: EtagMode, *, encodable: bool) -> HeaderList | None:
    """Give the request headers that the app may act on; None where all are fine.

    Args:
        headers: The request's raw headers.
        index: Their look-up.
        mode: How encoded responses are tagged.
        encodable: Whether the response to this request may be encoded.
    """
    changed: HeaderList | None = None
    if encodable and b"range" in index and _is_vague(index.get(b"if-range"), mode):
        changed = without(headers, _RANGE_HEADERS)
    if mode == "suffix" and not _TAG_CONDITIONS.isdisjoint(index):
        changed = [
            (name, without_suffixes(value) if name.lower() in _TAG_CONDITIONS else value)
            for name, value in (header_list(headers) if changed is None else changed)
        ]
    return changed


def scope_for_app(scope: Scope, index: HeaderIndex, exchange: Exchange, mode: EtagMode, *, encodable: bool) -> Scope:
    """Give the scope without what would make an encoded response wrong: a copy, where there is any such thing.

    Args:
        scope: The scope as it came.
        index: The look-up of its headers.
        exchange: Told of the copy, if it follows the scope.
        mode: How encoded responses are tagged.
        encodable: Whether the response to this request may be encoded.
    """
    headers = headers_for_app(scope["headers"], index, mode, encodable=encodable)
    extensions: dict[str, object] = scope.get("extensions") or {}
    raw_sends = encodable and _RAW_SENDS in extensions
    if headers is None and not raw_sends:
        return scope
    inner = dict(scope)
    if headers is not None:
        inner["headers"] = headers
    if raw_sends:
        inner["extensions"] = {name: value for name, value in extensions.items() if name != _RAW_SENDS}
    if exchange.scope is not None:
        exchange.scope = inner
    return inner


def _is_vague(if_range: bytes | None, mode: EtagMode) -> bool:
    """Tell whether an If-Range could be meant for the encoded body and still match the plain one."""
    if if_range is None:
        return False
    return mode == "keep" or not if_range.startswith(b'"')
