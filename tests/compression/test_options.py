"""Options: every mistake at construction, with its fix; missing libraries with one log line."""

import logging
import re
import subprocess
import sys

import pytest

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware.compression import DEFAULT_CONTENT_TYPES, CompressionMiddleware
from asgi_middleware.compression.content_types import ContentTypes
from asgi_middleware.testing.driver import http


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"text " * 500})


def content_types(include, exclude=()):
    problems = Problems("test")
    types = ContentTypes(include, exclude, problems)
    problems.raise_if_any()
    return types


WRONG = [
    ("encodings", ("gzip", "lzma"), "unknown_coding"),
    ("encodings", ("GZIP",), "unknown_coding"),
    ("encodings", ("deflate",), "unknown_coding"),
    ("encodings", "gzip", "string_for_list"),
    ("encodings", (), "no_coding"),
    ("encodings", (1,), "not_a_string"),
    ("minimum_size", -1, "out_of_range"),
    ("minimum_size", 1.5, "not_an_integer"),
    ("minimum_size", True, "not_an_integer"),
    ("gzip_level", 0, "out_of_range"),
    ("gzip_level", 10, "out_of_range"),
    ("brotli_quality", -1, "out_of_range"),
    ("brotli_quality", 12, "out_of_range"),
    ("zstd_level", 0, "out_of_range"),
    ("zstd_level", 23, "out_of_range"),
    ("include_content_types", ("json",), "invalid_content_type"),
    ("include_content_types", ("text/html; charset=utf-8",), "invalid_content_type"),
    ("exclude_content_types", "text/css", "string_for_list"),
    ("exclude_content_types", ("text/",), "invalid_content_type"),
    ("exclude_paths", ("static",), "invalid_path_rule"),
    ("etag", "strong", "unknown_choice"),
    ("breach_protection", True, "unknown_choice"),
    ("thread_minimum_size", -1, "out_of_range"),
    ("predicate", "no", "not_callable"),
    ("breach_padding", -1, "out_of_range"),
    ("breach_padding", 5000, "out_of_range"),
    ("gzip_backend", "libdeflate", "unknown_choice"),
    ("pathsend", True, "unknown_choice"),
    ("cache_size", -1, "out_of_range"),
    ("dictionaries", b"one content", "not_a_list"),
    ("dictionaries", 5, "not_a_list"),
    ("dictionaries", ("text of a dictionary",), "not_bytes"),
    ("dictionaries", (b"short",), "out_of_range"),
    ("remove_accept_encoding", 1, "not_a_bool"),
    ("on_complete", "no", "not_callable"),
]


class TestMistakes:
    """Wrong options."""

    @pytest.mark.parametrize(("option", "value", "code"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
    def test_are_reported_with_their_fix(self, option, value, code):
        """A wrong option is named, with a stable code and the fix."""
        with pytest.raises(ConfigurationError) as caught:
            CompressionMiddleware(app, **{option: value})
        assert [(option, code)] == [(problem.option, problem.code) for problem in caught.value.problems]
        assert all(problem.fix for problem in caught.value.problems)

    def test_are_reported_all_at_once(self):
        """One call reports every mistake in it."""
        with pytest.raises(ConfigurationError) as caught:
            CompressionMiddleware(app, encodings=("lzma", "lz4"), gzip_level=11, etag="no", minimum_size=-5)
        assert [problem.option for problem in caught.value.problems] == [
            "encodings",
            "encodings",
            "minimum_size",
            "gzip_level",
            "etag",
        ]

    def test_options_are_keywords(self):
        """Only the app is positional."""
        with pytest.raises(TypeError):
            CompressionMiddleware(app, ("gzip",))


class TestRightOptions:
    """Options that hold."""

    def test_coding_named_twice_counts_once(self):
        """A repetition in `encodings` does no harm."""
        assert list(CompressionMiddleware(app, encodings=["gzip", "br", "gzip"])._policy.agreements._codecs) == [
            b"gzip",
            b"br",
        ]

    def test_takes_generators(self):
        """Any iterable serves where a list is needed."""
        CompressionMiddleware(app, encodings=iter(["gzip"]), exclude_content_types=(t for t in ["text/css"]))

    def test_no_content_type_at_all(self):
        """An empty allow list matches nothing, not everything."""
        types = content_types(include=(), exclude=("text/css",))
        assert not types.classify(b"text/plain").compressible
        assert not types.classify(b"").compressible

    def test_default_content_types_are_media_types(self):
        """The list that users extend holds what the option accepts, each type once."""
        CompressionMiddleware(app, include_content_types=(*DEFAULT_CONTENT_TYPES, "application/x-own"))
        assert len(set(DEFAULT_CONTENT_TYPES)) == len(DEFAULT_CONTENT_TYPES)

    def test_patterns_are_no_regular_expressions(self):
        """A dot is a dot, and a star stays within its half."""
        types = content_types(include=("text/x.y", "application/*+json"))
        assert types.classify(b"text/x.y").compressible
        assert not types.classify(b"text/xzy").compressible
        assert types.classify(b"application/vnd.api+json").compressible
        assert not types.classify(b"application/json").compressible
        assert not types.classify(b"application/a/b+json").compressible

    def test_the_memory_of_types_is_bounded(self):
        """An app that sends ever new types cannot fill the memory."""
        types = content_types(include=DEFAULT_CONTENT_TYPES)
        for number in range(2000):
            assert types.classify(b"text/plain; x=%d" % number).compressible
            assert not types.classify(b"image/png; x=%d" % number).compressible
        assert types.classify(b"text/plain; x=" + b"y" * 5000).compressible
        assert max(map(len, (types._seen, types.never, types.ordinary))) <= 256
        assert max(len(value or b"") for value in types._seen) <= 256


LIBRARIES = {"zstd": ("compression.zstd", "backports.zstd"), "br": ("brotli", "brotlicffi")}


class TestMissingLibrary:
    """An interpreter without one of the libraries [C2]."""

    @pytest.fixture
    def without(self, monkeypatch):
        """Make the libraries of a coding fail to import."""

        def hide(coding):
            for name in LIBRARIES[coding]:
                monkeypatch.setitem(sys.modules, name, None)

        return hide

    @pytest.mark.anyio
    @pytest.mark.parametrize("coding", ["zstd", "br"])
    async def test_leaves_its_coding_out(self, coding, without, caplog):
        """The coding is not offered, one line says what to install, and the others work [C2]."""
        without(coding)
        with caplog.at_level(logging.INFO, logger="asgi_middleware.compression"):
            middleware = CompressionMiddleware(app)
        assert len(caplog.records) == 1
        assert caplog.records[0].levelname == "INFO"
        assert re.match(rf"{coding} is left out: .+ can be imported; .+ install ", caplog.records[0].getMessage())
        result = await http(middleware, headers=[(b"accept-encoding", coding.encode())])
        assert result.header(b"content-encoding") is None
        result = await http(middleware, headers=[(b"accept-encoding", b"gzip")])
        assert result.header(b"content-encoding") == b"gzip"

    def test_warns_where_it_was_asked_for(self, without, caplog):
        """Who names the coding is warned [C2]."""
        without("zstd")
        CompressionMiddleware(app, encodings=["zstd", "gzip"])
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    @pytest.mark.anyio
    async def test_leaves_everything_plain_where_no_coding_is_left(self, without):
        """With no library at all, responses pass [C2]."""
        without("zstd")
        middleware = CompressionMiddleware(app, encodings=["zstd"])
        result = await http(middleware, headers=[(b"accept-encoding", b"zstd, *")])
        assert result.body == b"text " * 500
        assert result.header(b"content-encoding") is None

    def test_imports_without_any_library(self):
        """The module itself imports where neither library can be [C2]."""
        hidden = [name for names in LIBRARIES.values() for name in names]
        code = (
            f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))\n"
            "from asgi_middleware.compression import CompressionMiddleware\n"
            "print(*CompressionMiddleware(print)._policy.agreements._codecs)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["b'gzip'"]
