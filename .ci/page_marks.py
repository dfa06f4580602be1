"""For the documentation's site: what the style sheet has to find on a page is marked (see mkdocs.yml)."""

import re
from typing import Any

_OPTIONS = re.compile(r"<table>(?=\s*<thead>\s*<tr>\s*<th>option</th>\s*<th>type</th>\s*<th>default</th>)")
_TEST = re.compile(r"<code>(?=tests/[\w/]+\.py::)")


def on_page_content(html: str, **_: Any) -> str:
    """Mark tables of options and names of tests; a class would take the theme's own style away from a table."""
    return _TEST.sub('<code class="test">', _OPTIONS.sub('<table data-kind="options">', html))
