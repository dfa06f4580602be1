"""Path rules: an exemption holds only where no two readers of the path could disagree."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.paths import PathRules, app_path, canonical_path, is_ambiguous, path_forms, readings
from asgi_middleware.testing import http_scope, websocket_scope


def scope_of(path: str, method: str = "GET", **keys):
    return http_scope(method, path, **keys)


class TestExempts:
    """What is free, and what is not."""

    @pytest.mark.parametrize(
        ("rule", "path"),
        [
            ("/", "/"),
            ("/health", "/health"),
            ("/health/", "/health/"),
            ("/files/*", "/files/a.txt"),
            ("/files/*", "/files/grüße.txt"),
            ("/files/*.css", "/files/site.css"),
            ("/files/*.css", "/files/.css"),
            ("/static/**", "/static"),
            ("/static/**", "/static/"),
            ("/static/**", "/static/a/b/c.js"),
            ("/**", "/"),
            ("/**", "/a/b"),
            ("/a/**/z", "/a/z"),
            ("/a/**/z", "/a/b/c/z"),
            ("GET /health", "/health"),
            ("GET  /health", "/health"),
            (re.compile(r"/v[0-9]+/ping"), "/v2/ping"),
            ("/with space", "/with space"),
        ],
    )
    def test_the_declared_path(self, rule, path):
        """A declared path is exempt."""
        assert PathRules([rule]).exempts(scope_of(path))

    @pytest.mark.parametrize(
        ("rule", "path"),
        [
            ("/health", "/healthz"),
            ("/health", "/health/x"),
            ("/health", "/Health"),
            ("/health", "/"),
            ("/health", "/admin/health"),
            ("/health", "/health\n"),
            ("/files/*", "/files/a/b"),
            ("/files/*", "/files/"),
            ("/files/*", "/files"),
            ("/static/**", "/staticx"),
            ("/a/**/z", "/a/b/zz"),
            ("POST /health", "/health"),
            (re.compile(r"/v[0-9]+/ping"), "/v2/ping/x"),
            (re.compile(r"/v[0-9]+/ping"), "/x/v2/ping"),
        ],
    )
    def test_its_neighbours_are_not(self, rule, path):
        """Nothing beyond the declared path is exempt: patterns match the whole path."""
        assert not PathRules([rule]).exempts(scope_of(path))

    @pytest.mark.parametrize(
        "path",
        [
            "//static/x",
            "/static//x",
            "/static/../admin",
            "/static/./x",
            "/static/..",
            "/static/.",
            "/static/x;y=1",
            "/static/..;/admin",
            "/static\\..\\admin",
            "/static/x?y",
            "/static/x#y",
            "/static/%2e%2e/admin",
            "/static/a%2fb",
            "/static/x\x00",
            "/static/x\n",
            "/static/x\x7f",
            "static/x",
            "http://host/static/x",
            "*",
            "",
        ],
    )
    def test_an_ambiguous_path_is_never_exempt(self, path):
        """On these two readers may disagree, so the widest rule does not free them."""
        rules = PathRules(["/**", "/static/**", re.compile(".*", re.DOTALL)])
        assert not rules.exempts(scope_of(path, raw_path=None))

    @pytest.mark.parametrize(
        "raw_path",
        [
            b"/static%2Fx",
            b"/static%2fx",
            b"/static/%5c",
            b"/static/%00",
            b"/static/x%3Fy",
            b"/static/%23",
            b"/%2e%2e/x",
            b"/st%61tic/x",
            b"/%53TATIC/x",
            b"/static/%7Ex",
            b"/static/x%2Dy",
            b"/static/x%5fy",
            b"/static/%30",
        ],
    )
    def test_raw_bytes_are_watched(self, raw_path):
        """What is a delimiter, or encoded without need, makes a path ambiguous that looks plain once decoded."""
        assert not PathRules(["/static/**"]).exempts(scope_of("/static/x", raw_path=raw_path))

    def test_each_byte_of_the_raw_path(self):
        """Of all escapes these are watched: delimiters, and what needs none (RFC 3986 2.3), in either letter case."""
        watched = b"/\\\0?#;%-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        for byte in range(256):
            for escape in (b"%%%02X" % byte, b"%%%02x" % byte):
                assert is_ambiguous("/static/x", b"/static/" + escape) == (byte in watched)

    @pytest.mark.parametrize(
        "raw_path", [b"/static/%20", b"/static/%C3%BC", b"/static/%5B1%5D", b"/static/a%2Cb", b"/static/%40"]
    )
    def test_raw_bytes_that_must_be_encoded(self, raw_path):
        """Spaces, letters outside ASCII and sub-delimiters are no reason to look twice."""
        path = unquote(raw_path.decode())
        assert PathRules(["/static/**"]).exempts(scope_of(path, raw_path=raw_path))

    def test_a_query_in_raw_path_is_no_part_of_the_path(self):
        """Callers that leave the query in raw_path do not lose their exemptions."""
        assert PathRules(["/health"]).exempts(scope_of("/health", raw_path=b"/health?next=%2Fadmin"))

    @pytest.mark.parametrize(
        "headers",
        [[(b"host", b"x/health?")], [(b"x-forwarded-uri", b"/health")], [(b"x-original-url", b"/health")]],
    )
    def test_headers_say_nothing(self, headers):
        """Neither Host nor a forwarding header moves a request to an exempt path."""
        assert not PathRules(["/health"]).exempts(scope_of("/admin", headers=headers))

    def test_a_lower_case_method_is_not_the_method(self):
        """Methods are case-sensitive (RFC 9110 9.1)."""
        assert not PathRules(["GET /health"]).exempts(scope_of("/health", "get"))

    def test_several_methods_of_one_path(self):
        """A path may be exempt for some methods; a rule without a method frees them all."""
        rules = PathRules(["PUT /a", "DELETE /a"])
        assert [rules.exempts(scope_of("/a", method)) for method in ("PUT", "DELETE", "POST")] == [True, True, False]
        assert PathRules(["GET /a", "/a"]).exempts(scope_of("/a", "POST"))
        assert PathRules(["/a", "GET /a"]).exempts(scope_of("/a", "POST"))
        assert PathRules(["GET /a", "POST /*"]).exempts(scope_of("/a", "POST"))

    @pytest.mark.parametrize("rule", ["GET /a", "GET /*", "GET /**"])
    def test_get_includes_head(self, rule):
        """HEAD is GET without the content (RFC 9110 9.3.2), for rules that free and that tighten; not the reverse."""
        rules = PathRules([rule])
        for ask in (rules.exempts, rules.concerns):
            assert [ask(scope_of("/a", method)) for method in ("GET", "HEAD", "POST")] == [True, True, False]
        assert not PathRules([rule.replace("GET", "HEAD")]).exempts(scope_of("/a", "GET"))

    def test_a_websocket_has_no_method(self):
        """A rule without a method covers a WebSocket, one with a method does not."""
        assert PathRules(["/ws"]).exempts(websocket_scope("/ws"))
        assert not PathRules(["GET /ws"]).exempts(websocket_scope("/ws"))

    @given(st.text(alphabet="/.ab%;?\\", max_size=12))
    def test_an_exempt_path_is_its_own_canonical_form(self, path):
        """Whatever is exempt names one resource, up to a trailing slash."""
        if PathRules(["/**"]).exempts(scope_of(path, raw_path=None)):
            assert path in {canonical_path(path), f"{canonical_path(path)}/"}


class TestWildcards:
    """What wildcards match, and at what cost."""

    @given(
        st.lists(
            st.sampled_from(["*", "**", "a", "ab", "a*", "*a", "*a*b", "a*b*", "*.*", "*a*a*"]), min_size=1, max_size=5
        ),
        st.lists(st.text(alphabet="ab.", min_size=1, max_size=4), max_size=6),
    )
    def test_they_match_what_plain_backtracking_matches(self, rule, path):
        """Parts that are found once and for all miss nothing: the textbook expression agrees."""
        assume("*" in "".join(rule))
        plain = "".join(
            ("(?:/.*)?" if number == len(rule) else "(?:/[^/]+)*")
            if segment == "**"
            else "/[^/]+"
            if segment == "*"
            else "/" + re.escape(segment).replace(r"\*", "[^/]*")
            for number, segment in enumerate(rule, 1)
        )
        target = "/" + "/".join(path)
        assert PathRules(["/" + "/".join(rule)]).exempts(scope_of(target, raw_path=None)) == (
            re.fullmatch(plain, target) is not None and not is_ambiguous(target, None)
        )

    @pytest.mark.parametrize(
        ("rule", "path"),
        [
            ("/files/*.*.*.*.*", "/files/" + "." * 50_000 + "/x"),
            ("/x/**/a/**/a/**/a/**/z", "/x" + "/a" * 50_000),
            ("/**/*a*a*a*b/**/z", "/x" + "/aaaa" * 10_000),
        ],
    )
    def test_a_long_path_costs_one_pass(self, rule, path):
        """Tried in every combination, these would take days."""
        assert not PathRules([rule]).exempts(scope_of(path))


class TestRootPath:
    """The root path is taken off by whole segments."""

    @pytest.mark.parametrize(
        ("root_path", "path", "expected"),
        [
            ("", "/health", "/health"),
            ("/v1", "/v1/health", "/health"),
            ("/v1/", "/v1/health", "/health"),
            ("/v1", "/health", "/health"),
            ("/v1", "/v1", "/"),
            ("/v", "/v1/health", None),
            ("/v1", "/v1/v1/health", "/v1/health"),
            ("/v1", "/static/v1/admin", None),
            ("/v1", "/static/v1.css", None),
        ],
    )
    def test_app_path(self, root_path, path, expected):
        """With and without the prefix in the path; one that ends within a segment, or stands inside, is ambiguous."""
        assert app_path(scope_of(path, root_path=root_path)) == expected

    def test_exemptions_are_relative_to_it(self):
        """The rule is written as the application sees the path."""
        rules = PathRules(["/health"])
        assert rules.exempts(scope_of("/v1/health", root_path="/v1"))
        assert not rules.exempts(scope_of("/v1/v1/health", root_path="/v1"))
        assert not rules.exempts(scope_of("/v1/health", root_path="/v"))

    def test_a_root_path_inside_the_path(self):
        """Litestar cuts at the first occurrence wherever it is, and would serve /admin here."""
        assert not PathRules(["/static/**"]).exempts(scope_of("/static/v1/admin", root_path="/v1"))
        assert PathRules(["/admin"]).concerns(scope_of("/static/v1/admin", root_path="/v1"))

    def test_a_missing_path_is_not_exempt(self):
        """A scope without a path is never exempt, and always concerned."""
        rules = PathRules(["/**"])
        assert not rules.exempts({"type": "http"})
        assert rules.concerns({"type": "http"})


class TestConcerns:
    """A rule that tightens holds for any reading of the path."""

    @pytest.mark.parametrize(
        "path",
        [
            "/admin",
            "/admin/",
            "/admin/users",
            "//admin",
            "///admin///",
            "/x/../admin",
            "/./admin",
            "/admin;a=1",
            "/admin;a=1/users",
            "/%61dmin",
            "/admin%2Fusers",
            "/x\\..\\admin",
            "/admin?x",
            "/admin#x",
            "admin",
            "//admin/..",
            "/admin//..",
            "http://host/admin",
            "http://host//admin/users",
            "http:/\tadmin",
            "x:/admin",
            "http://host/%61dmin",
            "/ADMIN",
            "/Admin/Users",
            "//ADMIN;a=1",
            "//host/admin",
            "/adm\u0131n",
            "/ADM\u0130N/users",
        ],
    )
    def test_every_reading_counts(self, path):
        """However a router reads it, the rule is not slipped past."""
        assert PathRules(["/admin/**"]).concerns(scope_of(path))

    @pytest.mark.parametrize(
        "path", ["/admin\n", "/admin/\n", "/admin\r\n", "/ad\tmin", "/%0aadmin", "/admin\0x", "//admin\n"]
    )
    @pytest.mark.parametrize("rule", ["/admin", "/*min", re.compile("/adm[a-z]n")])
    def test_control_characters_hide_nothing(self, rule, path):
        """A router whose expression ends in "$" serves /admin for /admin and a line break; a rule sees through it."""
        assert PathRules([rule]).concerns(scope_of(path))
        assert not PathRules([rule]).exempts(scope_of(path))

    @pytest.mark.parametrize("path", ["/admin", "/admin/", "//admin", "/x/../admin"])
    @pytest.mark.parametrize("rule", ["/admin", "/admin/"])
    def test_a_trailing_slash_makes_no_difference(self, rule, path):
        """Some routers serve both forms by one handler."""
        assert PathRules([rule]).concerns(scope_of(path))

    @pytest.mark.parametrize("rule", ["/Admin", "/Admin/*", "GET /Admin/**", re.compile("/Adm[A-Z]n/.*")])
    def test_the_letter_case_makes_no_difference(self, rule):
        """Some routers serve /ADMIN by the handler of /admin; an exemption holds for its own spelling only."""
        assert PathRules([rule]).concerns(scope_of("/aDMIN/x" if "*" in str(rule) else "/aDMIN"))
        assert not PathRules([rule]).exempts(scope_of("/aDMIN/x" if "*" in str(rule) else "/aDMIN"))

    @pytest.mark.parametrize(
        ("rule", "path"),
        [
            ("/users", "/u\u017fers"),
            (re.compile("/a d m i n", re.VERBOSE), "/ADMIN"),
            (re.compile("//+internal"), "//internal"),
        ],
        ids=["a long s", "flags of a pattern", "a pattern of what is written"],
    )
    def test_as_the_rule_says_it(self, rule, path):
        """A rule holds for look-alikes, a pattern with its own flags, and for the path as it is written, too."""
        assert PathRules([rule]).concerns(scope_of(path))

    @pytest.mark.parametrize("pattern", ["/(?!public).*", "/[^A-Z]+"])
    def test_a_pattern_that_excludes_still_sees_the_spelling(self, pattern):
        """Without regard to case an exclusion would exclude more: the path as it came counts as well."""
        rules = PathRules([re.compile(pattern)])
        assert rules.concerns(scope_of("/PUBLIC" if "public" in pattern else "/public"))
        assert rules.concerns(scope_of("//PUBLIC" if "public" in pattern else "//public"))

    def test_a_path_of_many_readings_is_concerned_unread(self):
        """A path made to be read in a hundred ways is not matched a hundred times with every rule."""
        path = "/x" + "/%255c%41\t;\\?#/./x" * 40
        raw = path.replace("%", "%25").encode()
        hostile = scope_of(path, raw_path=raw, root_path="/%")
        assert path_forms(hostile) is None
        assert PathRules(["/admin"]).concerns(hostile)
        assert readings(path, raw) is None
        usual = scope_of(
            "/proxy/https://x.example/a?b;c%20d", raw_path=b"/proxy/https%3A%2F%2Fx.example%2Fa%3Fb%3Bc%2520d"
        )
        assert not PathRules(["/admin"]).concerns(usual)

    def test_a_long_ambiguous_path_is_concerned_unread(self):
        """Every reading costs a pass over the path, so a long one is not read but held to the rule."""
        rules = PathRules(["/admin"])
        assert not rules.concerns(scope_of("/x;" + "y" * 1021))
        assert rules.concerns(scope_of("/x;" + "y" * 1022))
        assert not rules.concerns(scope_of("/x" + "y" * 5000))
        assert not rules.concerns(scope_of("/v1/x" + "y" * 5000, root_path="/v1"))
        assert readings("/x;" + "y" * 1021, None)
        assert readings("/x;" + "y" * 1022, None) is None

    def test_readings(self):
        """A path is read as it is written, with slashes merged, and with dot segments resolved besides."""
        assert readings("//a/../b/", None) >= {"//a/../b/", "/a/../b/", "/b"}

    def test_a_query_in_raw_path_is_not_read(self):
        """What stands behind a question mark in raw_path names no resource, ambiguous though the path may be."""
        scope = scope_of("/x;y", raw_path=b"/x;y?next=/v1/admin", root_path="/v1")
        assert not PathRules(["/admin"]).concerns(scope)

    @pytest.mark.parametrize("target", ["http://[/admin", "http://host", "://", "?", "*", ""])
    def test_targets_that_are_no_url(self, target):
        """Whatever stands for a path is read without raising."""
        assert not PathRules(["/admin"]).concerns(scope_of(target))

    @pytest.mark.parametrize("path", ["/", "/administrator", "/x/admin", "http://admin/", "http://admin"])
    def test_other_paths_do_not(self, path):
        """A path that no router reads as the rule's is not concerned."""
        assert not PathRules(["/admin/**"]).concerns(scope_of(path))

    @pytest.mark.parametrize(
        ("root_path", "path"),
        [
            ("/v1", "/v1/admin"),
            ("/v1", "/admin"),
            ("/v", "/v/admin"),
            ("/x", "/xadmin"),
            ("/v1/", "/v1admin"),
            ("/v1/", "/v1x/v1/admin"),
        ],
    )
    def test_with_and_without_the_root_path(self, root_path, path):
        """By segment or as a bare prefix, both count."""
        assert PathRules(["/admin"]).concerns(scope_of(path, root_path=root_path))

    def test_methods_in_any_case(self):
        """Some servers pass on "post" as the client sent it."""
        rules = PathRules(["POST /upload"])
        assert rules.concerns(scope_of("/upload", "post"))
        assert not rules.concerns(scope_of("/upload", "GET"))


class TestCanonicalPath:
    """One form for all spellings."""

    @pytest.mark.parametrize(
        ("path", "expected"),
        [("", "/"), ("/", "/"), ("//a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/../a", "/a"), ("/a/..", "/")],
    )
    def test_forms(self, path, expected):
        """Slashes merged, dot segments resolved, no trailing slash."""
        assert canonical_path(path) == expected

    @given(st.text(alphabet="/.ab", max_size=15))
    def test_is_idempotent(self, path):
        """The canonical form of a canonical form is itself."""
        assert canonical_path(canonical_path(path)) == canonical_path(path)

    @given(st.text(alphabet="/.aA%;\\?#~2fE\u017f\u2024\uff0f\u212a\x00", max_size=9).map("/".__add__))
    def test_what_is_not_ambiguous_is_canonical(self, path):
        """So an exempt path needs no second look: it means the same to all readers."""
        if not is_ambiguous(path, None):
            assert canonical_path(path) in (path, path.rstrip("/"))

    def test_ambiguity_of_the_canonical_form(self):
        """A canonical path of plain characters is not ambiguous."""
        assert not is_ambiguous(canonical_path("//a/../b/"), None)


class TestConstruction:
    """Wrong rules are found at construction, all at once."""

    @pytest.mark.parametrize(
        "rule",
        [
            "health",
            "",
            "GET health",
            "GET",
            "G\u00c9T /health",
            "GE(T /health",
            "/a//b",
            "/a/../b",
            "/a?x=1",
            "/a#b",
            "/a;b",
            "/%41",
            "/a**",
            5,
            None,
            b"/bytes",
            re.compile(b"/a"),
        ],
    )
    def test_a_wrong_rule(self, rule):
        """What could never match, or means something else than it says, is refused with a fix."""
        with pytest.raises(ConfigurationError) as caught:
            PathRules([rule])
        (problem,) = caught.value.problems
        assert problem.option == "exclude_paths"
        assert problem.code == "invalid_path_rule"
        assert problem.fix

    @pytest.mark.parametrize(
        ("rules", "code"),
        [
            ("/health", "string_for_list"),
            (5, "not_a_list"),
            (re.compile("/a"), "string_for_list"),
            (b"/b", "string_for_list"),
        ],
    )
    def test_not_a_list(self, rules, code):
        """One rule where a list is needed is named as such."""
        with pytest.raises(ConfigurationError) as caught:
            PathRules(rules)
        assert [problem.code for problem in caught.value.problems] == [code]

    def test_all_problems_at_once(self):
        """Every wrong rule is listed."""
        with pytest.raises(ConfigurationError) as caught:
            PathRules(["a", "/ok", "b"], option="exempt")
        assert [problem.value for problem in caught.value.problems] == ["a", "b"]

    def test_size(self):
        """No rules are false, and every rule counts."""
        assert not PathRules([])
        assert len(PathRules(["/a", "/b/*", re.compile("/c")])) == 3
