"""Reading documents from a real server, by httpx and by the standard library; threads, event loops and forks."""

import asyncio
import gzip
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import pytest

from asgi_middleware.auth import KeySet, TokenVerifier, Unavailable
from asgi_middleware.auth.fetching import MAX_SIZE, FetchError, choose, with_httpx, with_urllib
from asgi_middleware.testing.tokens import TokenIssuer

ISSUER = TokenIssuer("ES256", kid="a")
BODY = json.dumps(ISSUER.jwks).encode()


class Server(ThreadingHTTPServer):
    """A server whose answer a test sets; `asked` holds the paths, `sent` the request headers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.sent = []
        self.status = 200
        self.headers = {}
        self.chunks = [BODY]
        self.pause = 0.0
        self.length = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/jwks.json"

    def key_set(self, **options):
        return KeySet(self.url, **{"loopback_http": True, **options})

    def verifier(self, **options):
        return TokenVerifier(
            keys=self.key_set(**options), algorithms=["ES256"], audience=ISSUER.audience, issuer=ISSUER.issuer
        )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        server.sent.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(server.status)
        length = sum(map(len, server.chunks)) if server.length is None else server.length
        for name, value in {"Content-Length": str(length), **server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for chunk in server.chunks:
                self.wfile.write(chunk)
                self.wfile.flush()
                time.sleep(server.pause)
        except OSError:
            return

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(params=["httpx2", "httpx", "urllib"])
def read(request, server, monkeypatch):
    monkeypatch.setattr("asgi_middleware.auth.fetching._CLIENTS", (request.param,))
    function = with_urllib if request.param == "urllib" else with_httpx
    return lambda timeout=5.0, **headers: function(server.url, headers, timeout)


def test_a_document_is_read(read, server):
    """A good answer comes with its body and its headers by lower-case name; nothing coded is asked for."""
    server.headers = {"ETag": '"1"', "Cache-Control": "max-age=900"}
    response = read()
    assert (response.status, response.body) == (200, BODY)
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "max-age=900"
    assert server.sent[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [204, 301, 302, 303, 307, 308, 401, 404, 429, 500, 503])
def test_every_other_status_is_a_failure(read, server, status):
    """Neither an error page nor a redirect gives keys, and a redirect is not followed."""
    server.status = status
    server.headers = {"Location": f"http://127.0.0.1:{server.server_port}/elsewhere"}
    server.chunks = [] if status == 204 else [BODY]
    with pytest.raises(FetchError):
        read()
    assert server.asked == ["/jwks.json"]


def test_a_large_answer_is_not_read_to_its_end(read, server):
    """More than 1 MiB is a failure, whatever length was announced."""
    server.chunks = [b" " * 65536] * (MAX_SIZE // 65536 + 2)
    with pytest.raises(FetchError, match="1 MiB"):
        read()


def test_a_coded_answer_is_refused(read, server):
    """A small coded body could be a large document: it was not asked for and is not decoded."""
    server.chunks = [gzip.compress(b" " * 10_000_000)]
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(FetchError, match="coded"):
        read()


def test_a_dripping_answer_ends_in_time(read, server):
    """A server that sends a byte now and then does not hold the thread beyond the time-out for all of it."""
    server.chunks = [b" "] * 100
    server.pause = 0.05
    begun = time.monotonic()
    with pytest.raises(FetchError):
        read(timeout=0.2)
    assert time.monotonic() - begun < 2


def test_half_an_answer_is_a_failure(read, server):
    """A body shorter than announced gives no keys."""
    server.chunks = [BODY]
    server.length = len(BODY) + 10
    with pytest.raises(FetchError):
        read()


def test_no_server_is_a_failure(read, server):
    """A refused connection is a failure whose text names no address."""
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError) as caught:
        read()
    assert str(caught.value) == "the request failed"
    assert caught.value.__suppress_context__


def test_httpx_is_used_where_it_is_installed(monkeypatch):
    """Without httpx and its successor the standard library does it."""
    assert choose() is with_httpx
    monkeypatch.setattr("asgi_middleware.auth.fetching.find_spec", lambda name: None)
    assert choose.__wrapped__() is with_urllib


@pytest.mark.anyio
async def test_a_thousand_requests_make_one_fetch_over_http(server):
    """1000 concurrent verifications over a cold set make one request to the provider."""
    server.pause = 0.05
    verifier = server.verifier()
    token = ISSUER.token()
    subjects = []

    async def one():
        subjects.append((await verifier.verify_async(token)).subject)

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(one)
    assert subjects == ["alice"] * 1000
    assert server.asked == ["/jwks.json"]


def test_several_event_loops_share_one_fetch(server):
    """Two threads with an event loop each, on asyncio and on trio, wait for the same fetch."""
    server.pause = 0.1
    verifier = server.verifier()
    token = ISSUER.token()
    subjects = []

    async def one():
        subjects.append((await verifier.verify_async(token)).subject)

    def run(backend):
        anyio.run(one, backend=backend)

    threads = [threading.Thread(target=run, args=(backend,)) for backend in ("asyncio", "trio") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert subjects == ["alice"] * 6
    assert server.asked == ["/jwks.json"]


def test_an_event_loop_that_ends_does_not_end_the_fetch(server):
    """A fetch that a closed event loop began serves the next one."""
    server.pause = 0.1
    verifier = server.verifier()

    async def give_up():
        waiting = asyncio.create_task(verifier.verify_async(ISSUER.token()))
        await asyncio.sleep(0.01)
        waiting.cancel()

    asyncio.run(give_up())
    assert asyncio.run(verifier.verify_async(ISSUER.token())).subject == "alice"
    assert server.asked == ["/jwks.json"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_fetches_for_itself(server):
    """A fetch that was under way in the parent does not keep its child waiting."""
    server.pause = 0.3
    verifier = server.verifier()
    with pytest.raises(Unavailable):
        verifier.verify(ISSUER.token())
    verifier._only.source.key_set.start()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        code = 1
        try:
            found = asyncio.run(verifier.verify_async(ISSUER.token()))
            code = 0 if found.subject == "alice" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asyncio.run(verifier.verify_async(ISSUER.token())).subject == "alice"


def test_what_is_the_same_is_not_sent_again(server):
    """A refresh names the version at hand, and 304 keeps it (RFC 9110 13.1.2)."""
    seconds = [1000.0]
    server.headers = {"ETag": '"v1"', "Cache-Control": "public, max-age=100"}
    keys = server.key_set(clock=lambda: seconds[0])
    keys.load()
    before = keys.current()
    server.status, server.chunks = 304, []
    seconds[0] += 81
    keys.load()
    assert server.sent[1]["if-none-match"] == '"v1"'
    assert keys.current() is before
    seconds[0] += 79
    keys.load()
    assert len(server.sent) == 2


def test_304_that_was_not_asked_for_is_a_failure(server):
    """Without keys at hand a 304 brings none."""
    server.status, server.chunks = 304, []
    keys = server.key_set()
    keys.load()
    with pytest.raises(Unavailable):
        keys.current()


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("max-age=100", 80),
        ("max-age=1", 48),
        ("max-age=999999999", 69_120),
        ("no-store", 48),
        ("private, no-cache", 48),
        ("s-maxage=100", 480),
        ("max-age=soon", 480),
        ("", 480),
    ],
)
def test_cache_control_is_honoured_within_bounds(server, cache_control, seconds):
    """The next refresh begins at four fifths of max-age, which is held between a minute and a day [3.3]."""
    now = [0.0]
    server.headers = {"Cache-Control": cache_control}
    keys = server.key_set(clock=lambda: now[0])
    keys.load()
    now[0] = seconds - 0.5
    keys.load()
    assert len(server.asked) == 1
    now[0] = seconds
    keys.load()
    assert len(server.asked) == 2
