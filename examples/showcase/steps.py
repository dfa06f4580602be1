"""What to try: the ``curl`` lines of the start page, and what comes back."""

from typing import NamedTuple

UPGRADE = (
    '-H "Connection: Upgrade" -H "Upgrade: websocket" -H "Sec-WebSocket-Version: 13" '
    '-H "Sec-WebSocket-Key: c2hvd2Nhc2Uga2V5IDE2Yg=="'
)
TOO_MUCH = 2_000_000
"""Bytes; more than the limit in stack.py."""


class Step(NamedTuple):
    """One line to copy.

    Attributes:
        name: A short word; the anchor on the page.
        title: What the line shows.
        command: The line itself.
        status: The HTTP status of the answer.
        expect: What else to look at.
    """

    name: str
    title: str
    command: str
    status: int
    expect: str


def steps(base: str, token: str, admin_token: str) -> list[Step]:
    """Give all steps, in the order in which they make sense.

    Args:
        base: The address of the server, without a slash at its end.
        token: A token without any scope.
        admin_token: A token with the scope "admin".
    """
    too_much = f"head -c {TOO_MUCH} /dev/zero | curl -i"
    preflight = f'curl -i -X OPTIONS {base}/fastapi/me -H "Access-Control-Request-Method: PUT" -H'
    bearer = f'-H "Authorization: Bearer {token}"'
    return [
        Step(
            "token",
            "Get a token",
            f'curl -i "{base}/token?user=grace"',
            200,
            "JSON with access_token, and a warning: the key is a development key.",
        ),
        Step(
            "refused",
            "A protected route, without a token",
            f"curl -i {base}/fastapi/me",
            401,
            "A problem document with the reason credentials_missing, and a www-authenticate header. The app never ran.",
        ),
        Step(
            "protected",
            "The same with a token",
            f"curl -i {bearer} {base}/fastapi/me",
            200,
            "The user that the token names. Put starlette, django or bare in the place of fastapi: the same class "
            "guards all four.",
        ),
        Step(
            "forbidden",
            "A route that wants the scope admin",
            f"curl -i {bearer} {base}/fastapi/admin",
            403,
            "The reason is insufficient_scope; the www-authenticate header says which scope is missing.",
        ),
        Step(
            "admin",
            "The same with a token that has it",
            f'curl -i -H "Authorization: Bearer {admin_token}" {base}/fastapi/admin',
            200,
            "The secret.",
        ),
        Step(
            "websocket-refused",
            "A WebSocket handshake without a token",
            f"curl -i -N --http1.1 --max-time 2 {UPGRADE} {base}/bare/chat",
            401,
            "The handshake itself is refused, with the same problem document.",
        ),
        Step(
            "websocket",
            "The same with a token",
            f"curl -i -N --http1.1 --max-time 2 {UPGRADE} {bearer} {base}/bare/chat",
            101,
            "The chat's greeting, as a WebSocket frame. curl leaves after 2 seconds, with its exit status 28.",
        ),
        Step(
            "preflight",
            "What a browser asks before a cross-origin PUT",
            f'{preflight} "Origin: http://localhost:5173"',
            204,
            "access-control-allow-origin names the origin, access-control-allow-methods has PUT. It needs no token.",
        ),
        Step(
            "preflight-denied",
            "The same from an origin that is not on the list",
            f'{preflight} "Origin: https://elsewhere.example"',
            403,
            "No access-control header; the reason is origin_not_allowed.",
        ),
        Step(
            "large",
            "A large JSON answer, as it is",
            f"curl -s -o /dev/null -D - {base}/starlette/catalog",
            200,
            "content-length is above 100000.",
        ),
        Step(
            "compressed",
            "The same, compressed",
            f"curl -s -o /dev/null -D - --compressed {base}/starlette/catalog",
            200,
            "content-encoding is one that your curl knows (zstd, br or gzip), and vary names Accept-Encoding.",
        ),
        Step(
            "stream",
            "Server-sent events, compressed and yet in time",
            f"curl -i -N --compressed --max-time 3 {base}/bare/events",
            200,
            "An event every half second. curl leaves after 3 seconds, with its exit status 28.",
        ),
        Step(
            "upload",
            "An upload",
            f'curl -i -H "Content-Type: application/octet-stream" --data-binary "hello" {base}/fastapi/upload',
            200,
            'The answer is {"bytes":5}. The line in the terminal has uploaded: 5, a field that the handler added.',
        ),
        Step(
            "upload-too-large",
            "An upload over the limit of 1 MiB",
            f"{too_much} --data-binary @- {base}/fastapi/upload",
            413,
            "Refused by its Content-Length; the app never runs.",
        ),
        Step(
            "upload-unannounced",
            "The same without a Content-Length",
            f'{too_much} -H "Transfer-Encoding: chunked" --data-binary @- {base}/fastapi/upload',
            413,
            "Refused as soon as one byte too many arrives.",
        ),
        Step(
            "problem",
            "A handler that raises",
            f'curl -i -H "X-Request-ID: try-problem" {base}/bare/fail',
            500,
            "A problem document with request_id try-problem and without the exception's text. The traceback is in the "
            "terminal, under the same id. Put django, fastapi or starlette in the place of bare: all answer the same.",
        ),
        Step(
            "log-sync",
            "A log call in a sync view",
            f'curl -i -H "X-Request-ID: try-sync" {base}/django/sync',
            200,
            "Two JSON lines in the terminal, both with request_id try-sync: the view's own and the access line.",
        ),
        Step(
            "log-async",
            "A log call in an async view",
            f'curl -i -H "X-Request-ID: try-async" {base}/django/async',
            200,
            "The same with try-async.",
        ),
        Step(
            "log-thread",
            "A log call in a thread",
            f'curl -i -H "X-Request-ID: try-thread" {base}/fastapi/thread',
            200,
            "The same with try-thread.",
        ),
        Step(
            "metrics",
            "What Prometheus sees",
            f"curl -i {base}/metrics",
            200,
            "Counters and histograms by method, route template and status; never by path.",
        ),
        Step("health", "The health check", f"curl -i {base}/health", 200, 'The answer is {"status":"ok"}.'),
    ]
