"""What compression did to one response, for the access line and the metrics.

Skip reasons are stable words:

==================== ==============================================================================================
no_accept_encoding   the request names no coding
accept_too_long      its Accept-Encoding is longer than any honest one
no_common_coding     it accepts none of the codings at hand
identity_preferred   it likes the plain body better
cross_site           a credentialed cross-site request (BREACH)
no_transform         Cache-Control: no-transform, in the request or the response
method               CONNECT
status               a status that has no body: 1xx, 204, 205
not_modified         304
range                206, Content-Range or multipart/byteranges
encoded              the app has encoded the body itself
opted_out            the app sent Content-Encoding: identity
integrity            a digest or a signature covers the plain body
content_type         the media type is not on the list, or missing
too_small            smaller than minimum_size
not_smaller          encoding did not make it smaller
predicate            the predicate said no
raw_send             the app sent a file or another message that is no body message
live_memory          the open-ended streams that are open already hold all the memory that encoders may take
==================== ==============================================================================================
"""

from __future__ import annotations

from typing import Final, NamedTuple


class CompressionFigures(NamedTuple):
    """The figures of one response, kept in ``Exchange.compression``.

    Attributes:
        encoding: The content coding, None where the body went out as it was.
        original_size: Bytes of the body as the app sent it; None where it was not looked at.
        encoded_size: Bytes of the body as it went out; None where it was not looked at.
        seconds: Time spent in the codec.
        skip_reason: Why the body was not encoded, a stable word; None where it was.
    """

    encoding: str | None
    original_size: int | None
    encoded_size: int | None
    seconds: float
    skip_reason: str | None


SKIPPED: Final[dict[str | None, CompressionFigures]] = {
    reason: CompressionFigures(None, None, None, 0.0, reason)
    for reason in (
        "no_accept_encoding",
        "accept_too_long",
        "no_common_coding",
        "identity_preferred",
        "cross_site",
        "no_transform",
        "method",
        "status",
        "not_modified",
        "range",
        "encoded",
        "opted_out",
        "integrity",
        "content_type",
        "too_small",
        "not_smaller",
        "predicate",
        "raw_send",
        "live_memory",
    )
}
"""The figures of a response that was left alone, made once for each reason."""
