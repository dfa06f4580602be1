"""Policies of paths, replaced policies, and the app's own CORS headers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.cors import CORSMiddleware, CORSPolicy
from asgi_middleware.cors.paths import Conflict, PathTable
from asgi_middleware.testing.driver import drive, http, http_scope

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
ADMIN = "https://admin.example.com"
PUBLIC = CORSPolicy(allow_origins="*")
STRICT = CORSPolicy(allow_origins=[ADMIN], allow_credentials=True, allow_methods=["DELETE"])
PATHS = {"/public": PUBLIC, "/admin": STRICT, "/admin/open": PUBLIC, "/own": None}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a CORS header of its own below /own."""
    own = [(b"access-control-allow-origin", b"https://own.test")] if scope["path"].startswith("/own") else []
    await send({"type": "http.response.start", "status": 200, "headers": own})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def cors() -> CORSMiddleware:
    """Give a middleware with policies of paths."""
    return CORSMiddleware(app, allow_origins=[APP], paths=PATHS)


async def allow_origin(cors: CORSMiddleware, path: str, origin: str, **keys: Any) -> str | None:
    """Give what one origin is told about one path."""
    result = await http(cors, path=path, headers=[(b"origin", origin.encode())], **keys)
    found = result.header_all(b"access-control-allow-origin")
    assert len(found) <= 1
    return found[0].decode() if found else None


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "origin", "told"),
        [
            ("/", APP, APP),
            ("/", ADMIN, None),
            ("/public", APP, "*"),
            ("/public/", APP, "*"),
            ("/public/a/b", APP, "*"),
            ("/publicity", APP, APP),
            ("/publicity", ADMIN, None),
            ("/admin", ADMIN, ADMIN),
            ("/admin", APP, None),
            ("/admin/users/1", ADMIN, ADMIN),
            ("/admin/open/x", APP, "*"),
            ("/admin/opened", APP, None),
            ("/a/admin", APP, APP),
            ("/own", APP, "https://own.test"),
            ("/own/x", "https://evil.test", "https://own.test"),
            ("/wiki/What?", APP, APP),
            ("/public/a;b", APP, "*"),
            ("/public//x", APP, "*"),
        ],
    )
    async def test_longest_prefix(self, cors: CORSMiddleware, path: str, origin: str, told: str | None) -> None:
        """The policy of the longest prefix of whole segments counts; None leaves the path to the app."""
        assert await allow_origin(cors, path, origin) == told

    @pytest.mark.parametrize(
        "path",
        [
            "//admin",
            "/public/../admin",
            "/public/./../admin/x",
            "/admin/../public",
            "/ADMIN",
            "/adm\u0131n",
            "/adm\u0130n/users",
            "/Public",
            "/%61dmin",
            "/public%2f..%2fadmin",
            "/public\\..\\admin",
            "/admin;/open",
            "http://api.test/admin",
            "/public/" + "x/" * 600 + "../",
        ],
    )
    @pytest.mark.parametrize("origin", [APP, ADMIN])
    async def test_ambiguous(self, cors: CORSMiddleware, path: str, origin: str) -> None:
        """A path whose readings have different policies gets none of them: whoever asks chooses the spelling."""
        assert await allow_origin(cors, path, origin) is None
        headers = [(b"origin", origin.encode()), (b"access-control-request-method", b"GET")]
        result = await http(cors, "OPTIONS", path, headers=headers)
        assert (result.status, result.json()["reason"]) == (403, "ambiguous_path")

    async def test_ambiguous_reason(self, cors: CORSMiddleware) -> None:
        """The reason is noted, and the response still says that it varies."""
        scope, exchange = enter(http_scope(path="//admin", headers=[(b"origin", ADMIN.encode())]))
        result = await drive(cors, scope)
        assert exchange.cors == "ambiguous_path"
        assert result.header(b"vary") == b"Origin"

    async def test_preflights(self, cors: CORSMiddleware) -> None:
        """Each path's preflight is decided by its own policy; one of a path that is left to the app reaches it."""

        async def ask(path: str, origin: str) -> int | None:
            headers = [(b"origin", origin.encode()), (b"access-control-request-method", b"DELETE")]
            return (await http(cors, "OPTIONS", path, headers=headers)).status

        assert await ask("/admin/users/1", ADMIN) == 204
        assert await ask("/", APP) == 403
        assert await ask("/own", APP) == 200

    async def test_root_path(self, cors: CORSMiddleware) -> None:
        """Prefixes are relative to the app: the root path is taken off first."""
        assert await allow_origin(cors, "/v1/admin", ADMIN, root_path="/v1") == ADMIN
        assert await allow_origin(cors, "/admin", ADMIN, root_path="/v1") == ADMIN
        assert await allow_origin(cors, "/x/v1/admin", ADMIN, root_path="/v1") is None

    async def test_exceptions(self) -> None:
        """An exception on a path with a policy of its own is answered with that policy's headers [15]."""

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise ValueError

        cors = CORSMiddleware(failing, allow_origins=[APP], paths=PATHS)
        result = await http(cors, path="/admin", headers=[(b"origin", ADMIN.encode())], raise_exceptions=False)
        assert (result.status, result.header(b"access-control-allow-origin")) == (500, ADMIN.encode())

    @given(st.text(alphabet="/aA.b%2f;?\\", max_size=24).map("/".__add__))
    def test_no_way_around(self, path: str) -> None:
        """Whatever the spelling, a path that some router could take for /a/b never gets the policy of all others."""
        table = PathTable("outside", {"/a/b": "inside"})
        chosen = table.select({"path": path})
        plain = [part for part in path.split("/") if part]
        if chosen == "inside":
            assert [part.partition(";")[0] for part in plain[:2]] == ["a", "b"] or "\\" in path or "%" in path
        if plain[:2] == ["a", "b"] and ".." not in path:
            assert chosen != "outside"


def wrong_paths() -> Iterator[tuple[Any, str]]:
    """Give wrong values of `paths` with their codes."""
    yield ["/admin"], "not_a_mapping"
    yield "/admin", "not_a_mapping"
    for prefix in ("admin", "/admin/", "/", "", "//admin", "/a/../b", "/a*", "/a/**", "/a?b", "/a%20b", 5):
        yield {prefix: STRICT}, "invalid_path_prefix"
    yield {"/admin": {"allow_origins": [APP]}}, "not_a_policy"
    yield {"/admin": CORSPolicy}, "not_a_policy"
    yield {"/admin": STRICT, "/Admin": PUBLIC}, "same_path_prefix"


@pytest.mark.parametrize(("paths", "code"), list(wrong_paths()), ids=range(len(list(wrong_paths()))))
def test_wrong_paths(paths: Any, code: str) -> None:
    """A prefix that could never match, or a value that is no policy, is an error with its fix."""
    with pytest.raises(ConfigurationError) as caught:
        CORSMiddleware(app, allow_origins=[APP], paths=paths)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert all(problem.fix for problem in caught.value.problems)


class TestReplacePolicy:
    async def test_from_the_next_request(self) -> None:
        """The next request sees the new policy, and nothing of the old one is remembered."""
        cors = CORSMiddleware(app, allow_origins=["https://*.example.com"])
        assert await allow_origin(cors, "/", APP) == APP
        cors.replace_policy(CORSPolicy(allow_origins=[ADMIN]))
        assert await allow_origin(cors, "/", APP) is None
        assert await allow_origin(cors, "/", ADMIN) == ADMIN
        assert cors.policy.allow_origins == (ADMIN,)

    async def test_one_more_origin(self) -> None:
        """A policy is a frozen dataclass: the next one is made from it."""
        cors = CORSMiddleware(app, allow_origins=[APP])
        assert isinstance(cors.policy.allow_origins, tuple)
        cors.replace_policy(replace(cors.policy, allow_origins=[*cors.policy.allow_origins, ADMIN]))
        assert await allow_origin(cors, "/", APP) == APP
        assert await allow_origin(cors, "/", ADMIN) == ADMIN

    async def test_request_on_its_way(self) -> None:
        """A request keeps the policy that it began with."""

        async def replacing(scope: Any, receive: Any, send: Any) -> None:
            cors.replace_policy(CORSPolicy(allow_origins=[ADMIN]))
            await app(scope, receive, send)

        cors = CORSMiddleware(replacing, allow_origins=[APP])
        assert await allow_origin(cors, "/", APP) == APP
        assert await allow_origin(cors, "/", APP) is None

    async def test_of_a_path(self, cors: CORSMiddleware) -> None:
        """The policy of one path is replaced alone."""
        cors.replace_policy(CORSPolicy(allow_origins=[APP]), path="/admin")
        assert await allow_origin(cors, "/admin", APP) == APP
        assert await allow_origin(cors, "/admin", ADMIN) is None
        assert await allow_origin(cors, "/admin/open", APP) == "*"
        cors.replace_policy(PUBLIC)
        assert await allow_origin(cors, "/", ADMIN) == "*"
        assert await allow_origin(cors, "/admin", APP) == APP
        assert set(cors.paths) == set(PATHS)

    def test_wrong(self, cors: CORSMiddleware) -> None:
        """What is no policy, and a path without one, are errors; a bad policy cannot be made at all."""
        with pytest.raises(TypeError, match="CORSPolicy"):
            cors.replace_policy({"allow_origins": "*"})  # type: ignore[arg-type]
        with pytest.raises(KeyError):
            cors.replace_policy(PUBLIC, path="/nowhere")
        with pytest.raises(ConfigurationError) as caught:
            replace(STRICT, allow_origins="*")
        assert [problem.code for problem in caught.value.problems] == ["wildcard_with_credentials"]

    def test_policy_for(self, cors: CORSMiddleware) -> None:
        """The policy of a path can be asked for."""
        assert cors.policy_for("/admin/x") is STRICT
        assert cors.policy_for("/") is cors.policy
        assert cors.policy_for("/own") is None
        assert cors.policy_for("//admin") is None


def setting(*headers: tuple[bytes, bytes]) -> Any:
    """Make an app that sets headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


OWN = ((b"Access-Control-Allow-Origin", b"https://own.test"), (b"access-control-allow-credentials", b"true"))


class TestExisting:
    @pytest.mark.parametrize("origin", [[APP], ["https://evil.test"], []])
    async def test_keep(self, origin: list[str]) -> None:
        """With "keep" the app's one line stands with what belongs to it, and Vary is merged all the same [16]."""
        cors = CORSMiddleware(setting(*OWN, (b"vary", b"Cookie")), allow_origins=[APP], existing="keep")
        result = await http(cors, headers=[(b"origin", value.encode()) for value in origin])
        assert result.headers == [*OWN, (b"vary", b"Cookie, Origin")]

    async def test_keep_without_vary(self) -> None:
        """Vary is added where the app has none."""
        cors = CORSMiddleware(setting(*OWN), allow_origins=[APP], existing="keep")
        assert (await http(cors)).headers == [*OWN, (b"vary", b"Origin")]

    async def test_keep_under_star(self) -> None:
        """A static policy adds nothing where the app has decided."""
        cors = CORSMiddleware(setting(*OWN), allow_origins="*", existing="keep")
        assert (await http(cors, headers=[(b"origin", APP.encode())])).headers == list(OWN)

    async def test_nothing_to_keep(self) -> None:
        """Where the app sets no Access-Control-Allow-Origin, the policy counts, and so it does for two of them [16]."""
        for headers in ((), OWN[1:], (OWN[0], OWN[0])):
            cors = CORSMiddleware(setting(*headers), allow_origins=[APP], existing="keep")
            result = await http(cors, headers=[(b"origin", APP.encode())])
            assert result.headers == [(b"vary", b"Origin"), (b"access-control-allow-origin", APP.encode())]

    async def test_keep_live(self) -> None:
        """Headers that are listed from each response are not added to what the app has decided."""
        cors = CORSMiddleware(
            setting(*OWN, (b"x-a", b"1")),
            allow_origins=[APP],
            allow_credentials=True,
            expose_headers="*",
            existing="keep",
        )
        result = await http(cors, headers=[(b"origin", APP.encode())])
        assert result.header(b"access-control-expose-headers") is None

    async def test_a_policy_in_two_middleware(self) -> None:
        """One policy serves a middleware that keeps and one that replaces, each for itself."""
        shared = {"/x": CORSPolicy(allow_origins=["https://*.example.com"])}
        keeping = CORSMiddleware(setting(*OWN), allow_origins=[APP], paths=shared, existing="keep")
        replacing = CORSMiddleware(setting(*OWN), allow_origins=[APP], paths=shared)
        for _ in range(2):
            assert await allow_origin(keeping, "/x", APP) == "https://own.test"
            assert await allow_origin(replacing, "/x", APP) == APP

    def test_wrong(self) -> None:
        """There are two choices."""
        with pytest.raises(ConfigurationError) as caught:
            CORSMiddleware(app, allow_origins=[APP], existing="merge")  # type: ignore[arg-type]
        assert [problem.code for problem in caught.value.problems] == ["unknown_choice"]


def test_conflict_is_no_value() -> None:
    """A path that cannot be read for a root path that ends within a segment is a conflict, too."""
    table = PathTable(1, {"/a": 2})
    assert isinstance(table.select({"path": "/apix/a", "root_path": "/api"}), Conflict)
