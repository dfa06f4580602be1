"""Pages: what a person in front of a browser sees instead of a problem document.

One small page without scripts, styles or anything from elsewhere, and a policy that allows none of these. All text in
it is escaped, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from asgi_middleware._core.refusals import Refusal

CONTENT_TYPE: Final = b"text/html; charset=utf-8"
HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
DEBUG_NOTICE: Final = "This answer shows a traceback because ProblemDetailsMiddleware runs with debug=True."

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def render_page(answer: Refusal, request_id: str | None, traceback: Sequence[str] = ()) -> str:
    """Write the page of an answer.

    Args:
        answer: What is answered.
        request_id: What the person can quote, or None.
        traceback: The lines of a traceback, for debug mode only.
    """
    title = f"{answer.status} {answer.title}"
    parts = [f"<h1>{escape(title)}</h1>"]
    if answer.detail is not None:
        parts.append(f"<p>{escape(answer.detail)}</p>")
    if request_id is not None:
        parts.append(f"<p>Request id: <code>{escape(request_id)}</code></p>")
    if traceback:
        text = escape("\n".join(traceback))
        parts += ["<h2>DEBUG MODE</h2>", f"<p>{DEBUG_NOTICE} Never use it in production.</p>", f"<pre>{text}</pre>"]
    return _PAGE.format(title=escape(title), body="\n".join(parts))
