"""Every concern's main path, by a real client that speaks the server's protocol."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections.abc import Callable
from itertools import pairwise

import brotli
from matrix.probing import SHORT, Probe, bearer, new_id
from matrix.wire import Request
from patience import least
from service_constants import EVENT_PAUSE, EVENTS, ORIGIN, PAYLOAD


def protected_route(probe: Probe) -> str:
    with probe.client() as client:
        allowed = client.get("/protected", headers=dict([bearer()]))
        refused = client.get("/protected", headers=dict([bearer(exp=1)]))
        bare = client.get("/protected", headers={"origin": ORIGIN})
    if allowed.json() != {"user": "ada"} or 'error="invalid_token"' not in refused.headers["www-authenticate"]:
        return f"{allowed.text} {refused.headers}"
    readable = bare.headers.get("access-control-allow-origin") == ORIGIN
    return f"{allowed.status_code}; {refused.status_code}; {bare.status_code}{', readable' * readable}"


def preflight(probe: Probe) -> str:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    with probe.client() as client:
        allowed = client.options("/protected", headers=asked | {"origin": ORIGIN})
        refused = client.options("/protected", headers=asked | {"origin": "https://evil.example"})
    if allowed.headers.get("access-control-allow-headers") != "authorization":
        return f"{allowed.headers}"
    return f"{allowed.status_code}; {refused.status_code}"


def _zstd(data: bytes) -> bytes:
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    decoded: bytes = zstd.decompress(data)
    return decoded


_DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": _zstd}


def codings(probe: Probe) -> str:
    right = []
    with probe.client() as client:
        for coding, decode in _DECODERS.items():
            with client.stream("GET", "/open/json", headers={"accept-encoding": coding}) as response:
                raw = b"".join(response.iter_raw())
            if response.headers.get("content-encoding") == coding and json.loads(decode(raw)) == PAYLOAD:
                right.append(coding)
        plain = client.get("/open/json", headers={"accept-encoding": "identity"})
    if plain.json() == PAYLOAD and "content-encoding" not in plain.headers:
        right.append("identity")
    return ", ".join(right)


def events_one_by_one(probe: Probe) -> str:
    codings = set()

    def late() -> float:
        arrivals: list[float] = []
        text = ""
        with probe.client() as client:
            request = client.build_request("GET", "/open/events", headers={"accept-encoding": "br"})
            response = client.send(request, stream=True)
            try:
                for part in response.iter_text():
                    text += part
                    arrivals.extend([time.monotonic()] * (text.count("\n\n") - len(arrivals)))
            finally:
                response.close()
        assert text == "".join(f"data: {number}\n\n" for number in range(EVENTS))
        codings.add(response.headers.get("content-encoding"))
        return EVENT_PAUSE - min(later - earlier for earlier, later in pairwise(arrivals))

    apart = least(late, EVENT_PAUSE / 2) < EVENT_PAUSE / 2
    return f"{'one by one' if apart else 'together'} in {', '.join(map(str, codings))}"


def metrics(probe: Probe) -> str:
    with probe.client() as client:
        client.get("/items/a-secret-item", headers=dict([bearer()]))
        client.post("/open/upload", content=b"x" * 900_000)
        response = client.get("/metrics")
    wanted = ["http_server_request_duration_seconds_count", 'reason="body_too_large"']
    missing = [text for text in wanted if text not in response.text]
    if missing or "a-secret-item" in response.text:
        return f"missing {missing} in {response.text}"
    return str(response.status_code)


def unhandled_exception(probe: Probe) -> str:
    request_id = new_id("fails")
    with probe.client() as client:
        response = client.get("/open/fails", headers={"x-request-id": request_id})
    if "secret" in response.text or response.json()["request_id"] != request_id:
        return response.text
    return f"{response.status_code} {response.json()['reason']}, logged as {probe.outcome(request_id)}"


def exception_with_an_answer(probe: Probe) -> str:
    request_id = new_id("sold-out")
    with probe.client() as client:
        response = client.get("/open/sold-out", headers={"x-request-id": request_id})
    return f"{response.status_code} {response.json()['reason']}, logged as {probe.outcome(request_id)}"


def exception_in_mid_body(probe: Probe) -> str:
    """The client must be able to tell that what it has is not all."""
    request_id = new_id("fails-late")
    request = Request("/open/fails-late", headers=[("x-request-id", request_id), ("accept-encoding", "identity")])
    with probe.fresh() as own:
        try:
            told = f"a complete response of {own.exchange(request, SHORT).body!r}"
        except ConnectionError:
            told = "cut off"
        except TimeoutError:
            told = "left waiting"
        return f"{told}, logged as {own.outcome(request_id)}"


def lifespan(probe: Probe) -> str:
    """The app's start-up before the first request, its shutdown when the server is asked to stop."""
    with probe.fresh(signal.SIGTERM) as own, own.client() as client:
        started = client.get("/open/tells").json()["started"]
    ended = any(line.get("event") == "shutdown" for line in own.server.log_lines())
    return f"{'started' if started else 'not run'}{' and shut down' * ended}"
