"""The built site: it loads nothing from elsewhere, every link leads somewhere, and the reference is complete."""

import os
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(os.environ["ASGI_MIDDLEWARE_SITE"])
PACKAGE = Path(__file__).parents[2] / "asgi_middleware"
DJANGO_HELPERS = ("token_of", "user_function")  # of django_auth.py, whose other names django.py gives
API = PACKAGE.parent / "tests" / "packaging" / "public_api.txt"
PAGES = sorted(SITE.rglob("*.html"))
LOADING = {
    ("audio", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("image", "href"),
    ("img", "src"),
    ("img", "srcset"),
    ("object", "data"),
    ("script", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("video", "src"),
}
LOADING_RELATIONS = {"icon", "manifest", "modulepreload", "preconnect", "prefetch", "preload", "stylesheet"}


class Page(NamedTuple):
    """What one page loads, what it links to, and where it can be linked to."""

    loads: list[str]
    links: list[str]
    anchors: set[str]


class Reader(HTMLParser):
    """Collects it."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page([], [], set())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.page.anchors.update(values[name] for name in ("id", "name") if name in values)
        self.page.loads.extend(value for name, value in values.items() if (tag, name) in LOADING)
        if tag == "link" and LOADING_RELATIONS & set(values.get("rel", "").split()):
            self.page.loads.append(values.get("href", ""))
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])


@cache
def read(path: Path) -> Page:
    """Read a page once."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def leads_somewhere(page: Path, link: str) -> bool:
    """Tell whether a link inside the site has a file, and in it the anchor."""
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in read(target).anchors


def test_the_site_was_built() -> None:
    """There is a page for each document."""
    documents = [path for path in (PACKAGE.parent / "docs").rglob("*.md") if path.name != "index.md"]
    for document in documents:
        page = SITE / document.relative_to(PACKAGE.parent / "docs").with_suffix("") / "index.html"
        assert page in PAGES, page


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(SITE)))
def test_nothing_comes_from_another_host(page: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own: a reader's browser asks nobody else."""
    assert [url for url in read(page).loads if urlsplit(url).netloc] == []


def test_no_style_loads_from_another_host() -> None:
    """Style sheets name no file of another host either."""
    for style in SITE.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text), style


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(SITE)))
def test_every_link_inside_the_site_leads_somewhere(page: Path) -> None:
    """The file is there, and in it the heading or the name."""
    if page.name == "404.html":  # its addresses are absolute
        return
    inside = [link for link in read(page).links if not urlsplit(link).scheme and not urlsplit(link).netloc]
    assert [link for link in inside if not leads_somewhere(page, link)] == []


def test_what_the_style_sheet_finds_is_marked() -> None:
    """Every table of options, and every name of a test behind a promise, has its mark (see .ci/page_marks.py)."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(page.count('<table data-kind="options">') for page in pages) >= 20
    assert sum(page.count('<code class="test">tests/') for page in pages) >= 100
    assert not any(
        re.search(r"<table>\s*<thead>\s*<tr>\s*<th>option</th>|<code>tests/[\w/]+\.py::", page) for page in pages
    )


def public_names() -> Iterator[str]:
    """Give every public name with its module, and below each class its members (tests/packaging holds the list)."""
    module, outer = "", ""
    for line in API.read_text(encoding="utf-8").splitlines():
        name = re.sub(r"^(?:class|def) ", "", line.strip())
        name = re.match(r"[\w.]+", name)[0]
        if not line.startswith(" "):
            module = name
        elif not line.startswith("        "):
            outer = f"{module}.{name}"
            if not (" of asgi_middleware." in line or name in ("__version__", *DJANGO_HELPERS)):  # or listed elsewhere
                yield outer
        else:
            yield f"{outer}.{name}"
    text = (PACKAGE / "testing" / "plugin.py").read_text(encoding="utf-8")
    for name in re.findall(r"^@pytest\.fixture\n(?:async )?def (\w+)", text, re.MULTILINE):
        yield f"asgi_middleware.testing.plugin.{name}"


@pytest.mark.parametrize("name", list(public_names()))
def test_the_reference_has_every_public_name(name: str) -> None:
    """Each public name has its entry, and so a docstring: what has none is not shown."""
    anchors = read(SITE / "reference" / "index.html").anchors
    shown = name.replace(".django_auth.", ".django.")  # django.py gives them under its own name
    own = shown.removeprefix("asgi_middleware.")  # what stands at the front door is shown by its private module
    assert shown in anchors or any(
        anchor.startswith("asgi_middleware._") and anchor.endswith(f".{own}") for anchor in anchors
    )


def test_every_room_has_public_names() -> None:
    """The names are really found: those of every room are among them."""
    rooms = {name.split(".")[1] for name in public_names() if name.count(".") > 1}
    assert rooms >= {
        "auth",
        "compression",
        "cors",
        "limits",
        "logging",
        "metrics",
        "problems",
        "testing",
        "integrations",
    }
