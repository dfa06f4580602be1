"""Draw where the classes of a page stand in the stack: ``python tests/docs/stack_pictures.py``.

One picture for each page, ``docs/images/stack/PAGE.svg``, from the recommended order: a room of the package is a layer,
and the page's own room is opened. The line that shows it stands between ``<!-- begin: place -->`` and its end.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from asgi_middleware import auth, compression, cors, limits, logging, metrics, problems
from asgi_middleware._composition.order import ORDER

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "images" / "stack"

PAGES: dict[str, tuple[str, ...]] = {
    "auth": ("JWTAuthMiddleware",),
    "compression": ("CompressionMiddleware",),
    "cors": ("CORSMiddleware", "WebSocketOriginMiddleware"),
    "decompression": ("DecompressionMiddleware",),
    "limits": (
        "HeaderLimitMiddleware",
        "RequestBodyLimitMiddleware",
        "BodyTimeoutMiddleware",
        "WebSocketMessageLimitMiddleware",
    ),
    "logging": ("CorrelationIdMiddleware", "LoggingMiddleware"),
    "metrics": ("PrometheusMiddleware", "ServerTimingMiddleware"),
    "metrics-prometheus": ("MetricsEndpoint",),
    "problems": ("ProblemDetailsMiddleware",),
}

_ROOMS = (auth, compression, cors, limits, logging, metrics, problems)
_ROOM_OF = {name: room.__name__.rpartition(".")[2] for room in _ROOMS for name in room.__all__}
LAYERS = [(room, tuple(names)) for room, names in groupby(ORDER, _ROOM_OF.__getitem__)]

WIDTH = 440
TITLE = 24  # height of a layer's own line
ROW = 22  # height of a class in an opened layer
INSET = 9  # by how much a layer is narrower than the one around it, on each side
FOOT = 7  # what shows of a layer below the ones inside it
LIGHT = "#00796b", "#fff", "#455a64", "#b0bec5"
DARK = "#4db6ac", "#04211e", "#b0bec5", "#546e7a"


def described(page: str) -> str:
    """Say in words what the picture shows."""
    *names, last = PAGES[page]
    who = f"{', '.join(names)} and {last} stand" if names else f"{last} stands"
    order = ", ".join(f"{room} (here)" if room == _ROOM_OF[last] else room for room, _ in LAYERS)
    return f"Where {who}; from outside to inside: {order}, your app"


def drawn(page: str) -> str:
    """Draw the picture of a page."""
    heights = [TITLE + (ROW * len(names) if _is_open(page, names) else 0) for _, names in LAYERS]
    center = 22 + sum(heights)  # where the app begins
    bottom = center + TITLE + 4 + FOOT * len(LAYERS)
    shapes = [
        _text(14, 14, "request &#8595;"),
        _text(WIDTH - 14, 14, "&#8593; response", anchor="end"),
    ]
    for depth, (room, names) in enumerate(LAYERS):
        left, top = 1 + depth * INSET, 22 + sum(heights[:depth])
        kind = "open" if _is_open(page, names) else "layer"
        shapes.append(_box(left, top, WIDTH - 2 * left, bottom - depth * FOOT - top, kind))
        shapes.append(_text(left + 12, top + 17, room))
        for place, name in enumerate(names if kind == "open" else ()):
            line = top + TITLE + place * ROW
            if name in PAGES[page]:
                shapes.append(_box(left + 22, line, WIDTH - 2 * (left + 22), ROW - 3, "pill"))
            shapes.append(_text(left + 34, line + 14, name, "here" if name in PAGES[page] else ""))
    left = 1 + len(LAYERS) * INSET
    shapes.append(_box(left, center + 2, WIDTH - 2 * left, TITLE, "app"))
    shapes.append(_text(WIDTH / 2, center + 18, "your app", anchor="middle"))
    height = bottom + 1
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    dark = f"@media(prefers-color-scheme:dark){{{_colors(*DARK)}}}"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{described(page)}</title>",
        f"<style>text{{font:12.5px system-ui,sans-serif}}{_colors(*LIGHT)}{dark}</style>",
    ]
    return "\n".join([*head, *shapes, "</svg>\n"])


def _is_open(page: str, names: tuple[str, ...]) -> bool:
    return not set(names).isdisjoint(PAGES[page])


def _colors(accent: str, on_accent: str, text: str, line: str) -> str:
    return (
        f"text{{fill:{text}}}.here{{fill:{on_accent};font-weight:600}}.layer{{fill:none;stroke:{line}}}"
        f".open{{fill:{accent}1f;stroke:{accent}}}.pill{{fill:{accent}}}.app{{fill:{line}66}}"
    )


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:.0f}" height="{height:g}" rx="7"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    kind = kind and f' class="{kind}"'
    anchor = anchor and f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{kind}{anchor}>{text}</text>'


def shown(page: str) -> str:
    """Give a page as it has to be: with the line that shows its picture."""
    begin, end = "<!-- begin: place -->\n", "<!-- end: place -->\n"
    before, mark, rest = (DOCS / f"{page}.md").read_text(encoding="utf-8").partition(begin)
    _, other_mark, after = rest.partition(end)
    if not (mark and other_mark):
        raise LookupError(f"{page}.md has no place for its picture")
    return f"{before}{begin}\n![{described(page)}](images/stack/{page}.svg)\n\n{end}{after}"


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name in PAGES:
        (PICTURES / f"{name}.svg").write_text(drawn(name), encoding="utf-8")
        (DOCS / f"{name}.md").write_text(shown(name), encoding="utf-8")
