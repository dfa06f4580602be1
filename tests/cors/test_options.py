"""CORSMiddleware's options: what is wrong, said at once, at construction, with the fix."""

import re
from typing import Any

import pytest

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.cors import CORSMiddleware, OriginSet

GOOD = {"allow_origins": ["https://app.example.com"]}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing."""


def problems_of(**options: Any) -> list[tuple[str, str]]:
    """Give (option, code) of every problem that the options have."""
    with pytest.raises(ConfigurationError) as caught:
        CORSMiddleware(app, **options)
    assert str(caught.value).startswith("CORSMiddleware: ")
    assert all(problem.fix and problem.message for problem in caught.value.problems)
    return [(problem.option, problem.code) for problem in caught.value.problems]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"allow_origins": "https://app.example.com"}, "allow_origins", "string_for_list"),
    ({"allow_origins": b"https://app.example.org"}, "allow_origins", "string_for_list"),
    ({"allow_origins": None}, "allow_origins", "not_a_list"),
    ({"allow_origins": 5}, "allow_origins", "not_a_list"),
    ({"allow_origins": [b"https://app.example.com"]}, "allow_origins", "not_a_string"),
    ({"allow_origins": [None]}, "allow_origins", "not_a_string"),
    ({"allow_origins": []}, "allow_origins", "no_origins"),
    ({"allow_origins": iter(())}, "allow_origins", "no_origins"),
    ({"allow_origins": ["https://app.example.com/"]}, "allow_origins", "origin_trailing_slash"),
    ({"allow_origins": ["app.example.com"]}, "allow_origins", "origin_without_scheme"),
    ({"allow_origins": ["https://app.example.com:443"]}, "allow_origins", "origin_default_port"),
    ({"allow_origins": ["https://App.example.com"]}, "allow_origins", "origin_upper_case"),
    ({"allow_origins": ["https://*"]}, "allow_origins", "wildcard_place"),
    ({"allow_origins": ["https://*.com"]}, "allow_origins", "wildcard_top_level"),
    ({"allow_origins": ["*", "https://a.test"]}, "allow_origins", "wildcard_with_others"),
    ({"allow_origins": ["*"], "allow_credentials": True}, "allow_origins", "wildcard_with_credentials"),
    ({"allow_origins": "*", "allow_credentials": True}, "allow_origins", "wildcard_with_credentials"),
    ({"allow_origins": OriginSet("*"), "allow_credentials": True}, "allow_origins", "wildcard_with_credentials"),
    ({"allow_origins": ["null"], "allow_credentials": True}, "allow_origins", "null_with_credentials"),
    ({"allow_origins": OriginSet(["null"]), "allow_credentials": True}, "allow_origins", "null_with_credentials"),
    *(
        (
            {**GOOD, "allow_origin_regex": regex, "allow_credentials": True},
            "allow_origin_regex",
            "wildcard_with_credentials",
        )
        for regex in (".*", "https?://.*", "http://.+", re.compile(r"https://[^/]+"))
    ),
    ({"allow_origins": "*", "allow_origin_regex": ".*"}, "allow_origins", "wildcard_with_others"),
    ({"allow_origin_regex": "("}, "allow_origin_regex", "not_a_regex"),
    ({"allow_origin_regex": ""}, "allow_origin_regex", "not_a_regex"),
    ({"allow_origin_regex": re.compile(b"https://a")}, "allow_origin_regex", "not_a_regex"),
    ({"allow_origin_regex": ["https://a"]}, "allow_origin_regex", "not_a_regex"),
    ({"allow_methods": "PUT"}, "allow_methods", "string_for_list"),
    ({"allow_methods": ["PUT, DELETE"]}, "allow_methods", "not_a_method"),
    ({"allow_methods": ["PUT "]}, "allow_methods", "not_a_method"),
    ({"allow_methods": [""]}, "allow_methods", "not_a_method"),
    ({"allow_methods": ["P\u00fcT"]}, "allow_methods", "not_a_method"),
    ({"allow_methods": ["CONNECT"]}, "allow_methods", "forbidden_method"),
    ({"allow_methods": ["TRACE"]}, "allow_methods", "forbidden_method"),
    ({"allow_methods": ["Track"]}, "allow_methods", "forbidden_method"),
    ({"allow_methods": ["patch"]}, "allow_methods", "method_case"),
    ({"allow_methods": ["Put"]}, "allow_methods", "method_case"),
    ({"allow_methods": [1]}, "allow_methods", "not_a_string"),
    ({"allow_headers": "x-token"}, "allow_headers", "string_for_list"),
    ({"allow_headers": ["x token"]}, "allow_headers", "not_a_header_name"),
    ({"allow_headers": ["x-a, x-b"]}, "allow_headers", "not_a_header_name"),
    ({"allow_headers": [""]}, "allow_headers", "not_a_header_name"),
    ({"allow_headers": ["x-\u00e4"]}, "allow_headers", "not_a_header_name"),
    ({"allow_headers": ["x-a\r\nset-cookie: a=b"]}, "allow_headers", "not_a_header_name"),
    ({"allow_headers": ["Cookie"]}, "allow_headers", "forbidden_request_header"),
    ({"allow_headers": ["Origin"]}, "allow_headers", "forbidden_request_header"),
    ({"allow_headers": ["sec-fetch-mode"]}, "allow_headers", "forbidden_request_header"),
    ({"allow_headers": ["Proxy-Authorization"]}, "allow_headers", "forbidden_request_header"),
    ({"allow_headers": ["Access-Control-Request-Method"]}, "allow_headers", "forbidden_request_header"),
    ({"allow_headers": ["Access-Control-Allow-Origin"]}, "allow_headers", "response_header"),
    ({"expose_headers": "x-total"}, "expose_headers", "string_for_list"),
    ({"expose_headers": ["x total"]}, "expose_headers", "not_a_header_name"),
    ({"expose_headers": ["Set-Cookie"]}, "expose_headers", "forbidden_response_header"),
    ({"expose_headers": ["set-cookie2"]}, "expose_headers", "forbidden_response_header"),
    ({"expose_headers": ["Access-Control-Allow-Origin"]}, "expose_headers", "protocol_header"),
    ({"allow_credentials": "false"}, "allow_credentials", "not_a_bool"),
    ({"allow_credentials": 1}, "allow_credentials", "not_a_bool"),
    ({"max_age": -1}, "max_age", "out_of_range"),
    ({"max_age": 86_401}, "max_age", "out_of_range"),
    ({"max_age": 600.0}, "max_age", "not_an_integer"),
    ({"max_age": "600"}, "max_age", "not_an_integer"),
    ({"max_age": True}, "max_age", "not_an_integer"),
    ({"preflight_status": 201}, "preflight_status", "unknown_choice"),
    ({"preflight_status": "204"}, "preflight_status", "unknown_choice"),
    ({"vary_preflight": 0}, "vary_preflight", "not_a_bool"),
]


@pytest.mark.parametrize(("options", "option", "code"), WRONG, ids=range(len(WRONG)))
def test_wrong_option(options: dict[str, Any], option: str, code: str) -> None:
    """A wrong or unsafe option is one problem, with its option's name and a stable code."""
    assert problems_of(**{**GOOD, **options}) == [(option, code)]


def test_everything_at_once() -> None:
    """All problems of all options come in one error, in the order of the options."""
    found = problems_of(
        allow_origins=["*", "https://a.test/"],
        allow_methods=["patch", "TRACE"],
        allow_headers=["Cookie"],
        expose_headers=["Set-Cookie"],
        allow_credentials=True,
        max_age=-1,
        preflight_status=403,
    )
    assert found == [
        ("allow_origins", "wildcard_with_others"),
        ("allow_origins", "origin_trailing_slash"),
        ("allow_origins", "wildcard_with_credentials"),
        ("allow_methods", "method_case"),
        ("allow_methods", "forbidden_method"),
        ("allow_headers", "forbidden_request_header"),
        ("expose_headers", "forbidden_response_header"),
        ("max_age", "out_of_range"),
        ("preflight_status", "unknown_choice"),
    ]


def test_fix_names_the_spelling() -> None:
    """The message of the whole error holds each value, what is wrong with it, and the fix."""
    with pytest.raises(ConfigurationError) as caught:
        CORSMiddleware(app, allow_origins=["https://x.com/"])
    text = str(caught.value)
    assert "allow_origins='https://x.com/'" in text
    assert "ends with a slash" in text
    assert "Fix: write 'https://x.com'" in text


def test_origins_are_required() -> None:
    """There is no default for the origins."""
    with pytest.raises(TypeError, match="allow_origins"):
        CORSMiddleware(app)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "options",
    [
        {"allow_origins": []},
        {"allow_origins": ()},
    ],
    ids=["list", "tuple"],
)
def test_regex_alone(options: dict[str, Any]) -> None:
    """An expression alone is enough, as with Starlette."""
    CORSMiddleware(app, **options, allow_origin_regex=r"https://[a-z]+\.example\.com")


@pytest.mark.parametrize(
    "options",
    [
        {"allow_methods": "*"},
        {"allow_methods": ["*", "PUT"]},
        {"allow_methods": ["GET", "POST", "CUSTOM", "custom"]},
        {"allow_headers": ["*", "Authorization"]},
        {"allow_headers": iter(["X-Token"])},
        {"expose_headers": {"X-Total"}},
        {"expose_headers": ["Content-Type", "ETag"]},
        {"max_age": 0},
        {"max_age": 86_400},
        {"max_age": None},
        {"preflight_status": 200},
        {"allow_origin_regex": re.compile(r"https://x\.test", re.IGNORECASE)},
        {"allow_origins": ["null"]},
        {"allow_origins": {"https://a.test"}},
        {"allow_origins": OriginSet(["https://a.test"]), "allow_credentials": True},
    ],
    ids=range(15),
)
def test_right_options(options: dict[str, Any]) -> None:
    """What is right passes, in any iterable."""
    CORSMiddleware(app, **{**GOOD, **options})
