"""The ASGI specification and the laws of transparency, over some two hundred connections of every shape."""

import pytest

from asgi_middleware.auth import JWTAuthMiddleware, WebSocketAuth
from asgi_middleware.testing import Scenario, check_middleware
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
REFUSES = {"http", "websocket"}
# Whoever an outer class put there: the token decides.
OWN = {"scope-key-changed:user", "scope-key-changed:auth"}
# A path in absolute form is ambiguous, and so never exempt.
AMBIGUOUS = {"app-not-called:http"}
# The token is taken out of what the app sees, and its marker is picked where the app picks nothing.
TAKEN_OUT = {"scope-key-changed:subprotocols", "message-changed:websocket.accept.subprotocol"}
BEARER = [ISSUER.authorization()]
FORGED = [(b"authorization", b"Bearer " + ISSUER.forged().encode())]

SCENARIOS = {
    "a token in the header": (Scenario(headers=BEARER, skip=OWN), {}),
    "an optional token": (Scenario(skip=OWN | AMBIGUOUS), {"optional": ["/**"]}),
    "exempt": (Scenario(skip=OWN | AMBIGUOUS), {"exempt": ["/**"]}),
    "a token among the subprotocols": (
        Scenario(subprotocols=("chat", "bearer", ISSUER.token()), skip=OWN | AMBIGUOUS | TAKEN_OUT),
        {"optional": ["/**"]},
    ),
    "no token": (Scenario(refuses=REFUSES), {}),
    "a forged token": (Scenario(refuses=REFUSES, headers=FORGED), {}),
    "no token, closed": (Scenario(refuses=REFUSES), {"websocket": WebSocketAuth(reject="close")}),
    "no token, accepted and closed": (Scenario(refuses=REFUSES), {"websocket": WebSocketAuth(reject="accept_close")}),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_transparency(name):
    """Admitting and refusing, the class keeps every law."""
    scenario, options = SCENARIOS[name]
    report = await check_middleware(JWTAuthMiddleware, scenario=scenario, **ISSUER.options, **options)
    assert not report.violations, str(report)
    assert report.connections > 50
