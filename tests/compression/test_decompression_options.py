"""DecompressionMiddleware's options: every mistake at construction, with its fix; missing libraries with a log line."""

import gzip
import logging
import re

import pytest

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.compression import DecompressionMiddleware, inflate
from asgi_middleware.testing.driver import http


async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


WRONG = [
    ("encodings", "gzip", "string_for_list"),
    ("encodings", (), "no_coding"),
    ("encodings", ("gzip", "compress"), "unknown_coding"),
    ("encodings", ("GZIP",), "unknown_coding"),
    ("encodings", ("x-gzip",), "unknown_coding"),
    ("encodings", (1,), "not_a_string"),
    ("max_size", -1, "out_of_range"),
    ("max_size", 1e6, "not_an_integer"),
    ("max_size", True, "not_an_integer"),
    ("max_ratio", 0.5, "out_of_range"),
    ("max_ratio", "100", "not_a_number"),
    ("max_encodings", 0, "out_of_range"),
    ("max_encodings", None, "not_an_integer"),
    ("unsupported", "ignore", "unknown_choice"),
    ("buffer", 1, "not_a_bool"),
    ("exclude_paths", ("blobs",), "invalid_path_rule"),
    ("thread_minimum_size", -1, "out_of_range"),
    ("thread_minimum_size", "64k", "not_an_integer"),
]


class TestMistakes:
    """Wrong options."""

    @pytest.mark.parametrize(("option", "value", "code"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
    def test_are_reported_with_their_fix(self, option, value, code):
        """A wrong option is named, with a stable code and the fix."""
        with pytest.raises(ConfigurationError) as caught:
            DecompressionMiddleware(app, **{option: value})
        assert [(option, code)] == [(problem.option, problem.code) for problem in caught.value.problems]
        assert all(problem.fix for problem in caught.value.problems)

    def test_are_reported_all_at_once(self):
        """One call reports every mistake in it."""
        with pytest.raises(ConfigurationError) as caught:
            DecompressionMiddleware(app, **{option: value for option, value, _ in WRONG[1:]})
        options = {option for option, _, _ in WRONG}
        assert {problem.option for problem in caught.value.problems} == options


class OldBrotli:
    """A brotli from before 1.2: it cannot bound what it gives."""

    class Decompressor:
        """Has no `can_accept_more_data`."""

    error = Exception


class TestMissingLibraries:
    """An interpreter without a coding's library."""

    @pytest.fixture
    def without(self, monkeypatch):
        """Hide libraries, or put others in their place."""

        def hide(**instead):
            found = inflate.import_first

            def import_first(names):
                coding = "br" if "brotli" in names else "zstd"
                return instead[coding] if coding in instead else found(names)

            monkeypatch.setattr(inflate, "import_first", import_first)

        return hide

    @pytest.mark.anyio
    @pytest.mark.parametrize(("coding", "library"), [("br", None), ("br", OldBrotli), ("zstd", None)])
    async def test_are_left_out(self, coding, library, without, caplog):
        """The coding is not offered, a body in it is a 415, and one line of the log says why [D4]."""
        without(**{coding: library})
        with caplog.at_level(logging.INFO, "asgi_middleware.compression"):
            decompressing = DecompressionMiddleware(app)
        [record] = caplog.records
        assert record.levelno == logging.INFO
        assert re.match(rf"request bodies in {coding} are refused: .*install", record.getMessage())
        result = await http(decompressing, "POST", headers=[(b"content-encoding", coding.encode())], body=b"x")
        assert result.status == 415
        offered = result.header(b"accept-encoding").split(b", ")
        assert coding.encode() not in offered
        assert len(offered) == 3

    def test_a_coding_asked_for_by_name(self, without, caplog):
        """Who named the coding is warned."""
        without(zstd=None)
        with caplog.at_level(logging.INFO, "asgi_middleware.compression"):
            DecompressionMiddleware(app, encodings=["gzip", "zstd"])
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    @pytest.mark.anyio
    async def test_none_left(self, without):
        """Where nothing is at hand, a 415 says that only plain bodies are."""
        without(zstd=None)
        decompressing = DecompressionMiddleware(app, encodings=["zstd"])
        result = await http(decompressing, "POST", headers=[(b"content-encoding", b"zstd")], body=b"x")
        assert result.header(b"accept-encoding") == b"identity"
        plain = await http(decompressing, "POST", body=gzip.compress(b"x"))
        assert plain.status == 204
