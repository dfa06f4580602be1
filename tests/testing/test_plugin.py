"""The pytest plugin, as a user's test folder loads it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
    pytest_plugins = ["asgi_middleware.testing.plugin"]
"""
CLASSES = """
    import pytest
    from asgi_middleware.testing import ConformanceError, Scenario


    class Right:
        def __init__(self, app, limit=0):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)


    class Broken(Right):
        async def __call__(self, scope, receive, send):
            scope["broken"] = True
            await self.app(scope, receive, send)
"""


def test_check_middleware(pytester: pytest.Pytester) -> None:
    """The fixture passes a right class and fails a broken one with the rule's name, on either event loop."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        CLASSES
        + """
    def test_right(check_middleware):
        assert check_middleware(Right, limit=10).violations == ()


    def test_right_on_trio(check_middleware):
        check_middleware(Right, backend="trio", scenario=Scenario(path="/other"))


    @pytest.mark.anyio
    async def test_inside_an_event_loop(check_middleware, anyio_backend):
        check_middleware(Right)


    def test_broken(check_middleware):
        check_middleware(Broken)
    """
    )
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*scope-mutated:broken (transparency: the scope)*"])


def test_asgi_client(pytester: pytest.Pytester) -> None:
    """The fixture makes a client around an app."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
    import pytest


    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


    @pytest.mark.anyio
    async def test_get(asgi_client):
        result = await asgi_client(app, headers={"a": "b"}).get("/")
        assert result.status == 204
    """
    )
    pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider").assert_outcomes(passed=2)
