"""RequestBodyLimitMiddleware against the ASGI specification and the laws of transparency."""

import pytest

from asgi_middleware.limits import RequestBodyLimitMiddleware
from asgi_middleware.testing import Scenario, check_middleware

pytestmark = pytest.mark.anyio


async def test_conforms() -> None:
    """Within the limit nothing is changed, whatever the app and the server do."""
    scenario = Scenario(untouched={"websocket"})
    report = await check_middleware(RequestBodyLimitMiddleware, scenario=scenario, max_body_size=1_000_000)
    assert not report.violations, str(report)


async def test_conforms_when_it_refuses() -> None:
    """A refusal by the declared length is a legal answer under every server's manners."""
    scenario = Scenario(headers=((b"content-length", b"9999999"),), refuses={"http"}, untouched={"websocket"})
    report = await check_middleware(
        RequestBodyLimitMiddleware, scenario=scenario, max_body_size=1_000_000, drain_timeout=0
    )
    assert not report.violations, str(report)
