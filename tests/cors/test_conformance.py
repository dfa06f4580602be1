"""CORSMiddleware against the ASGI specification and the laws of transparency."""

from typing import Any

import pytest

from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.testing import Scenario, check_middleware

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
ORIGIN = (b"origin", APP.encode())
EVIL = (b"origin", b"https://evil.test")


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ((), {"allow_origins": [APP]}),
        ((ORIGIN,), {"allow_origins": [APP], "allow_credentials": True, "expose_headers": "*"}),
        ((EVIL,), {"allow_origins": [APP]}),
        ((ORIGIN,), {"allow_origins": "*"}),
    ],
    ids=["no origin", "allowed", "denied", "static"],
)
async def test_conforms(headers: tuple[tuple[bytes, bytes], ...], options: dict[str, Any]) -> None:
    """Whatever app and server do, only headers are added; an exception before the start is answered on purpose."""
    scenario = Scenario(headers=headers, untouched={"websocket"}, skip={"exception-answered"})
    report = await check_middleware(CORSMiddleware, scenario=scenario, **options)
    assert not report.violations, str(report)
