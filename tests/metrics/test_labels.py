"""Label values stay in small sets, whatever they are made from."""

import asyncio
import http
from typing import Any

import pytest

from asgi_middleware.metrics.labels import (
    LONGEST_VALUE,
    METHODS_VARIABLE,
    OwnLabel,
    close_code_label,
    error_label,
    known_methods,
    scheme_label,
    status_label,
)


class Failed(Exception):
    class Inside(Exception):
        pass


@pytest.mark.parametrize(
    ("status", "label"),
    [
        (200, "200"),
        (100, "100"),
        (599, "599"),
        (http.HTTPStatus.NOT_FOUND, "404"),
        (99, "_OTHER"),
        (600, "_OTHER"),
        (-1, "_OTHER"),
        (0, "_OTHER"),
        ("200", "_OTHER"),
        (200.5, "_OTHER"),
        (None, "_OTHER"),
        ([200], "_OTHER"),
        (True, "_OTHER"),
    ],
)
def test_status(status: Any, label: str) -> None:
    """A status from 100 to 599 is its number, HTTPStatus too; everything else is one value [T7]."""
    assert status_label(status) == label


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (1000, "1000"),
        (1001, "1001"),
        (1006, "1006"),
        (1011, "1011"),
        (1015, "1015"),
        (None, "1005"),
        (1004, "_OTHER"),
        (999, "_OTHER"),
        (2999, "_OTHER"),
        (3000, "3xxx"),
        (3999, "3xxx"),
        (4000, "4xxx"),
        (4999, "4xxx"),
        (5000, "_OTHER"),
        ("1000", "_OTHER"),
    ],
)
def test_close_code(code: Any, label: str) -> None:
    """A registered close code is its number, ranges share a value, a missing one is 1005 [T26]."""
    assert close_code_label(code) == label


@pytest.mark.parametrize(
    ("scheme", "label"),
    [("http", "http"), ("https", "https"), ("ws", "ws"), (None, "http"), ("x", "_OTHER"), (1, "_OTHER")],
)
def test_scheme(scheme: Any, label: str) -> None:
    """Schemes that ASGI knows are given, others share a value, a missing one is http."""
    assert scheme_label(scheme) == label


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (ValueError("text"), "ValueError"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (Failed(), f"{__name__}.Failed"),
        (Failed.Inside(), f"{__name__}.Failed.Inside"),
    ],
)
def test_error(error: BaseException, label: str) -> None:
    """An error is its class, fully qualified; nothing of its text [T12]."""
    assert error_label(error) == label


@pytest.mark.parametrize(
    ("variable", "known", "unknown"),
    [
        ({}, {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}, {"get", "X"}),
        ({METHODS_VARIABLE: ""}, {"GET", "QUERY"}, {"PROPFIND"}),
        ({METHODS_VARIABLE: " , "}, {"GET", "QUERY"}, {"PROPFIND"}),
        ({METHODS_VARIABLE: "GET, PROPFIND ,"}, {"GET", "PROPFIND"}, {"POST", "QUERY", ""}),
    ],
)
def test_known_methods(variable: dict[str, str], known: set[str], unknown: set[str]) -> None:
    """RFC 9110's methods, PATCH and QUERY are known; OpenTelemetry's variable replaces the whole set [T2]."""
    methods = known_methods(variable)
    assert known <= set(methods)
    assert not unknown & set(methods)
    if "PROPFIND" in known:
        assert set(methods) == known


def test_no_long_text_is_remembered() -> None:
    """What is kept of an own label's values is as short as the label's value."""
    label = OwnLabel("tenant", 5, lambda: None)
    assert label.value("x" * 5000) == label.value("x" * 6000) == "x" * LONGEST_VALUE
    assert {len(kept) for pair in label._known.items() for kept in pair} == {LONGEST_VALUE}
