"""Putting the options together: which codings are at hand, and who is told of the figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.types import Scope
from asgi_middleware.compression.codecs import CODINGS, Codec, make_codec, missing_library, zstd_library
from asgi_middleware.compression.dictionaries import LARGEST, SMALLEST, Dictionaries, make_dictionaries
from asgi_middleware.compression.figures import CompressionFigures
from asgi_middleware.compression.gzip_backends import GzipBackend, missing_backend
from asgi_middleware.compression.padding import Padded

OnComplete = Callable[[Scope, CompressionFigures], object]

_log: Final = logging.getLogger("asgi_middleware.compression")


def dictionary_contents(dictionaries: Iterable[bytes], problems: Problems) -> tuple[bytes, ...]:
    """Read `dictionaries`; what is no dictionary is noted."""
    contents: list[bytes] = []
    given: Any = dictionaries  # what the annotation promises is what is checked here
    if isinstance(given, bytes | str) or not isinstance(given, Iterable):
        problems.add(
            "dictionaries",
            given,
            "is not a list of contents",
            fix="give a list of bytes objects, one for each dictionary",
            code="not_a_list",
        )
        return ()
    for content in given:
        if not isinstance(content, bytes):
            problems.add("dictionaries", content, "is not bytes", fix="give the raw content", code="not_bytes")
        elif not SMALLEST <= len(content) <= LARGEST:
            problems.add(
                "dictionaries",
                f"{len(content)} bytes",
                "is too small or too large to serve",
                fix=f"give {SMALLEST} to {LARGEST} bytes",
                code="out_of_range",
            )
        else:
            contents.append(content)
    return tuple(contents)


def make_codecs(
    codings: tuple[str, ...],
    contents: tuple[bytes, ...],
    *,
    gzip_level: int,
    brotli_quality: int,
    zstd_level: int,
    gzip_backend: GzipBackend,
    breach_padding: int,
) -> tuple[dict[bytes, Codec], Dictionaries | None]:
    """Make the codecs, best first, and those of the dictionaries; what is missing is logged in one line each."""
    codecs: dict[bytes, Codec] = {}
    for name in codings:
        codec = make_codec(
            name,
            gzip_level=gzip_level,
            brotli_quality=brotli_quality,
            zstd_level=zstd_level,
            gzip_backend=gzip_backend,
        )
        if codec is None:
            # Nobody asked for the defaults by name: that one is absent is worth knowing, not a warning.
            _log.log(logging.INFO if codings == CODINGS else logging.WARNING, "%s", missing_library(name))
        else:
            codecs[codec.coding] = Padded(codec, breach_padding) if breach_padding else codec
    without = missing_backend(gzip_backend)
    if without is not None:
        _log.warning("%s", without)
    library = zstd_library() if contents else None
    if contents and library is None:
        _log.warning("%s", missing_library("zstd").replace("zstd is", "dcz is"))
    return codecs, None if library is None else make_dictionaries(library, zstd_level, contents)


def tell(on_complete: OnComplete, scope: Scope, figures: CompressionFigures) -> None:
    """Call the user's function; what it raises must not break a response that is out."""
    try:
        on_complete(scope, figures)
    except Exception:  # noqa: BLE001 -- a listener of the user's; logged with its traceback
        _log.exception("on_complete has failed")
