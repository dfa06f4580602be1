"""The reasons of CORS decisions: stable words, the same in the Exchange, in a refusal and in an explanation."""

from __future__ import annotations

from typing import Final

ORIGIN_ALLOWED: Final = "origin_allowed"
PREFLIGHT_ALLOWED: Final = "preflight_allowed"
ORIGIN_NOT_ALLOWED: Final = "origin_not_allowed"
MALFORMED_ORIGIN: Final = "malformed_origin"
METHOD_NOT_ALLOWED: Final = "method_not_allowed"
MALFORMED_METHOD: Final = "malformed_request_method"
HEADER_NOT_ALLOWED: Final = "header_not_allowed"
MALFORMED_HEADERS: Final = "malformed_request_headers"
FUNCTION_FAILED: Final = "origin_function_failed"
AMBIGUOUS_PATH: Final = "ambiguous_path"
KEPT_BY_APP: Final = "kept_by_app"
SAME_ORIGIN: Final = "same_origin"
NO_ORIGIN: Final = "no_origin"

DETAILS: Final = {
    ORIGIN_NOT_ALLOWED: "This origin is not allowed to make cross-origin requests here.",
    MALFORMED_ORIGIN: "The request has more than one Origin header.",
    METHOD_NOT_ALLOWED: "The method asked for is not allowed from another origin.",
    MALFORMED_METHOD: "Access-Control-Request-Method is not one method.",
    HEADER_NOT_ALLOWED: "A header asked for is not allowed from another origin.",
    MALFORMED_HEADERS: "Access-Control-Request-Headers is not a short list of header names.",
    FUNCTION_FAILED: "It could not be decided whether this origin is allowed.",
    AMBIGUOUS_PATH: "The path can be read in several ways, to which different rules apply.",
}
"""For every reason of a refused preflight, a sentence for a person."""
