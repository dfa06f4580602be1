"""CORSPolicy: the options that decide who may do what from another origin, checked and compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware.cors.explain import Explanation, explain
from asgi_middleware.cors.lookup import OriginAsker, OriginFunction, OriginLookup, read_lookup
from asgi_middleware.cors.options import read_exposed_headers, read_max_age, read_methods, read_request_headers
from asgi_middleware.cors.origins import OriginSet
from asgi_middleware.cors.paths import read_prefixes
from asgi_middleware.cors.rules import Rules
from asgi_middleware.cors.safety import read_origins, read_regex, warn_if_careless

_LISTS: Final = ("allow_origins", "allow_methods", "allow_headers", "expose_headers")
_SWITCHES: Final = (
    "allow_private_network",
    "dangerously_allow_insecure_origins",
    "dangerously_allow_public_suffixes",
)


@dataclass(frozen=True, kw_only=True)
class CORSPolicy:
    """Who may do what from another origin. Immutable; one policy can serve several middleware and paths.

    :class:`asgi_middleware.cors.CORSMiddleware` takes the same options directly. A policy is for what takes several, or
    takes a new one while it runs::

        from asgi_middleware.cors import CORSPolicy

        policy = CORSPolicy(allow_origins=["https://app.example.com"], allow_methods=["PUT"])
        assert policy.explain("https://app.example.com", "PUT").allowed
        assert policy.explain("https://app.example.com", "DELETE").reason == "method_not_allowed"

    Args:
        allow_origins: Who may read responses: origins and patterns in the language of :class:`OriginSet`, an
            OriginSet, or ``"*"`` for everybody, which excludes credentials.
        allow_methods: Methods beyond GET, HEAD and POST, which need no permission; or ``"*"``.
        allow_headers: Request headers that scripts may set; or ``"*"``, which without credentials does not cover
            ``authorization``.
        expose_headers: Response headers that scripts may read beyond the safelisted ones; or ``"*"``.
        allow_credentials: Whether cookies and other credentials may come along.
        max_age: Seconds for which a browser may remember a preflight's answer, 0 to 86400; None leaves it out.
        allow_origin_regex: An expression that also allows origins; it must match the whole origin.
        allow_origin_func: A function ``(origin, scope) -> bool``, async or not, that also allows origins; or an
            :class:`OriginLookup`, which remembers its answers.
        allow_private_network: Whether the private-network preflight of old Chromium versions is answered.
        dangerously_allow_insecure_origins: Whether http origins may be allowed with credentials. Whoever stands on the
            network between can rewrite such a page and act as its user.
        dangerously_allow_public_suffixes: Whether a wildcard may stand in front of a public suffix such as
            ``github.io``, under which anybody can have a name.

    Raises:
        ConfigurationError: Some options are wrong or unsafe together; every one is listed with its fix.

    Source: Fetch standard (https://fetch.spec.whatwg.org/) 3.3, 4.8, 4.9.
    """

    allow_origins: Iterable[str] | OriginSet
    allow_methods: Iterable[str] = ()
    allow_headers: Iterable[str] = ("content-type",)
    expose_headers: Iterable[str] = ()
    allow_credentials: bool = False
    max_age: int | None = 600
    allow_origin_regex: str | re.Pattern[str] | None = None
    allow_origin_func: OriginFunction | OriginLookup | None = None
    allow_private_network: bool = False
    dangerously_allow_insecure_origins: bool = False
    dangerously_allow_public_suffixes: bool = False
    rules: Rules = field(init=False, repr=False, compare=False)
    """The compiled policy."""

    def __post_init__(self) -> None:
        """Check every option and build every constant."""
        for name in _LISTS:
            value = getattr(self, name)
            if isinstance(value, Iterable) and not isinstance(value, str | bytes | OriginSet):
                object.__setattr__(self, name, tuple(value))  # an iterator could be read once only
        problems = Problems("CORSPolicy")
        credentials = problems.boolean("allow_credentials", self.allow_credentials) and self.allow_credentials
        others = [name for name in ("allow_origin_regex", "allow_origin_func") if getattr(self, name) is not None]
        origins = read_origins(
            problems,
            self.allow_origins,
            other_ways=others,
            credentials=self.allow_credentials,
            allow_public_suffixes=self.dangerously_allow_public_suffixes is True,
            allow_insecure=self.dangerously_allow_insecure_origins is True,
        )
        methods = read_methods(problems, self.allow_methods)
        headers = read_request_headers(problems, self.allow_headers)
        exposed = read_exposed_headers(problems, self.expose_headers)
        max_age = read_max_age(problems, self.max_age)
        regex = read_regex(problems, self.allow_origin_regex, credentials=self.allow_credentials)
        lookup, vary = read_lookup(problems, self.allow_origin_func)
        for name in (
            "allow_private_network",
            "dangerously_allow_insecure_origins",
            "dangerously_allow_public_suffixes",
        ):
            problems.boolean(name, getattr(self, name))
        problems.raise_if_any()
        if regex is not None:
            warn_if_careless(regex)
        asker = None if lookup is None else OriginAsker(lookup, vary)
        rules = Rules(
            origins=origins,
            regex=regex,
            methods=methods,
            headers=headers,
            exposed=exposed,
            credentials=credentials,
            max_age=max_age,
            private_network=self.allow_private_network,
            vary=tuple(name.encode("ascii") for name in vary),
            asker=asker,
        )
        object.__setattr__(self, "rules", rules)

    def explain(
        self,
        origin: str,
        method: str = "GET",
        headers: Iterable[str] = (),
        *,
        credentials: bool = False,
        function_allows: bool | None = None,
    ) -> Explanation:
        """Say what the server and the browser do about one request, step by step, and why. Nothing is sent or called.

        Args:
            origin: The page's origin.
            method: The method as the script writes it.
            headers: What the script sets: ``"x-token"``, or ``"content-type: text/plain"``, since some values need no
                permission. A name without a value is taken to need it.
            credentials: Whether the script asks for credentials (``credentials: "include"``).
            function_allows: What `allow_origin_func` would answer; None for not known, which counts as no.
        """
        answer = None if self.rules.asker is None else function_allows
        return explain(self.rules, origin, method, headers, credentials=credentials, function_allows=answer)


def read_paths(problems: Problems, paths: Any) -> dict[str, CORSPolicy | None]:
    """Read `paths`: policies by path prefix, None for paths that are left to the app."""
    good: dict[str, CORSPolicy | None] = {}
    for prefix in () if paths is None else read_prefixes(problems, "paths", paths):
        policy = paths[prefix]
        if policy is None or isinstance(policy, CORSPolicy):
            good[prefix] = policy
        else:
            fix = "pass CORSPolicy(allow_origins=[...]), or None to leave these paths to the app"
            problems.add(f"paths[{prefix!r}]", policy, "is not a policy", fix=fix, code="not_a_policy")
    return good
