"""Encoded request bodies in the hands of frameworks and behind a real server."""

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import litestar
import pytest
from fastapi import FastAPI, UploadFile
from pydantic import BaseModel
from request_codings import FORMS, zeros
from sites import serving

import asgi_middleware
from asgi_middleware import DecompressionMiddleware
from asgi_middleware.testing.driver import http as request

pytestmark = pytest.mark.anyio

ITEM = {"name": "Ada", "tags": ["a", "b"] * 500}
BOUNDARY = b"part"
FORM = (
    b'--part\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n'
    b'--part\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
    + b"line\n" * 1000
    + b"\r\n--part--\r\n"
)
JSON = (b"content-type", b"application/json")
MULTIPART = (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)


@pytest.fixture
def anyio_backend():
    """Most of the frameworks here know asyncio alone."""
    return "asyncio"


@pytest.fixture(params=FORMS)
def form(request):
    """The name of a coding's form."""
    return request.param


async def post(app, path, form, body, content_type):
    coding, encode = FORMS[form]
    encoded = encode(body)
    headers = [(b"host", b"localhost"), content_type, (b"content-encoding", coding)]
    headers.append((b"content-length", b"%d" % len(encoded)))
    chunks = [encoded[at : at + 100] for at in range(0, len(encoded), 100)]
    return await request(app, "POST", path, headers=headers, body=chunks)


class Item(BaseModel):
    name: str
    tags: list[str]


async def test_fastapi_json(form):
    """A FastAPI endpoint gets its model from an encoded body."""
    api = FastAPI()
    api.add_middleware(DecompressionMiddleware)

    @api.post("/items")
    async def create(item: Item) -> dict[str, int]:
        return {item.name: len(item.tags)}

    result = await post(api, "/items", form, json.dumps(ITEM).encode(), JSON)
    assert (result.status, result.json()) == (200, {"Ada": 1000})


async def test_fastapi_upload(form):
    """An encoded multipart form is parsed as it comes."""
    api = FastAPI()
    api.add_middleware(DecompressionMiddleware)

    @api.post("/upload")
    async def upload(file: UploadFile) -> dict[str, int]:
        return {file.filename: len(await file.read())}

    result = await post(api, "/upload", form, FORM, MULTIPART)
    assert (result.status, result.json()) == (200, {"a.txt": 5000})


async def test_fastapi_bomb():
    """The 413 is ours, though Starlette makes of a client that leaves what it likes [D2]."""
    api = FastAPI()
    api.add_middleware(DecompressionMiddleware)

    @api.post("/items")
    async def create(item: Item) -> None:
        raise AssertionError

    result = await request(
        api, "POST", "/items", headers=[JSON, (b"content-encoding", b"br")], body=zeros(64 << 20, "br")
    )
    assert result.status == 413
    assert result.json()["reason"] == "inflated_body_too_large"


@pytest.mark.parametrize("buffer", [False, True], ids=["streamed", "buffered"])
async def test_litestar_json(form, buffer):
    """A Litestar handler gets its data, with a length or without [D8]."""

    @litestar.post("/items")
    async def create(request: litestar.Request) -> dict[str, int]:
        data = await request.json()
        return {data["name"]: len(data["tags"])}

    app = DecompressionMiddleware(litestar.Litestar([create]), buffer=buffer)
    result = await post(app, "/items", form, json.dumps(ITEM).encode(), JSON)
    assert (result.status, result.json()) == (201, {"Ada": 1000})


DJANGO = """
import json, sys
import anyio, django
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", SECRET_KEY="x", MIDDLEWARE=[])
django.setup()
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path
from asgi_middleware import DecompressionMiddleware
from asgi_middleware.testing.driver import http


async def upload(request):
    sizes = {name: file.size for name, file in request.FILES.items()}
    return JsonResponse({"title": request.POST.get("title"), "length": request.META.get("CONTENT_LENGTH"), **sizes})


urlpatterns = [path("upload", upload)]
body = sys.stdin.buffer.read()
headers = [
    (b"host", b"localhost"),
    (b"content-type", b"multipart/form-data; boundary=part"),
    (b"content-encoding", b"gzip"),
    (b"content-length", b"%d" % len(body)),
]


async def main():
    app = DecompressionMiddleware(get_asgi_application(), buffer=sys.argv[1] == "buffered")
    result = await http(app, "POST", "/upload", headers=headers, body=[body[:50], body[50:]])
    print(json.dumps(result.json()))


anyio.run(main)
"""


@pytest.mark.parametrize(
    ("buffer", "answer"),
    [
        ("buffered", {"title": "hello", "length": str(len(FORM)), "file": 5000}),
        # Django's parser reads nothing without a length: what `buffer` is for.
        ("streamed", {"title": None, "length": ""}),
    ],
)
def test_django_form(buffer, answer):
    """Django's form parser gets the true length with `buffer=True`, and needs it [D8]."""
    path = os.pathsep.join([str(Path(asgi_middleware.__file__).parents[1])])
    result = subprocess.run(
        [sys.executable, "-c", DJANGO, buffer],
        input=gzip.compress(FORM),
        capture_output=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stderr.decode()
    found = json.loads(result.stdout)
    assert {**found, "length": found["length"] or ""} == answer


async def echo(scope, receive, send):
    """Answer with the size of the body."""
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


@pytest.fixture(scope="module")
def site():
    """Serve with uvicorn."""
    with serving(lambda site: DecompressionMiddleware(echo)) as running:
        yield running


async def test_httpx(site, form):
    """A client sends encoded bodies, whole and in chunks, on one connection."""
    coding, encode = FORMS[form]
    body = encode(b"text " * 100_000)

    async def chunks():
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with httpx.AsyncClient() as client:
        for content in (body, chunks()):
            response = await client.post(site.origin, content=content, headers={"Content-Encoding": coding.decode()})
            assert (response.status_code, response.text) == (200, "500000")


async def test_httpx_is_refused(site):
    """Refusals come through, and the connection goes on after them."""
    async with httpx.AsyncClient() as client:
        for coding, body, status in (
            ("br", zeros(64 << 20, "br"), 413),
            ("lzma", b"x" * 100_000, 415),
            ("gzip", gzip.compress(b"x" * 100)[:-1], 400),
        ):
            response = await client.post(site.origin, content=body, headers={"Content-Encoding": coding})
            assert (response.status_code, response.json()["status"]) == (status, status)
        response = await client.post(site.origin, content=b"plain")
        assert response.text == "5"


def test_a_client_that_is_still_sending(site):
    """A client that sends its whole bomb before it looks for an answer finds the 413 [D2]."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    body = gzip.compress(bytes(64 << 20), 1) * 8  # 2 MB: the answer comes when a tenth of it is out
    connection.request("POST", "/", body=body, headers={"Content-Encoding": "gzip"})
    response = connection.getresponse()
    assert response.status == 413
    response.read()
    connection.close()


def test_no_continue(site):
    """A client that asks before it sends hears the 415 instead of 100 Continue (RFC 9110 10.1.1) [D1]."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200\r\ncontent-encoding: lzma\r\n"
        connection.sendall(head + b"connection: close\r\nexpect: 100-continue\r\n\r\n")
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 415 ")
