"""FastAPI: the token's subject as a typed dependency, and bearer security in the OpenAPI document."""

from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI, Security, WebSocket

from asgi_middleware.auth import JWTAuth, JWTAuthMiddleware
from asgi_middleware.integrations.fastapi import BearerAuth, CurrentAuth, CurrentUser, OptionalUser, bearer_auth
from asgi_middleware.testing import http, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
quiet = BearerAuth(required=False, scheme_name="Quiet", realm="other", description="from the login page")


@pytest.fixture
def app():
    """An app that uses every dependency."""
    made = FastAPI()
    router = APIRouter()

    @made.get("/me")
    async def me(user: CurrentUser) -> dict[str, str]:
        return {"id": user.identity, "name": user.display_name}

    @made.get("/auth")
    def auth(auth: CurrentAuth) -> list[str]:
        return auth.scopes

    @made.get("/maybe")
    async def maybe(user: OptionalUser) -> str:
        return user.identity if user else "nobody"

    @made.get("/quiet")
    async def quietly(auth: Annotated[JWTAuth, Security(quiet)]) -> bool:
        return auth.token is None

    @made.delete("/items", dependencies=[Security(bearer_auth, scopes=["items:write"])])
    async def clear() -> str:
        return "cleared"

    @made.get("/quiet/write")
    async def quietly_writing(auth: Annotated[JWTAuth, Security(quiet, scopes=["items:write"])]) -> bool:
        return auth.token is None

    @made.get("/open")
    async def opened() -> str:
        return "open"

    @router.websocket("/ws")
    async def socket(connection: WebSocket, user: CurrentUser) -> None:
        await connection.accept()
        await connection.send_text(user.identity)
        await connection.close()

    @router.websocket("/ws/write")
    async def writing(
        connection: WebSocket, auth: Annotated[JWTAuth, Security(bearer_auth, scopes=["items:write"])]
    ) -> None:
        await connection.accept()
        await connection.close()

    made.include_router(router)
    return made


def guard(app, **options):
    return JWTAuthMiddleware(app, **ISSUER.options, **options)


async def test_handlers_get_the_subject(app):
    """CurrentUser, CurrentAuth and OptionalUser are the middleware's own objects, in async and sync handlers."""
    guarded = guard(app)
    headers = [ISSUER.authorization(sub="u1", name="Ada", scope="read")]
    assert (await http(guarded, path="/me", headers=headers)).json() == {"id": "u1", "name": "Ada"}
    assert (await http(guarded, path="/auth", headers=headers)).json() == ["read"]
    assert (await http(guarded, path="/maybe", headers=headers)).json() == "u1"
    result = await websocket(guarded, "/ws", headers=headers)
    assert result.sent[1]["text"] == "u1"


async def test_where_the_middleware_asks_for_no_token_the_dependency_does(app):
    """On exempt and optional paths a handler that needs a user answers 401 by itself."""
    guarded = guard(app, optional=["/**"])
    result = await http(guarded, path="/me")
    assert (result.status, result.header(b"www-authenticate")) == (401, b'Bearer realm="api"')
    assert result.header(b"cache-control") == b"no-store"
    assert (await http(guarded, path="/maybe")).json() == "nobody"
    assert (await http(guarded, path="/quiet")).json() is True
    assert (await http(guarded, path="/open")).status == 200
    needing = await http(guarded, path="/quiet/write")  # who leaves the token out does not get around its scopes
    assert (needing.status, needing.header(b"www-authenticate")) == (401, b'Bearer realm="other", scope="items:write"')
    refused = await websocket(guarded, "/ws")
    assert (refused.accepted, refused.close_code, refused.close_reason) == (False, 1008, "credentials_missing")


async def test_scopes_of_a_handler(app):
    """Security(..., scopes=[...]) answers 403 with the challenge that names them."""
    guarded = guard(app)
    result = await http(guarded, "DELETE", "/items", headers=[ISSUER.authorization(scope="items:read")])
    assert (result.status, result.header(b"www-authenticate")) == (
        403,
        b'Bearer realm="api", error="insufficient_scope", scope="items:write"',
    )
    assert (await http(guarded, "DELETE", "/items", headers=[ISSUER.authorization(scope="items:write")])).status == 200
    refused = await websocket(guarded, "/ws/write", headers=[ISSUER.authorization()])
    assert (refused.accepted, refused.close_reason) == (False, "insufficient_scope")
    assert (await websocket(guarded, "/ws/write", headers=[ISSUER.authorization(scope="items:write")])).accepted


async def test_without_the_middleware_nobody_gets_in(app):
    """A forgotten middleware is an error, not an open door."""
    with pytest.raises(RuntimeError, match="JWTAuthMiddleware"):
        await http(app, path="/me")


def test_the_openapi_document(app):
    """Handlers with a dependency show bearer security, with their scopes; others show none."""
    document = app.openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["BearerAuth"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert schemes["Quiet"]["description"] == "from the login page"
    assert document["paths"]["/me"]["get"]["security"] == [{"BearerAuth": []}]
    assert document["paths"]["/auth"]["get"]["security"] == [{"BearerAuth": []}]
    assert document["paths"]["/items"]["delete"]["security"] == [{"BearerAuth": ["items:write"]}]
    assert "security" not in document["paths"]["/open"]["get"]
