"""REST routes: who may do what, and what the operators see of it."""

import pytest

READER = {"sub": "ada", "scope": "chat:read"}
WRITER = {"sub": "bob", "scope": "chat:read chat:write"}
MODERATOR = {"sub": "mo", "scope": "chat:read", "roles": "moderator"}
PAGE = {"origin": "https://chat.example"}


def test_a_token_says_who_is_asking(client):
    """The provider's token is all that the service knows of a user."""
    assert client(**MODERATOR).get("/me").json() == {"id": "mo", "scopes": ["chat:read"], "roles": ["moderator"]}


def test_what_is_said_is_there_for_who_may_read(client):
    """A message over REST is in the room's history, under the name in the token."""
    said = client(**WRITER).post("/rooms/tea/messages", json={"text": "the kettle is on"})
    assert (said.status_code, said.json()) == (201, {"author": "bob", "text": "the kettle is on"})
    assert said.json() in client(**READER).get("/rooms/tea/messages").json()


@pytest.mark.parametrize(
    ("claims", "method", "path", "status", "reason"),
    [
        ({}, "GET", "/rooms/tea/messages", 401, "credentials_missing"),
        ({}, "GET", "/no/such/path", 401, "credentials_missing"),
        ({"sub": "eve", "scope": "mail:read"}, "GET", "/rooms/tea/messages", 403, "insufficient_scope"),
        ({"sub": "eve", "expires_in": "-60"}, "GET", "/me", 401, "token_expired"),
        ({"sub": "eve", "aud": "mail"}, "GET", "/me", 401, "audience_not_allowed"),
        (READER, "POST", "/rooms/tea/messages", 403, "insufficient_scope"),
        (WRITER, "DELETE", "/rooms/tea/messages", 403, "insufficient_role"),
        (READER, "GET", "/rooms/attic/messages", 404, "no_such_room"),
    ],
)
def test_everybody_else_gets_a_problem_document(client, claims, method, path, status, reason):
    """Each refusal has its status, a stable reason, and the id under which it stands in the log."""
    answer = client(**claims).request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["reason"] == reason
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_moderator_clears_a_room(client):
    """A role of the provider's opens what no scope opens."""
    client(**WRITER).post("/rooms/coffee/messages", json={"text": "oops"})
    assert client(**MODERATOR).delete("/rooms/coffee/messages").status_code == 204
    assert client(**READER).get("/rooms/coffee/messages").json() == []


def test_a_body_over_the_limit_is_refused_before_it_is_parsed(client):
    """64 kB are enough for what can be said."""
    answer = client(**WRITER).post("/rooms/tea/messages", json={"text": "x" * 100_000})
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")


def test_a_page_of_ours_may_ask_and_read(client):
    """Preflight, answer and refusal all carry the CORS headers that the page's browser wants to see."""
    asked = {**PAGE, "access-control-request-method": "DELETE", "access-control-request-headers": "authorization"}
    preflight = client().options("/rooms/tea/messages", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-methods"] == "DELETE"
    for answer in (client(**READER).get("/me", headers=PAGE), client().get("/me", headers=PAGE)):
        assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
        assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()


def test_a_page_of_others_may_not_read(client):
    """No CORS header, so that the browser keeps the answer to itself."""
    answer = client(**READER).get("/me", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_the_log_has_one_line_for_a_request_and_its_id_on_every_other(client, service):
    """An access line with who, what and how; the handler's own line has the same id."""
    answer = client(**MODERATOR).delete("/rooms/tea/messages", headers={"x-request-id": "clear-tea"})
    assert answer.headers["x-request-id"] == "clear-tea"
    line = service.log_line(event="http.request", request_id="clear-tea")
    assert line["route"] == "/rooms/{name}/messages"
    assert (line["status"], line["subject"], line["outcome"]) == (204, "mo", "ok")
    assert service.log_line(event="room tea cleared by mo")["request_id"] == "clear-tea"


@pytest.mark.parametrize(
    ("claims", "reason", "subject"), [({}, "credentials_missing", None), (WRITER, "insufficient_role", "bob")]
)
def test_a_refusal_is_logged_with_its_reason(client, service, claims, reason, subject):
    """Refusals are on the access line, too, and who was refused, where a token said so."""
    request_id = client(**claims).delete("/rooms/tea/messages").headers["x-request-id"]
    line = service.log_line(event="http.request", request_id=request_id)
    assert (line["outcome"], line["refusal"], line["level"]) == ("refused", reason, "warning")
    assert line.get("subject") == subject


def test_prometheus_reads_figures_by_route(client):
    """Labels are route templates and reasons; without its token nobody reads them."""
    client(**READER).get("/rooms/tea/messages")
    client().get("/me")
    assert client().get("/metrics").status_code == 401
    figures = client().get("/metrics", headers={"authorization": "Bearer let-prometheus-in"}).text
    assert 'http_route="/rooms/{name}/messages"' in figures
    assert 'asgi_middleware_refusals_total{protocol="http",reason="credentials_missing"}' in figures
    assert "/rooms/tea" not in figures


def test_long_answers_are_compressed(client):
    """The OpenAPI document is for everybody, in the coding that the client likes."""
    answer = client().get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    assert answer.json()["paths"]["/me"]["get"]["security"] == [{"BearerAuth": []}]
