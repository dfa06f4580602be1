"""Unsafe policies: impossible, or spelled dangerously; careless expressions are warned about."""

import re
import sys
import warnings
from typing import Any

import pytest

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.cors import CarelessRegexWarning, CORSMiddleware, CORSPolicy, OriginSet, suffixes
from asgi_middleware.cors.safety import careless


def codes(**options: Any) -> list[str]:
    """Give the codes of what is wrong with a policy."""
    try:
        CORSPolicy(**options)
    except ConfigurationError as error:
        return [problem.code if problem.fix else "" for problem in error.problems]
    return []


class TestInsecureOrigins:
    @pytest.mark.parametrize(
        "entry", ["http://app.example.com", "http://*.example.com", "http://app.example.com:*", "http://10.0.0.7:8080"]
    )
    def test_with_credentials(self, entry: str) -> None:
        """An http origin with credentials is an error that names the https origin; the dangerous switch allows it."""
        assert codes(allow_origins=[entry], allow_credentials=True) == ["insecure_with_credentials"]
        assert codes(allow_origins=[entry]) == []
        assert codes(allow_origins=[entry], allow_credentials=True, dangerously_allow_insecure_origins=True) == []
        with pytest.raises(ConfigurationError, match=re.escape(f"'https{entry[4:]}'")):
            CORSPolicy(allow_origins=[entry], allow_credentials=True)

    @pytest.mark.parametrize(
        "entry",
        [
            "http://localhost",
            "http://localhost:3000",
            "http://localhost:*",
            "http://app.localhost:8000",
            "http://*.localhost:*",
            "http://127.0.0.1:5173",
            "http://127.1.2.3",
            "http://[::1]:*",
            "https://app.example.com",
            "capacitor://localhost",
        ],
    )
    def test_own_machine(self, entry: str) -> None:
        """Pages of the own machine, and of other schemes, never pass the network."""
        assert codes(allow_origins=[entry], allow_credentials=True) == []

    def test_localhost_look_alike(self) -> None:
        """A name that only begins like the own machine's is none."""
        assert codes(allow_origins=["http://localhost.evil.test"], allow_credentials=True) == [
            "insecure_with_credentials"
        ]
        assert codes(allow_origins=["http://127.0.0.1.evil.test"], allow_credentials=True) == [
            "insecure_with_credentials"
        ]


PUBLIC = [
    "https://*.github.io",
    "https://*.co.uk",
    "https://*.herokuapp.com:*",
    "https://*.compute.amazonaws.com",
    "https://*.kawasaki.jp",
]


class TestPublicSuffixes:
    @pytest.mark.parametrize("entry", PUBLIC)
    def test_error(self, entry: str) -> None:
        """A wildcard over a domain where anybody can have a name is an error; the dangerous switch allows it."""
        assert codes(allow_origins=[entry]) == ["wildcard_public_suffix"]
        assert codes(allow_origins=[entry], dangerously_allow_public_suffixes=True) == []
        assert OriginSet([entry], dangerously_allow_public_suffixes=True)
        with pytest.raises(ConfigurationError, match="dangerously_allow_public_suffixes"):
            OriginSet([entry])

    @pytest.mark.parametrize(
        "entry",
        [
            "https://me.github.io",
            "https://*.me.github.io",
            "https://*.example.co.uk",
            "https://*.example.com",
            "https://*.internal",
            "https://*.corp",
        ],
    )
    def test_fine(self, entry: str) -> None:
        """One name of it, what is below that, and names that no registry sells are fine."""
        assert codes(allow_origins=[entry]) == []

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the package nothing is known of public suffixes; a whole top-level domain is seen all the same."""
        monkeypatch.setitem(sys.modules, "publicsuffixlist", None)
        suffixes._suffixes.cache_clear()
        try:
            assert codes(allow_origins=[PUBLIC[0]]) == []
            assert codes(allow_origins=["https://*.com"]) == ["wildcard_top_level"]
        finally:
            suffixes._suffixes.cache_clear()


CARELESS = [
    (r"https://app.example\.com", "a dot"),
    (r"https://app\.example.com", "a dot"),
    (r"https://.*.example\.com", "a dot"),
    (r"https://([a-z0-9-]+\.?)+example\.com", "repeats a repetition"),
    (r"https://(?:[a-z]+)*\.example\.com", "repeats a repetition"),
    (r"https://(?:(?:a|b+)c)+\.example\.com", "repeats a repetition"),
    (r"https://(a{1,9}){2,}\.example\.com", "repeats a repetition"),
    (r".*", "anybody"),
    (r"https?://.*", "anybody"),
    (r"https://[^/]+", "anybody"),
]
CAREFUL = [
    r"https://pr-\d+\.example\.com",
    r"https://.*\.example\.com",
    r"https://[a-z.]+\.example\.com",
    r"https://[]a-z.x]+\.example\.com",
    r"https://(?:app|www)\.example\.com",
    r"https://(?:[a-z]+\.)?example\.com",
    r"https://[a-z]{1,20}\.example\.com",
    r"https://(?:a\+)+\.example\.com",
]


class TestCarelessRegex:
    @pytest.mark.parametrize(("regex", "fault"), CARELESS)
    def test_warned_about(self, regex: str, fault: str) -> None:
        """An expression that matches too much or can stall the process is warned about, in its user's name [12]."""
        with pytest.warns(CarelessRegexWarning, match=fault) as caught:
            CORSMiddleware(lambda *_: None, allow_origins=[], allow_origin_regex=regex)  # type: ignore[arg-type]
        assert {warning.filename for warning in caught} == {__file__}
        with pytest.warns(CarelessRegexWarning, match=fault) as caught:
            CORSPolicy(allow_origins=[], allow_origin_regex=regex)
        assert {warning.filename for warning in caught} == {__file__}

    @pytest.mark.parametrize("regex", CAREFUL)
    def test_fine(self, regex: str) -> None:
        """An expression with its dots escaped and without nested repetition is fine."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            CORSPolicy(allow_origins=[], allow_origin_regex=regex)

    def test_unbalanced(self) -> None:
        """A class that holds brackets confuses nobody."""
        assert careless(re.compile(r"https://[()+*]\)+\.example\.com")) == []


def test_policy_lists_everything() -> None:
    """A policy made alone reports everything at once, in its own name."""
    with pytest.raises(ConfigurationError) as caught:
        CORSPolicy(
            allow_origins=["http://a.test", "null", "https://b.test/"],
            allow_methods=["trace"],
            allow_credentials=True,
            allow_private_network="yes",  # type: ignore[arg-type]
            dangerously_allow_insecure_origins=None,  # type: ignore[arg-type]
        )
    assert str(caught.value).startswith("CORSPolicy: 6 problems")
    assert [problem.code for problem in caught.value.problems] == [
        "origin_trailing_slash",
        "null_with_credentials",
        "insecure_with_credentials",
        "forbidden_method",
        "not_a_bool",
        "not_a_bool",
    ]


def test_iterators() -> None:
    """A policy reads an iterator once and shows what was in it."""
    policy = CORSPolicy(allow_origins=iter(["https://a.test"]), allow_methods=(name for name in ["PUT"]))
    assert (policy.allow_origins, policy.allow_methods) == (("https://a.test",), ("PUT",))
    assert policy == CORSPolicy(allow_origins=["https://a.test"], allow_methods=["PUT"])
