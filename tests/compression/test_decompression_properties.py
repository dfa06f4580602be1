"""Whatever the chunks and whatever the app does: the body is the one that was sent, or the request is refused."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from request_codings import FORMS

from asgi_middleware.compression import DecompressionError, DecompressionMiddleware
from asgi_middleware.testing.driver import drive, http_scope

pytestmark = pytest.mark.anyio

few = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])

forms = st.sampled_from(sorted(FORMS))
plain = st.binary(max_size=200) | st.builds(
    lambda piece, count: piece * count, st.binary(min_size=1, max_size=20), st.integers(1, 20_000)
)
cuts = st.lists(st.floats(0, 1), max_size=8)


def chunks_of(data, cuts):
    """Cut a body into chunks, some of them empty."""
    places = sorted({int(cut * len(data)) for cut in cuts})
    bounds = [0, *places, len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def messages_of(chunks):
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False
    return messages


class App:
    """An app that reads so many messages, answers before, amid or after that, and may swallow whatever is raised."""

    def __init__(self, reads, answers_at, swallows):
        self.reads = reads
        self.answers_at = answers_at
        self.swallows = swallows
        self.body = b""
        self.whole = False
        self.left = False

    async def __call__(self, scope, receive, send):
        try:
            await self.serve(receive, send)
        except Exception:
            if not self.swallows:
                raise

    async def serve(self, receive, send):
        answered = False
        for number in range(self.reads):
            if number == self.answers_at:
                answered = True
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"", "more_body": True})
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left = True
                break
            self.body += message["body"]
            if not message["more_body"]:
                self.whole = True
                break
        if not answered:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@few
@given(form=forms, data=plain, cuts=cuts, outer=st.none() | forms, buffer=st.booleans())
async def test_any_body_in_any_chunks(form, data, cuts, outer, buffer):
    """What was encoded arrives, in any coding or two of them, however it is cut."""
    coding, encode = FORMS[form]
    body, line = encode(data), coding
    if outer is not None:
        body, line = FORMS[outer][1](body), coding + b", " + FORMS[outer][0]
    app = App(1 << 30, None, swallows=False)
    scope = http_scope("POST", headers=[(b"content-encoding", line)])
    result = await drive(DecompressionMiddleware(app, buffer=buffer), scope, messages_of(chunks_of(body, cuts)))
    assert result.status == 200
    assert app.whole
    assert app.body == data


@few
@given(
    form=forms,
    data=plain,
    cuts=cuts,
    spoil=st.sampled_from(["nothing", "cut", "more", "flip", "bound"]),
    place=st.floats(0, 1),
    reads=st.sampled_from([0, 1, 2, 1 << 30]),
    answers_at=st.none() | st.integers(0, 2),
    swallows=st.booleans(),
)
async def test_any_app_and_any_fault(form, data, cuts, spoil, place, reads, answers_at, swallows):
    """No app gets a wrong body as a whole one, more than the bound, or two answers out; nothing ends in a 500."""
    coding, encode = FORMS[form]
    body = bytearray(encode(data))
    bound = len(data) - 1 if spoil == "bound" and data else 10 << 20
    where = int(place * (len(body) - 1))
    if spoil == "cut":
        del body[max(where, 1) :]
    elif spoil == "more":
        body += b"more"
    elif spoil == "flip":
        body[where] ^= 1 << (len(data) % 8)
    app = App(reads, answers_at, swallows)
    scope = http_scope("POST", headers=[(b"content-encoding", coding)])
    decompressing = DecompressionMiddleware(app, max_size=bound)
    result = await drive(decompressing, scope, messages_of(chunks_of(bytes(body), cuts)), raise_exceptions=False)
    assert len(app.body) <= bound
    assert result.types.count("http.response.start") <= 1
    if spoil != "flip":  # zstd and brotli need not have a check
        assert data.startswith(app.body)
        assert not app.whole or (app.body == data and bytes(body) == encode(data) and bound >= len(data))
    if result.exception is not None:
        assert isinstance(result.exception, DecompressionError)
        assert app.left
        assert not result.complete
    else:
        assert result.complete
        assert result.status in ({200, 400, 413} if app.left else {200})
