"""AWS Lambda: Mangum turns an API Gateway event into ASGI messages for the wrapped application."""

import asyncio
import base64
import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, serving
from mangum import Mangum
from services.common import ISSUER, ORIGIN, PAGE


@pytest.fixture
def service() -> Iterator[Service]:
    """Give the service in Starlette, and an event loop as Lambda's start-up has one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with serving("starlette", "inside") as made:
            yield made
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def event(method: str, path: str, *, body: str | None = None, token: bool = True) -> dict[str, Any]:
    """Give an event of an API Gateway HTTP API, payload format 2.0."""
    headers = {"host": "api.example", "origin": ORIGIN, "accept-encoding": "gzip"}
    if token:
        headers["authorization"] = ISSUER.authorization(scope="read")[1].decode()
    if body is not None:
        headers |= {"content-type": "application/json", "content-length": str(len(body))}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "page=2",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example",
            "domainPrefix": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "test",
            },
            "requestId": "lambda-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:01:00:00 +0000",
            "timeEpoch": 1795222800000,
        },
        "body": body,
        "isBase64Encoded": False,
    }


def call(service: Service, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Call the function as Lambda does, lifespan included."""
    answer: dict[str, Any] = Mangum(service.app)(event(*arguments, **options), None)
    return answer


def test_a_request(service: Service) -> None:
    """The handler sees the user and the id, the line has route and client, the start-up has run."""
    answer = call(service, "GET", "/items/7")
    assert answer["statusCode"] == 200
    assert answer["headers"]["access-control-allow-origin"] == ORIGIN
    [access] = service.access
    assert answer["headers"]["x-request-id"] == access["request_id"]
    assert (access["route"], access["client"], access["subject"], access["query"]) == (
        "/items/{id}",
        "203.0.113.7",
        "alice",
        "page=2",
    )
    assert [line["request_id"] for line in service.works] == [access["request_id"]]
    assert service.calls.noted == ["startup", "shutdown"]


def test_a_compressed_page(service: Service) -> None:
    """A compressed body goes out in base64, as API Gateway wants bytes that are no text."""
    answer = call(service, "GET", "/page")
    assert answer["isBase64Encoded"] is True
    assert answer["headers"]["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(answer["body"])).decode() == PAGE


def test_refusals(service: Service) -> None:
    """No token and a body over the limit are refused, with a problem document."""
    assert call(service, "GET", "/items/7", token=False)["statusCode"] == 401
    answer = call(service, "POST", "/upload", body="x" * 1001)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (413, "application/problem+json")
    assert [line["outcome"] for line in service.access] == ["refused", "refused"]
